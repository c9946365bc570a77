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
