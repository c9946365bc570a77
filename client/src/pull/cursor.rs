//! How far the inbox has been pulled: the position up to which everything is received, or will never be.

use std::collections::BTreeMap;
use std::path::Path;

use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Label, TransferId};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};

use super::folders;
use crate::error::Error;
use crate::session::Session;

/// Pauses before something that failed is tried again.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Kept {
    position: u64,
}

/// The cursor of one folder and one choice of senders.
#[derive(Debug)]
pub(super) struct Cursor {
    name: String,
    kept: Kept,
    /// Up to where everything has been looked at, in this run.
    seen: u64,
    /// What failed and is tried again, by position: the kept cursor stays before the first of them.
    behind: BTreeMap<u64, Behind>,
}

/// Something that failed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Behind {
    pub(super) transfer: TransferId,
    due: Instant,
    pause: Duration,
}

impl Cursor {
    /// The kept one, or the beginning of the inbox.
    pub(super) fn load(session: &Session, into: &Path, from: &[Label]) -> Result<Self, Error> {
        let mut scope = folders::state_name(session, into);
        let mut labels: Vec<String> = from.iter().map(ToString::to_string).collect();
        labels.sort();
        labels.dedup();
        for label in labels {
            scope.push_str(&label);
        }
        let name = format!("cursor-{}", hex(&sealpost_proto::crypto::sha256(&[scope.as_bytes()])));
        let kept: Kept = session.state.get("pull", &name)?.unwrap_or_default();
        Ok(Self {
            seen: kept.position,
            name,
            kept,
            behind: BTreeMap::new(),
        })
    }

    /// Behind which position there is something to look at.
    pub(super) fn seen(&self) -> u64 {
        self.seen
    }

    /// Everything up to here has been looked at.
    pub(super) fn seen_to(&mut self, position: u64) {
        self.seen = self.seen.max(position);
    }

    /// Everything comes again behind this position, smaller or larger than before: the gateway was put back from a copy, or began
    /// another log, and numbers mean something else now.
    pub(super) fn begin_at(&mut self, position: u64) {
        let is_another_log = position > self.seen;
        self.seen = position;
        // What failed comes again too, under another number.
        self.behind.retain(|at, _| *at <= position && !is_another_log);
    }

    /// What stands here failed; it will be tried again.
    pub(super) fn failed(&mut self, position: u64, transfer: TransferId) {
        let before = self.behind.get(&position).map(|behind| behind.pause);
        let pause = before.map_or(FIRST_PAUSE, |pause| (pause * 2).min(LONGEST_PAUSE));
        let due = Instant::now() + pause;
        self.behind.insert(position, Behind { transfer, due, pause });
    }

    /// What stands here needs no other try.
    pub(super) fn settled(&mut self, position: u64) {
        self.behind.remove(&position);
    }

    /// What is to be tried again now.
    pub(super) fn due(&self) -> Vec<(u64, TransferId)> {
        let now = Instant::now();
        let due = self.behind.iter().filter(|(_, behind)| behind.due <= now);
        due.map(|(position, behind)| (*position, behind.transfer)).collect()
    }

    /// Writes down where a later run goes on.
    pub(super) fn keep(&mut self, session: &Session) -> Result<(), Error> {
        let before_first = self.behind.keys().next().map(|first| first.saturating_sub(1));
        let position = before_first.map_or(self.seen, |before| before.min(self.seen));
        if position == self.kept.position {
            return Ok(());
        }
        self.kept.position = position;
        session.state.put("pull", &self.name, &self.kept, &session.env)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::receive::tests::sealed;

    const ID: TransferId = TransferId::from_bytes([7; 16]);

    #[test]
    fn the_gateways_cursor_is_taken_in_both_directions() {
        let sealed = sealed(&[1]);
        let load = || Cursor::load(&sealed.session, Path::new("in"), &[]).unwrap();
        let mut cursor = load();
        cursor.seen_to(9);
        cursor.failed(5, ID);
        cursor.begin_at(2);
        assert_eq!((cursor.seen(), cursor.behind.len()), (2, 0), "put back from a copy");
        cursor.seen_to(9);
        cursor.failed(5, ID);
        let another_log = 1 << 48;
        cursor.begin_at(another_log);
        assert_eq!((cursor.seen(), cursor.behind.len()), (another_log, 0));
        cursor.seen_to(another_log + 3);
        cursor.keep(&sealed.session).unwrap();
        assert_eq!(load().seen(), another_log + 3);
    }
}
