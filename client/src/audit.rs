//! The audit log, mirrored and verified: every leaf parsed, every chain followed, time never backwards (security.md 6).

use std::collections::BTreeMap;

use sealpost_proto::id::Hash;
use sealpost_proto::log::{Leaf, Object};

use crate::error::Error;
use crate::log::LogMirror;
use crate::session::Session;

const NAME: &str = "audit";

/// A verified audit log.
#[derive(Debug)]
pub struct AuditLog {
    /// Number of leaves.
    pub size: u64,
    /// Head of the tree.
    pub root: Hash,
    /// The leaves, in order.
    pub leaves: Vec<Leaf>,
    /// Leaves that this client had not seen before.
    pub new: u64,
}

/// Fetches what is new, and verifies the whole log: checkpoint, head, and every rule of its leaves.
///
/// # Errors
/// [`Error::Log`], [`Error::Api`] or [`Error::File`].
pub async fn update(session: &Session) -> Result<AuditLog, Error> {
    let account = &session.account;
    let _lock = session.home.lock()?;
    let origin = account.at.gateway.audit_origin();
    let mut mirror = LogMirror::load(session.home.log(NAME), NAME, origin, account.at.log)?;
    let before = mirror.size();
    if let Some(growth) = mirror.fetch(&session.api).await? {
        // Only a log whose every leaf keeps the rules is kept.
        check(&[mirror.lines(), growth.lines()].concat(), &mirror)?;
        mirror.commit(growth)?;
    }
    let leaves = check(mirror.lines(), &mirror)?;
    Ok(AuditLog {
        size: mirror.size(),
        root: mirror.head(),
        leaves,
        new: mirror.size() - before,
    })
}

fn check(lines: &[String], mirror: &LogMirror) -> Result<Vec<Leaf>, Error> {
    verify(lines).map_err(|(index, why)| mirror.bad_entry(index, &why).into())
}

/// Parses all leaves and checks their rules; on failure says which leaf breaks which.
///
/// # Errors
/// Index and reason.
pub fn verify(lines: &[String]) -> Result<Vec<Leaf>, (u64, &'static str)> {
    let mut last_on: BTreeMap<Object, Hash> = BTreeMap::new();
    let mut last_time: BTreeMap<String, u64> = BTreeMap::new();
    let mut leaves = Vec::with_capacity(lines.len());
    for (index, line) in lines.iter().enumerate() {
        let at = |why| (index as u64, why);
        let leaf: Leaf = line.parse().map_err(|_| at("it is not an audit leaf"))?;
        let before = last_on.insert(leaf.object.clone(), Leaf::hash_of(line));
        if leaf.prev_obj != before {
            return Err(at("it does not follow the last event on the same object"));
        }
        let earlier = last_time.insert(leaf.node.clone(), leaf.t);
        if earlier.is_some_and(|earlier| leaf.t < earlier) {
            return Err(at("its time is before that of the event before it"));
        }
        leaves.push(leaf);
    }
    Ok(leaves)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_proto::log::{Actor, ActorKind, EventType, LeafOutcome, ObjectKind};

    fn leaf(object: &str, t: u64, prev_obj: Option<Hash>) -> Leaf {
        Leaf {
            v: 1,
            id: format!("{object}{t}"),
            t,
            node: "a".into(),
            tenant: None,
            event: EventType::TransferSealed,
            outcome: LeafOutcome::Ok,
            actor: Actor {
                kind: ActorKind::Member,
                id: "x".into(),
                dk: None,
            },
            object: Object {
                kind: ObjectKind::Transfer,
                id: object.into(),
            },
            peer: None,
            req_id: None,
            prev_obj,
            data: None,
        }
    }

    fn log() -> Vec<String> {
        let first = leaf("x", 1, None).line().unwrap();
        let other = leaf("y", 1, None).line().unwrap();
        let second = leaf("x", 2, Some(Leaf::hash_of(&first))).line().unwrap();
        vec![first, other, second]
    }

    #[test]
    fn follows_each_objects_chain() {
        assert_eq!(verify(&log()).unwrap().len(), 3);
        let mut dropped = log();
        dropped.remove(0);
        assert_eq!(verify(&dropped).unwrap_err().0, 1, "the second event lacks the first");
        let mut swapped = log();
        swapped.swap(0, 2);
        assert!(verify(&swapped).is_err());
    }

    #[test]
    fn time_never_goes_back_within_a_node() {
        let mut lines = log();
        lines.push(leaf("z", 1, None).line().unwrap());
        assert_eq!(verify(&lines).unwrap_err().0, 3);
    }

    #[test]
    fn refuses_what_is_no_leaf() {
        let mut lines = log();
        lines[1].push(' ');
        assert_eq!(verify(&lines).unwrap_err().0, 1);
    }
}
