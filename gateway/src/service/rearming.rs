//! Re-arming: the sender of a transfer that is held hands its share over again. The share is durable before the record says so
//! (security.md 9.3).

use sealpost_proto::api::{RearmRequest, StateResponse};
use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use zeroize::Zeroizing;

use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Key, holding, object};
use crate::failpoint;
use crate::store::share::{Share, ShareRef};

impl Service {
    /// Takes the share of a held transfer again. The same request again succeeds.
    ///
    /// # Errors
    /// `not_found` for all but the sender; `seal_refused` for another share; `conflict` when the transfer needs none; `expired`,
    /// `revoked`, `limit_reached`.
    pub async fn rearm(&self, grant: &Grant, id: TransferId, request: RearmRequest) -> Result<StateResponse, Error> {
        grant.for_action(Action::Rearm)?;
        let sender = grant.member()?.label;
        let body = Zeroizing::new(request.share.0);
        let share: Share = Zeroizing::new(body.as_slice().try_into().map_err(|_| ProblemKind::BadRequest)?);
        let by = grant.requester().clone();
        let refused = Refused {
            event: EventType::TransferRearmed,
            object: object::transfer(&id),
            by: by.clone(),
        };
        let transfer = self.ports.views.transfer(&id).await?;
        if let Err(refusal) = holding::check_rearm(transfer.as_deref(), &sender, &share, self.now()) {
            return Err(self.refuse(grant.keyed(), refused, refusal).await);
        }
        let sealed = transfer.as_ref().and_then(|t| t.sealed.as_ref());
        let place = sealed.and_then(|sealed| ShareRef::of_sealed(id, sealed));
        let place = place.ok_or(ProblemKind::NotFound)?;
        // Held until the record: nobody takes the row for one that nothing refers to.
        let gate = self.ports.share_gate.read().await;
        self.ports.shares.put(&place, &share).await?;
        failpoint::reach("rearm-share-kept");
        let decide = move |loaded: &_, at| holding::rearm(loaded, at, &id, &sender, &share, &by);
        let recorded = self
            .record(grant.keyed(), vec![Key::Transfer(id)], Some(refused), decide)
            .await;
        drop(gate);
        if let Err(Error::Refused(refusal)) = recorded {
            self.drop_share(&id, &place).await?;
            return Err(refusal.into());
        }
        recorded?;
        self.settle(&id).await
    }

    /// Destroys the row of a transfer that ended, and whose share was destroyed, while it was put.
    async fn drop_share(&self, id: &TransferId, place: &ShareRef) -> Result<(), Error> {
        let transfer = self.ports.views.transfer(id).await?;
        if transfer.is_some_and(|t| t.shredded.is_some()) {
            self.ports.shares.destroy(place).await?;
        }
        Ok(())
    }
}
