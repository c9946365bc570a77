//! Changes and leaves for the suites: well-formed, and told apart by a number.

use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, Kid, Label, TransferId};
use sealpost_proto::log::{Actor, ActorKind, EventType, LeafOutcome};

use crate::domain::{Change, EnvelopeSizes, LeafDraft, Recipient, Sealed, object};

/// Transfer number `n`.
pub(in crate::store) fn id(n: u8) -> TransferId {
    TransferId::from_bytes([n; 16])
}

/// Person number `n`.
pub(in crate::store) fn label(n: u8) -> Label {
    Label::from_bytes([n; 32])
}

pub(in crate::store) fn announced(n: u8, sender: u8, at: u64) -> Change {
    Change::TransferAnnounced {
        transfer: id(n),
        sender: label(sender),
        bytes: 1024,
        at,
    }
}

pub(in crate::store) fn part(n: u8, number: u32) -> Change {
    Change::PartStored {
        transfer: id(n),
        number,
        len: 1024,
        root: Hash::from_bytes([n; 32]),
    }
}

pub(in crate::store) fn sealed(n: u8, sender: u8, recipients: &[u8], expires_at: u64) -> Change {
    let hash = Hash::from_bytes([n; 32]);
    let recipient = |n: &u8| Recipient {
        label: label(*n),
        kid: Kid::from_bytes([*n; 32]),
    };
    let sealed = Sealed {
        header: Base64(vec![n; 248]),
        seal: Base64(vec![n; 224]),
        hh: hash,
        segments: 1,
        payload_len: 1024,
        payload_root: hash,
        mic: hash,
        sealed_at: expires_at.saturating_sub(60),
        expires_at,
        share_commit: Some(hash),
        envelope: EnvelopeSizes {
            block: 1,
            manifest_box: 1,
            leaves: 0,
            part: 0,
        },
        openings: None,
        public_label: None,
        recipients: recipients.iter().map(recipient).collect(),
        links: Vec::new(),
        sender_copy: None,
        receipt: String::new(),
    };
    Change::TransferSealed {
        transfer: id(n),
        sender: label(sender),
        sealed: Box::new(sealed),
    }
}

/// A leaf about transfer number `n`.
pub(in crate::store) fn leaf(n: u8, event: EventType) -> LeafDraft {
    LeafDraft {
        event,
        outcome: LeafOutcome::Ok,
        actor: Actor {
            kind: ActorKind::Member,
            id: label(1).to_string(),
            dk: None,
        },
        object: object::transfer(&id(n)),
        peer: None,
        req_id: None,
        data: None,
    }
}
