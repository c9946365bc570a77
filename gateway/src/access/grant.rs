//! The proof that somebody may do something. Only this room can make one.

use std::sync::Arc;

use sealpost_proto::id::{Hash, PublicKey};
use sealpost_proto::key::TrustedDevice;
use sealpost_proto::problem::ProblemKind;

use super::in_flight::Place;
use super::standing::Standing;
use super::{Action, Peer, Role};
use crate::domain::{KeyedRequest, Opener, Refusal, Requester};

/// A caller who was recognised and may do what is asked. Unforgeable: its fields are private to this room.
#[derive(Debug, Clone)]
pub struct Grant {
    pub(super) action: Action,
    pub(super) device: PublicKey,
    pub(super) member: Option<TrustedDevice>,
    pub(super) link: Option<Hash>,
    pub(super) standing: Standing,
    pub(super) peer: Option<Peer>,
    pub(super) requester: Requester,
    pub(super) signature_base: String,
    pub(super) keyed: Option<Keyed>,
}

/// The idempotency key of a request, and its place among those that are being worked on, which it has until the last clone of
/// its grant is gone.
#[derive(Debug, Clone)]
pub(super) struct Keyed {
    pub(super) request: KeyedRequest,
    pub(super) _place: Arc<Place>,
}

impl Grant {
    /// Refuses to serve as the proof of anything else than what was granted. Every use case asks this first, so that a route with
    /// the wrong action does nothing.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn for_action(&self, action: Action) -> Result<(), Refusal> {
        if self.action == action {
            Ok(())
        } else {
            Err(ProblemKind::Forbidden.into())
        }
    }

    /// Refuses a caller who may not also do this other thing, which what was granted turned out to need.
    ///
    /// # Errors
    /// `forbidden`.
    pub fn also(&self, action: Action) -> Result<(), Refusal> {
        if self.standing.may(action) {
            Ok(())
        } else {
            Err(ProblemKind::Forbidden.into())
        }
    }

    /// The device that signed the request.
    #[must_use]
    pub fn device(&self) -> PublicKey {
        self.device
    }

    /// The person's device, by the directory.
    ///
    /// # Errors
    /// `unauthenticated` for the grant of a newcomer or a visitor.
    pub fn member(&self) -> Result<TrustedDevice, Refusal> {
        self.member.ok_or_else(|| ProblemKind::Unauthenticated.into())
    }

    /// Whose openings the caller's are, and the identity that its receipts have to name: the person's, or for a visitor with a
    /// link the key that signs.
    ///
    /// # Errors
    /// `unauthenticated` for those who have none.
    pub fn opener(&self) -> Result<(Opener, PublicKey), Refusal> {
        match (self.member, self.link) {
            (Some(member), _) => Ok((Opener::Member(member.label), member.identity)),
            (None, Some(link)) => Ok((Opener::Link(link), self.device)),
            (None, None) => Err(ProblemKind::Unauthenticated.into()),
        }
    }

    /// Whether the caller may enrol people.
    #[must_use]
    pub fn is_registrar(&self) -> bool {
        self.standing.has(Role::Registrar)
    }

    /// Whether the caller may read the audit log.
    #[must_use]
    pub fn is_auditor(&self) -> bool {
        self.standing.has(Role::Auditor)
    }

    /// Who asks, as audit leaves name it.
    #[must_use]
    pub fn requester(&self) -> &Requester {
        &self.requester
    }

    /// The request with its idempotency key; none for one that changes nothing, or a part, which is idempotent by its root.
    #[must_use]
    pub fn keyed(&self) -> Option<KeyedRequest> {
        self.keyed.as_ref().map(|keyed| keyed.request)
    }

    /// What the request's signature was made over (RFC 9421, section 2.5); kept as the recipient's request for an opening.
    #[must_use]
    pub fn signature_base(&self) -> &str {
        &self.signature_base
    }
}

#[cfg(test)]
mod tests {
    use sealpost_proto::log::{Actor, ActorKind};

    use super::*;

    #[test]
    fn a_grant_is_good_for_its_own_action_alone() {
        let grant = |action| Grant {
            action,
            device: PublicKey::from_bytes([1; 32]),
            member: None,
            link: None,
            standing: Standing::default(),
            peer: None,
            requester: Requester {
                actor: Actor {
                    kind: ActorKind::Member,
                    id: String::new(),
                    dk: None,
                },
                peer: None,
                req_id: None,
            },
            signature_base: String::new(),
            keyed: None,
        };
        for granted in Action::ALL {
            for asked in Action::ALL {
                assert_eq!(grant(granted).for_action(asked).is_ok(), granted == asked);
            }
        }
    }
}
