//! Shares that no seal refers to: a gateway that stopped between storing a share and recording its seal leaves one.

use std::collections::BTreeMap;

use sealpost_proto::id::{Hash, TransferId};

use crate::store::share::ShareRef;

/// Time for which a share may wait for its seal, in seconds.
const PATIENCE: u64 = 3_600;

/// Time between two searches, in seconds: they read every share.
const INTERVAL: u64 = 600;

/// Since when a share was seen without a seal. Kept in memory: a restart only makes the wait longer.
#[derive(Debug, Default)]
pub(super) struct Orphans {
    since: BTreeMap<(TransferId, Hash), u64>,
    searched_at: Option<u64>,
}

impl Orphans {
    /// Whether it is time to search again at `now` (unix seconds).
    pub(super) fn is_time(&mut self, now: u64) -> bool {
        let is_time = self.searched_at.is_none_or(|last| now.abs_diff(last) >= INTERVAL);
        if is_time {
            self.searched_at = Some(now);
        }
        is_time
    }

    /// Of the shares that have no seal now, those that had none for long enough.
    pub(super) fn ripe(&mut self, found: Vec<ShareRef>, now: u64) -> Vec<ShareRef> {
        let before = std::mem::take(&mut self.since);
        let mut ripe = Vec::new();
        for share in found {
            let key = (share.transfer, share.commit);
            let since = before.get(&key).copied().unwrap_or(now);
            self.since.insert(key, since);
            if now.saturating_sub(since) >= PATIENCE {
                ripe.push(share);
            }
        }
        ripe
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::share::Day;

    #[test]
    fn a_share_may_wait_an_hour_for_its_seal() {
        let share = |n: u8| ShareRef {
            transfer: TransferId::from_bytes([n; 16]),
            commit: Hash::from_bytes([n; 32]),
            day: Day(7),
        };
        let mut orphans = Orphans::default();
        assert!(orphans.ripe(vec![share(1), share(2)], 1_000).is_empty());
        assert!(
            orphans.ripe(vec![share(2)], 2_000).is_empty(),
            "1 was sealed in between"
        );
        assert_eq!(orphans.ripe(vec![share(1), share(2)], 4_600), vec![share(2)]);
        assert!(orphans.is_time(4_600) && !orphans.is_time(4_700) && orphans.is_time(5_200));
    }
}
