//! The first statements of the organisation.

use sealpost_proto::api::{DirectoryHead, MeResponse, OrgRequest};
use sealpost_proto::log::{Actor, ActorKind};
use sealpost_proto::problem::ProblemKind;

use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Key, Requester, statements};

impl Service {
    /// Founds the organisation, once, for whoever holds the setup string.
    ///
    /// # Errors
    /// `already_founded`, `unauthenticated` with another secret, `statement_refused`.
    pub async fn found(&self, grant: &Grant, request: OrgRequest) -> Result<DirectoryHead, Error> {
        grant.for_action(Action::Found)?;
        // The setup string ends with the founding; who comes later gets the rule's answer.
        let is_founded = self.ports.views.organisation().await?.directory.is_some();
        if !is_founded && !self.ports.setup.is_auth(&request.auth.0) {
            return Err(ProblemKind::Unauthenticated.into());
        }
        let (_, owner) = statements::founder(&statements::parse(&request.statements)?)?;
        let device = grant.device();
        let by = Requester {
            actor: Actor {
                kind: ActorKind::Member,
                id: owner.to_string(),
                dk: Some(device),
            },
            ..grant.requester().clone()
        };
        let decide = move |loaded: &_, at| statements::found(loaded, at, &request, &device, &by);
        let (size, _) = self
            .record(grant.keyed(), vec![Key::Organisation], None, decide)
            .await?;
        self.ports.setup.close();
        Ok(DirectoryHead { size })
    }

    /// Where the caller stands.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn me(&self, grant: &Grant) -> Result<MeResponse, Error> {
        grant.for_action(Action::ReadSelf)?;
        let member = grant.member()?;
        let organisation = self.ports.views.organisation().await?;
        let address = organisation.addresses.get(&member.label).cloned();
        Ok(MeResponse {
            label: member.label,
            address: address.ok_or(ProblemKind::NotFound)?,
            registrar: grant.is_registrar(),
            auditor: grant.is_auditor(),
        })
    }
}
