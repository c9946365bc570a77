//! The audit log, mirrored and verified: every leaf parsed, every chain followed, time never backwards (security.md 6).

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use sealpost_proto::id::{GatewayId, Hash};
use sealpost_proto::log::{Checkpoint, Leaf, Object, Restart};

use crate::error::Error;
use crate::home::Home;
use crate::log::{LogError, LogMirror, is_mirrored};
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
    /// What came before, if the log was begun anew after a loss.
    pub restarted: Option<Restarted>,
}

/// A loss that the gateway's operator accepted: the log before this one ended.
#[derive(Debug)]
pub struct Restarted {
    /// What the first leaf says of it.
    pub restart: Restart,
    /// When, in seconds of unix time.
    pub at: u64,
    /// The last head of the log that ended, verified.
    pub ended: Checkpoint,
    /// Logs since the oldest one that this client keeps of which it has seen nothing: nothing shows it how the one before each of them
    /// ended. Said as long as the older ones are kept.
    pub skipped: u64,
    /// Leaves of it that this client keeps.
    pub seen: u64,
    /// Where it keeps them.
    pub folder: PathBuf,
}

/// Fetches what is new, and verifies the whole log: checkpoint, head, and every rule of its leaves. A successor of the log that this
/// client has seen is taken only when its first leaf says, under the log's own signature, how that log ended.
///
/// # Errors
/// [`Error::Log`], [`Error::Api`] or [`Error::File`].
pub async fn update(session: &Session) -> Result<AuditLog, Error> {
    let _lock = session.home.lock()?;
    let gateway = &session.account.at.gateway;
    let known = newest(&session.home)?;
    let mut mirror = load(session, known)?;
    let mut before = mirror.size();
    let text = session.api.checkpoint(NAME).await?;
    let log = number_of(&text, gateway).unwrap_or(known);
    if log < known {
        return Err(LogError::Smaller(NAME.to_owned()).into());
    }
    if log > known {
        let successor = load(session, log)?;
        let growth = successor.fetch_under(&session.api, text.clone()).await?;
        let growth = growth.ok_or(LogError::Restart(NAME.to_owned(), "its first entry is missing"))?;
        let restart = restart_in(growth.lines(), gateway, log)?;
        let ended = ended(&restart, session)?;
        if log == known + 1 {
            mirror.check_ended(&ended)?;
        }
        (mirror, before) = (successor, 0);
    }
    if let Some(growth) = mirror.fetch_under(&session.api, text).await? {
        // Only a log whose every leaf keeps the rules is kept.
        check(&[mirror.lines(), growth.lines()].concat(), &mirror)?;
        mirror.commit(growth)?;
    }
    let leaves = check(mirror.lines(), &mirror)?;
    Ok(AuditLog {
        size: mirror.size(),
        root: mirror.head(),
        restarted: restarted(session, log, mirror.lines(), &leaves)?,
        leaves,
        new: mirror.size() - before,
    })
}

/// What came before log number `log`, whose leaves these are.
fn restarted(session: &Session, log: u64, lines: &[String], leaves: &[Leaf]) -> Result<Option<Restarted>, Error> {
    if log == 1 {
        return Ok(None);
    }
    let restart = restart_in(lines, &session.account.at.gateway, log)?;
    let ended = ended(&restart, session)?;
    Ok(Some(Restarted {
        at: leaves.first().map_or(0, |leaf| leaf.t / 1000),
        skipped: skipped(&seen(&session.home)?, log),
        seen: load(session, log - 1)?.size(),
        folder: session.home.log(&folder_of(log - 1)),
        restart,
        ended,
    }))
}

/// What entry 0 of log number `log` says of the one before.
fn restart_in(lines: &[String], gateway: &GatewayId, log: u64) -> Result<Restart, LogError> {
    let first: Option<Leaf> = lines.first().and_then(|line| line.parse().ok());
    let restart = first.and_then(|leaf| Restart::read(&leaf, gateway, log));
    restart.ok_or(LogError::Restart(NAME.to_owned(), "its first entry does not say so"))
}

fn ended(restart: &Restart, session: &Session) -> Result<Checkpoint, LogError> {
    let at = &session.account.at;
    let why = "the log key has not signed how the log before it ended";
    let ended = restart.ended(&at.gateway, &at.log);
    ended.map_err(|_| LogError::Restart(NAME.to_owned(), why))
}

/// The mirror of log number `log` on this device; empty if it was not seen here.
fn load(session: &Session, log: u64) -> Result<LogMirror, Error> {
    let at = &session.account.at;
    let folder = session.home.log(&folder_of(log));
    LogMirror::load(folder, NAME, at.gateway.audit_origin_of(log), at.log)
}

/// Folder of the mirror of log number `log`: what was seen of one is kept when the next begins.
fn folder_of(log: u64) -> String {
    if log == 1 {
        NAME.to_owned()
    } else {
        format!("{NAME}.{log}")
    }
}

/// Number of the newest log that this device has seen; 1 before the first.
fn newest(home: &Home) -> Result<u64, Error> {
    Ok(seen(home)?.last().copied().unwrap_or(1))
}

/// Numbers of the logs that this device has seen. One whose checkpoint was never written was not: it is fetched, and how the one before
/// it ended is checked, once more.
fn seen(home: &Home) -> Result<BTreeSet<u64>, Error> {
    let entries = std::fs::read_dir(home.path()).map_err(|error| Error::file("read", home.path(), error))?;
    let number = |name: &str| match name.strip_prefix(NAME)? {
        "" => Some(1),
        rest => rest.strip_prefix('.')?.parse().ok(),
    };
    let numbers = entries.filter_map(|entry| number(entry.ok()?.file_name().to_str()?));
    Ok(numbers
        .filter(|number| is_mirrored(&home.log(&folder_of(*number))))
        .collect())
}

/// Logs before number `log` of which nothing was seen, since the oldest of `seen`.
fn skipped(seen: &BTreeSet<u64>, log: u64) -> u64 {
    let oldest = seen.first().copied().unwrap_or(log);
    let passed = seen.range(..log).count() as u64;
    log.saturating_sub(oldest).saturating_sub(passed)
}

/// Number of the log that a checkpoint claims to be of. The claim is verified later.
fn number_of(checkpoint: &str, gateway: &GatewayId) -> Option<u64> {
    let origin = checkpoint.lines().next()?;
    if origin == gateway.audit_origin() {
        return Some(1);
    }
    let number: u64 = origin
        .strip_prefix(&gateway.audit_origin())?
        .strip_prefix('.')?
        .parse()
        .ok()?;
    (origin == gateway.audit_origin_of(number)).then_some(number)
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

    #[test]
    fn a_log_is_known_by_its_origin_alone() {
        let gateway: GatewayId = "gw".parse().unwrap();
        let number = |origin: &str| number_of(&format!("{origin}\n1\nx\n"), &gateway);
        assert_eq!(
            (number("gw/audit"), number("gw/audit.2"), number("gw/audit.17")),
            (Some(1), Some(2), Some(17))
        );
        for other in [
            "gw/audit.1",
            "gw/audit.02",
            "gw/audit.",
            "gw/auditor",
            "x/audit.2",
            "gw/directory",
            "",
        ] {
            assert_eq!(number(other), None, "{other}");
        }
    }

    #[test]
    fn a_log_that_was_skipped_is_told_as_long_as_older_ones_are_kept() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path());
        let told = |log| skipped(&seen(&home).unwrap(), log);
        let see = |log| {
            let folder = home.log(&folder_of(log));
            std::fs::create_dir(&folder).unwrap();
            std::fs::write(folder.join("checkpoint"), "x").unwrap();
        };
        assert_eq!(
            (newest(&home).unwrap(), told(3)),
            (1, 0),
            "who has seen none has skipped none"
        );
        see(1);
        assert_eq!((newest(&home).unwrap(), told(2), told(4)), (1, 0, 2));
        std::fs::create_dir(home.log("audit.9")).unwrap();
        assert_eq!(newest(&home).unwrap(), 1, "a log without a checkpoint was not seen");
        see(4);
        assert_eq!((newest(&home).unwrap(), told(4)), (4, 2), "it is told again");
        assert_eq!(told(5), 2, "and of every successor");
        see(5);
        assert_eq!((newest(&home).unwrap(), told(7)), (5, 3));
        std::fs::rename(home.log("audit"), dir.path().join("kept elsewhere")).unwrap();
        assert_eq!((told(5), told(7)), (0, 1));
    }

    #[test]
    fn a_successor_begins_with_a_restart_and_nothing_else() {
        let gateway: GatewayId = "gw".parse().unwrap();
        let restart = Restart {
            log: 2,
            checkpoint: "the last one".into(),
            kept: 3,
            first: 4,
            records: Some(5),
        };
        let mut entry = leaf("x", 1, None);
        entry.event = EventType::DrRestore;
        entry.object = restart.object(&gateway);
        entry.data = Some(restart.data());
        let lines = [vec![entry.line().unwrap()], log()].concat();
        assert_eq!(restart_in(&lines, &gateway, 2), Ok(restart));
        for (lines, log) in [(lines[1..].to_vec(), 2), (lines, 3), (Vec::new(), 2)] {
            let refused = restart_in(&lines, &gateway, log).unwrap_err();
            assert!(matches!(refused, LogError::Restart(..)), "{refused}");
        }
    }
}
