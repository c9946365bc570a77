//! Holding: at every start, transfers whose release share is not here are held until their senders hand it over again
//! (security.md 9.5). So a data folder that was put back, or a ring that was lost, brings nothing to life.
//!
//! What it costs: the ids of all rows are in memory once the shares are open, and the ids of all transfers that need one come in
//! pages; only the difference is loaded. Nothing is written when there is none.

use std::collections::HashSet;
use std::sync::Arc;

use futures_util::future::join_all;
use sealpost_proto::id::{GatewayId, TransferId};

use crate::domain::{Effects, Key, Requester, Stamp, holding, restoring};
use crate::store::StoreError;
use crate::store::ledger::{Ledger, transact};
use crate::store::share::{ShareRef, ShareStore};
use crate::store::views::Views;

/// Ids compared at once.
const PAGE: usize = 65_536;

/// Records that wait for their frame together.
const BATCH: usize = 256;

/// Holds what has no share.
#[expect(missing_debug_implementations, reason = "the ports in it have none")]
pub struct Hold {
    /// State changes and leaves.
    pub ledger: Arc<dyn Ledger>,
    /// Questions to the state.
    pub views: Arc<dyn Views>,
    /// Release shares.
    pub shares: Arc<dyn ShareStore>,
    /// Who this gateway is, for leaves.
    pub gateway: GatewayId,
}

impl Hold {
    /// Holds every transfer whose share is missing or can no longer be unwrapped, and says how many these are. Called before
    /// anything is served, after what is due was destroyed. Until it is done nothing is released either: there is no share.
    ///
    /// # Errors
    /// [`StoreError`]; a later call goes on.
    pub async fn missing(&self) -> Result<u64, StoreError> {
        let unusable = self.shares.unusable().await?;
        let lost: HashSet<&ShareRef> = unusable.iter().collect();
        let rows = self.shares.list().await?;
        let here: HashSet<TransferId> = rows
            .iter()
            .filter(|row| !lost.contains(row))
            .map(|row| row.transfer)
            .collect();
        let held = self.all_but(&here).await?;
        // The leaf is there; a row that nothing opens is of no more use.
        for share in &unusable {
            self.shares.destroy(share).await?;
        }
        if held > 0 {
            tracing::warn!(
                held,
                "transfers are held: their release shares are not here, as after a restore; their senders have to re-arm them"
            );
        }
        Ok(held)
    }

    async fn all_but(&self, here: &HashSet<TransferId>) -> Result<u64, StoreError> {
        let mut held = 0;
        let mut after = None;
        loop {
            let page = self.views.sealed_unended(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(held);
            };
            after = Some(*last);
            let missing: Vec<TransferId> = page.into_iter().filter(|id| !here.contains(id)).collect();
            for batch in missing.chunks(BATCH) {
                let done = join_all(batch.iter().map(|id| self.hold(*id))).await;
                for is_held in done {
                    held += u64::from(is_held?);
                }
            }
        }
    }

    /// Records that a transfer is held; `false` if it has ended meanwhile.
    async fn hold(&self, id: TransferId) -> Result<bool, StoreError> {
        let by: Requester = restoring::itself(&self.gateway);
        let decide = move |loaded: &_, at: Stamp| match holding::hold(loaded, at, &id, &by) {
            Ok(((), effects)) => (true, effects),
            Err(_) => (false, Effects::none()),
        };
        let (is_held, _) = transact(self.ledger.as_ref(), vec![Key::Transfer(id)], decide).await?;
        Ok(is_held)
    }
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::Label;
    use sealpost_proto::log::{EventType, Leaf};
    use zeroize::Zeroizing;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::Change;
    use crate::domain::fixture::{Clinic, NOW, SHARE};
    use crate::random::SystemRandom;
    use crate::store::embedded::{EmbeddedLedger, EmbeddedShares};
    use crate::store::folder::PrivateFolder;

    struct House {
        hold: Hold,
        ledger: Arc<EmbeddedLedger>,
        shares: Arc<EmbeddedShares>,
    }

    fn open(root: &std::path::Path) -> House {
        let data = PrivateFolder::open(&root.join("data")).unwrap();
        let ring = PrivateFolder::open(&root.join("ring")).unwrap();
        let random = Arc::new(SystemRandom);
        let ledger = EmbeddedLedger::open(&data, "1", Arc::new(SystemClock), random.clone()).unwrap();
        let ledger = Arc::new(ledger);
        let shares = Arc::new(EmbeddedShares::open(&data, &ring, random).unwrap());
        House {
            hold: Hold {
                ledger: ledger.clone(),
                views: ledger.clone(),
                shares: shares.clone(),
                gateway: "gw.example".parse().unwrap(),
            },
            ledger,
            shares,
        }
    }

    /// Seals transfer number `n` with its share, without asking anybody.
    async fn seal(house: &House, clinic: &mut Clinic, n: u8) -> ShareRef {
        let id = TransferId::from_bytes([n; 16]);
        clinic.sent(id, 3, None);
        let sealed = clinic.sealed(id);
        let share = ShareRef::of_sealed(id, &sealed).unwrap();
        house.shares.put(&share, &Zeroizing::new(SHARE)).await.unwrap();
        let change = Change::TransferSealed {
            transfer: id,
            sender: Label::from_bytes([1; 32]),
            sealed: Box::new(sealed),
        };
        commit(house, id, vec![change]).await;
        share
    }

    async fn commit(house: &House, id: TransferId, changes: Vec<Change>) {
        let effects = Effects {
            changes,
            leaves: Vec::new(),
        };
        let decide = move |_: &_, _| ((), effects.clone());
        transact(house.ledger.as_ref(), vec![Key::Transfer(id)], decide)
            .await
            .unwrap();
    }

    async fn held_leaves(house: &House) -> Vec<String> {
        let lines = house.ledger.audit_leaves(0, 1_000).await.unwrap();
        let leaves = lines.iter().map(|line| line.parse::<Leaf>().unwrap());
        let held = leaves.filter(|leaf| leaf.event == EventType::TransferHeld);
        held.map(|leaf| leaf.object.id).collect()
    }

    #[tokio::test]
    async fn what_has_no_share_is_held_once_and_what_has_one_is_not() {
        let root = tempfile::tempdir().unwrap();
        let mut clinic = Clinic::new();
        let house = open(root.path());
        let mut shares = Vec::new();
        for n in 1..=3 {
            shares.push(seal(&house, &mut clinic, n).await);
        }
        assert_eq!(house.hold.missing().await.unwrap(), 0);
        house.shares.destroy(&shares[1]).await.unwrap();
        assert_eq!(house.hold.missing().await.unwrap(), 1);
        assert_eq!(house.hold.missing().await.unwrap(), 0, "once");
        assert_eq!(held_leaves(&house).await, [shares[1].transfer.to_string()]);
    }

    #[tokio::test]
    async fn what_has_ended_is_not_held() {
        let root = tempfile::tempdir().unwrap();
        let mut clinic = Clinic::new();
        let house = open(root.path());
        let share = seal(&house, &mut clinic, 1).await;
        let ended = Change::TransferShredded {
            transfer: share.transfer,
            cause: crate::domain::ShredCause::Revoked,
            at: NOW,
        };
        commit(&house, share.transfer, vec![ended]).await;
        house.shares.destroy(&share).await.unwrap();
        assert_eq!(house.hold.missing().await.unwrap(), 0);
        assert!(held_leaves(&house).await.is_empty());
    }

    #[tokio::test]
    async fn shares_of_a_lost_ring_are_held_and_their_rows_go() {
        let root = tempfile::tempdir().unwrap();
        let mut clinic = Clinic::new();
        let house = open(root.path());
        for n in 1..=2 {
            seal(&house, &mut clinic, n).await;
        }
        drop(house);
        std::fs::remove_file(root.path().join("ring/ring")).unwrap();
        let house = open(root.path());
        assert_eq!(house.hold.missing().await.unwrap(), 2);
        assert!(house.shares.list().await.unwrap().is_empty());
        assert_eq!(held_leaves(&house).await.len(), 2);
    }
}
