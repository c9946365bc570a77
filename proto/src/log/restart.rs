//! What the first leaf of a successor log says: that the log before it ended in a loss which the operator accepted.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Checkpoint, EventType, Leaf, LeafOutcome, Object, ObjectKind};
use crate::id::{GatewayId, PublicKey};
use crate::key::note::NoteError;

/// `data` of a `dr.restore` leaf, which is entry 0 of a successor log (proto/spec/log.md, "Losses").
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// Number of the log that begins with this leaf: 2 for the first successor.
    pub log: u64,
    /// The last checkpoint of the log before, as the log key signed it.
    pub checkpoint: String,
    /// Leaves of the log before that the gateway still has, from its first on.
    pub kept: u64,
    /// Number of the first record of the ledger that is lost.
    pub first: u64,
    /// Records that are lost, as far as that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub records: Option<u64>,
}

impl Restart {
    /// The facts of the leaf.
    #[must_use]
    pub fn data(&self) -> Map<String, Value> {
        match serde_json::to_value(self) {
            Ok(Value::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// The object of the leaf: the log that begins.
    #[must_use]
    pub fn object(&self, gateway: &GatewayId) -> Object {
        Object {
            kind: ObjectKind::Log,
            id: gateway.audit_origin_of(self.log),
        }
    }

    /// Reads entry 0 of log number `log` of `gateway`: none if it is not a restart's, or of another log.
    #[must_use]
    pub fn read(leaf: &Leaf, gateway: &GatewayId, log: u64) -> Option<Self> {
        let data = leaf.data.clone().map(Value::Object)?;
        let restart: Self = serde_json::from_value(data).ok()?;
        let is_one = leaf.event == EventType::DrRestore
            && leaf.outcome == LeafOutcome::Ok
            && leaf.prev_obj.is_none()
            && leaf.object == restart.object(gateway);
        (is_one && restart.log == log && log > 1).then_some(restart)
    }

    /// The last checkpoint of the log before, verified.
    ///
    /// # Errors
    /// [`NoteError`] if it is not one of that log, signed by the log key.
    pub fn ended(&self, gateway: &GatewayId, log_key: &PublicKey) -> Result<Checkpoint, NoteError> {
        let origin = gateway.audit_origin_of(self.log.saturating_sub(1));
        Checkpoint::verify(&self.checkpoint, &origin, log_key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SigningKey;
    use crate::id::Hash;
    use crate::log::{Actor, ActorKind};

    fn gateway() -> GatewayId {
        "gw.example".parse().unwrap()
    }

    fn ended(key: &SigningKey) -> Checkpoint {
        let checkpoint = Checkpoint {
            origin: gateway().audit_origin_of(2),
            size: 812,
            root: Hash::from_bytes([7; 32]),
        };
        assert!(checkpoint.sign(key).is_ok());
        checkpoint
    }

    fn leaf(restart: &Restart) -> Leaf {
        Leaf {
            v: 1,
            id: "019b76f5-5cb8-7c2e-9f0a-3d5e6f708192".into(),
            t: 1,
            node: "1".into(),
            tenant: None,
            event: EventType::DrRestore,
            outcome: LeafOutcome::Ok,
            actor: Actor {
                kind: ActorKind::Gateway,
                id: "gw.example".into(),
                dk: None,
            },
            object: restart.object(&gateway()),
            peer: None,
            req_id: None,
            prev_obj: None,
            data: Some(restart.data()),
        }
    }

    #[test]
    fn round_trip_through_a_line() {
        let key = SigningKey::from_seed(&[9; 32]);
        let restart = Restart {
            log: 3,
            checkpoint: ended(&key).sign(&key).unwrap().to_string(),
            kept: 800,
            first: 4_711,
            records: None,
        };
        let line = leaf(&restart).line().unwrap();
        let read: Leaf = line.parse().unwrap();
        assert_eq!(Restart::read(&read, &gateway(), 3), Some(restart.clone()));
        assert_eq!(Restart::read(&read, &gateway(), 4), None, "of another log");
        assert_eq!(restart.ended(&gateway(), &key.public()), Ok(ended(&key)));
        let other = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(restart.ended(&gateway(), &other), Err(NoteError::Signature));
    }

    #[test]
    fn another_leaf_begins_no_log() {
        let restart = Restart {
            log: 2,
            checkpoint: String::new(),
            kept: 0,
            first: 1,
            records: Some(3),
        };
        let good = leaf(&restart);
        assert!(Restart::read(&good, &gateway(), 2).is_some());
        for bad in [
            Leaf {
                event: EventType::AuditRead,
                ..good.clone()
            },
            Leaf {
                prev_obj: Some(Hash::from_bytes([1; 32])),
                ..good.clone()
            },
            Leaf {
                outcome: LeafOutcome::Denied("gone".into()),
                ..good.clone()
            },
            Leaf {
                object: Object {
                    kind: ObjectKind::Log,
                    id: "gw.example/audit".into(),
                },
                ..good.clone()
            },
            Leaf {
                data: None,
                ..good.clone()
            },
        ] {
            assert_eq!(Restart::read(&bad, &gateway(), 2), None, "{bad:?}");
        }
    }
}
