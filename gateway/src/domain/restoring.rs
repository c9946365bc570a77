//! Going on after a loss that the operator accepted: the audit log gets a successor, and statements that were found again are
//! taken again (security.md 6.4, 9.5).

use sealpost_proto::id::GatewayId;
use sealpost_proto::key::SignedStatement;
use sealpost_proto::log::{Actor, ActorKind, EventType, Restart};

use super::decision::{Data, Effects, Requester, object};
use super::statements::event_of;
use super::{Change, LeafDraft};

/// The gateway itself, as audit leaves name it.
#[must_use]
pub fn itself(gateway: &GatewayId) -> Requester {
    let actor = Actor {
        kind: ActorKind::Gateway,
        id: gateway.to_string(),
        dk: None,
    };
    Requester {
        actor,
        peer: None,
        req_id: None,
    }
}

/// The first record after a loss. `leaves` of the ledger come before it.
#[must_use]
pub fn accept_loss(restart: &Restart, leaves: u64, gateway: &GatewayId) -> Effects {
    let change = Change::LossAccepted {
        log: restart.log,
        first_leaf: leaves,
    };
    let leaf = itself(gateway).did(EventType::DrRestore, restart.object(gateway), Some(restart.data()));
    Effects::one(change, leaf)
}

/// Changes of the organisation that were found again behind the damage, each statement with its leaf.
#[must_use]
pub fn take_again(changes: Vec<Change>, gateway: &GatewayId) -> Effects {
    let by = itself(gateway);
    let leaves = changes.iter().filter_map(|change| leaf_of(change, &by)).collect();
    Effects { changes, leaves }
}

fn leaf_of(change: &Change, by: &Requester) -> Option<LeafDraft> {
    match change {
        Change::OrganisationFounded { org, .. } => Some(by.did(EventType::OrgCreated, object::org(org), None)),
        Change::StatementTaken { text } => {
            let signed: SignedStatement = text.parse().ok()?;
            let (event, label) = (event_of(signed.statement().kind())?, signed.statement().label?);
            let data = Data::default().hash("statement", &signed.hash()).done();
            Some(by.did(event, object::person(&label), data))
        }
        _ => None,
    }
}
