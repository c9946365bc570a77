//! Taking a transfer back. From the record on nothing is released; then the share is destroyed, before the answer
//! (security.md 9.3). A gateway that stops in between goes on at its next start, before it serves anything.

use sealpost_proto::api::{StateResponse, TransferState};
use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;

use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Key, object, revoking};
use crate::failpoint;

impl Service {
    /// Takes a transfer back and destroys its share; one that is not sealed is given up.
    ///
    /// # Errors
    /// `not_found` for all but the sender and registrars; `expired` or `limit_reached` if it ended in another way before.
    pub async fn revoke(&self, grant: &Grant, id: TransferId) -> Result<StateResponse, Error> {
        grant.for_action(Action::Revoke)?;
        let caller = grant.member()?.label;
        let is_registrar = grant.is_registrar();
        let by = grant.requester().clone();
        let refused = Refused {
            event: EventType::TransferRevoked,
            object: object::transfer(&id),
            by: by.clone(),
        };
        let decide = move |loaded: &_, at| revoking::revoke(loaded, at, &id, &caller, is_registrar, &by);
        self.record(grant.keyed(), vec![Key::Transfer(id)], Some(refused), decide)
            .await?;
        failpoint::reach("revoke-recorded");
        self.settle(&id).await
    }

    /// Destroys the share of a transfer that has ended, and says where the transfer stands. One that was given up is forgotten
    /// by the sweep, which is woken.
    pub(super) async fn settle(&self, id: &TransferId) -> Result<StateResponse, Error> {
        let transfer = self.ports.views.transfer(id).await?;
        if let Some(ended) = transfer.as_ref().filter(|t| t.awaits_destruction()) {
            self.ports.shredder.destroy(ended).await?;
        }
        let sealed = transfer.filter(|t| t.sealed.is_some());
        if sealed.is_none() {
            self.ports.sweep.notify_one();
        }
        let state = sealed.map_or(TransferState::Revoked, |t| t.state(self.now()));
        Ok(StateResponse { state })
    }
}
