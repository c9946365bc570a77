//! Invitations, and what invitees post to them.

use sealpost_proto::api::{InviteRequest, InvitesResponse, RedeemRequest, RedeemResponse};
use sealpost_proto::key::StatementType;
use sealpost_proto::log::{Actor, ActorKind, EventType};

use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Key, Requester, enrolment, object};

impl Service {
    /// Makes an invitation.
    ///
    /// # Errors
    /// `already_enrolled`, `conflict`, `bad_request`.
    pub async fn invite(&self, grant: &Grant, request: InviteRequest) -> Result<(), Error> {
        grant.for_action(Action::Invite)?;
        let registrar = grant.member()?.label;
        let by = grant.requester().clone();
        let refused = Refused {
            event: EventType::KeyInvited,
            object: object::invite(&request.invite),
            by: by.clone(),
        };
        let keys = vec![Key::Organisation, Key::Invite(request.invite)];
        let decide = move |loaded: &_, at| enrolment::invite(loaded, at, &request, registrar, &by);
        self.record(grant.keyed(), keys, Some(refused), decide).await?;
        Ok(())
    }

    /// All invitations, newest first.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn invites(&self, grant: &Grant) -> Result<InvitesResponse, Error> {
        grant.for_action(Action::ReadInvites)?;
        let mut invites = self.ports.views.invites().await?;
        invites.sort_by_key(|invite| std::cmp::Reverse((invite.created_at, invite.id)));
        let now = self.now();
        Ok(InvitesResponse {
            invites: invites.iter().map(|invite| invite.summary(now)).collect(),
        })
    }

    /// Takes the keys of an invitee, and answers with what the invitee compares with the enrolment string.
    ///
    /// # Errors
    /// `not_found` without the secret, `invite_ended`, `already_enrolled`, `statement_refused`.
    pub async fn redeem(&self, grant: &Grant, request: RedeemRequest) -> Result<RedeemResponse, Error> {
        grant.for_action(Action::Enrol)?;
        let id = request.invite;
        let device = grant.device();
        let by = Requester {
            actor: Actor {
                kind: ActorKind::Invitee,
                id: id.to_string(),
                dk: Some(device),
            },
            ..grant.requester().clone()
        };
        // Whoever names no invitation that exists is a stranger to everything here: counted, not written down.
        let is_known = self.ports.views.invite(&id).await?.is_some();
        let refused = is_known.then(|| Refused {
            event: EventType::KeyEnrolled,
            object: object::invite(&id),
            by: by.clone(),
        });
        let keys = vec![Key::Organisation, Key::Invite(id)];
        let decide = move |loaded: &_, at| enrolment::redeem(loaded, at, &request, &device, &by);
        self.record(grant.keyed(), keys, refused, decide).await?;
        self.welcome_pack().await
    }

    /// The statements from which an invitee recognises the organisation and its registrars.
    async fn welcome_pack(&self) -> Result<RedeemResponse, Error> {
        let organisation = self.ports.views.organisation().await?;
        let is_of_org = |kind| matches!(kind, StatementType::Org | StatementType::Registrar);
        let statements = organisation.statements.iter().filter(|s| is_of_org(s.kind));
        Ok(RedeemResponse {
            statements: statements.map(|s| s.text.clone()).collect(),
            checkpoint: self.ports.checkpoints.directory().await?,
        })
    }
}
