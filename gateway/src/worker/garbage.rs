//! Blobs that nothing refers to: what a gateway that stopped between storing one and recording it has left (security.md 9.5).
//!
//! Mark and sweep, against the ledger. A blob is garbage when it was written two days ago or earlier and its transfer is unknown, or
//! sealed without it, or swept. Of a transfer that is not sealed yet nothing is touched: its sender may still bring the same part,
//! which takes the old one's place. Shares are not here: they wait an hour, not two days.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use super::blobs::blobs_of;
use super::clock::{ClockState, ClockWatch};
use crate::domain::Transfer;
use crate::store::StoreError;
use crate::store::blob::{BlobEntry, BlobKey, BlobStore};
use crate::store::views::Views;

/// Age in seconds below which nothing is garbage.
const GRACE: u64 = 48 * 3_600;

/// Time between two collections. There is one at every start, because what ended before it may have been a crash.
const INTERVAL: Duration = Duration::from_secs(86_400);

/// Blobs that are looked at in one go.
const PAGE: usize = 1_024;

/// Most blobs that are marked before they are removed.
const MARKED: usize = 16 * PAGE;

/// What a collection came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Blobs removed.
    pub blobs: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Removes what nothing refers to.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Garbage {
    /// Questions to the state.
    pub views: Arc<dyn Views>,
    /// Envelopes and parts.
    pub blobs: Arc<dyn BlobStore>,
    /// Whether the time can be trusted.
    pub watch: Arc<ClockWatch>,
    /// Held for writing while a blob is removed, so that none is one that is just being recorded.
    pub share_gate: Arc<RwLock<()>>,
}

impl Garbage {
    /// Collects at the start and once a day, for as long as the gateway runs. A failure is logged, and the next day tries again.
    pub async fn run(&self) {
        loop {
            if let Err(error) = self.once().await {
                tracing::error!(
                    ?error,
                    "unused blobs could not be removed; it will be tried again tomorrow"
                );
            }
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// One collection. Counts what it found before it removes anything.
    ///
    /// # Errors
    /// [`StoreError`] of the first read or removal that failed.
    pub async fn once(&self) -> Result<Collected, StoreError> {
        let mut collected = Collected::default();
        let mut after = None;
        // How old something is is a matter of the clock.
        while self.watch.state() == ClockState::Trusted {
            let (marked, last) = self.mark(after).await?;
            let bytes: u64 = marked.iter().map(|entry| entry.len).sum();
            tracing::info!(blobs = marked.len(), bytes, "blobs found that nothing refers to");
            for entry in marked {
                if self.remove(&entry.key).await? {
                    collected.blobs += 1;
                    collected.bytes += entry.len;
                }
            }
            if last.is_none() {
                break;
            }
            after = last;
        }
        Ok(collected)
    }

    /// Garbage behind `after`, and the last key looked at unless there are no more.
    async fn mark(&self, mut after: Option<BlobKey>) -> Result<(Vec<BlobEntry>, Option<BlobKey>), StoreError> {
        let mut marked = Vec::new();
        let oldest_kept = self.watch.destruction_time().saturating_sub(GRACE);
        while marked.len() < MARKED {
            let page = self.blobs.list(after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else {
                return Ok((marked, None));
            };
            after = Some(last.key.clone());
            for entry in page {
                if entry.written_at <= oldest_kept && self.is_garbage(&entry.key).await? {
                    marked.push(entry);
                }
            }
        }
        Ok((marked, after))
    }

    /// Removes a blob unless it has come to be needed since it was marked.
    async fn remove(&self, key: &BlobKey) -> Result<bool, StoreError> {
        let _gate = self.share_gate.write().await;
        if !self.is_garbage(key).await? {
            return Ok(false);
        }
        tracing::info!(blob = key.as_str(), "removing a blob that nothing refers to");
        self.blobs.delete(key).await?;
        Ok(true)
    }

    async fn is_garbage(&self, key: &BlobKey) -> Result<bool, StoreError> {
        let Some(id) = key.transfer() else {
            return Ok(false);
        };
        let transfer = self.views.transfer(&id).await?;
        Ok(transfer.is_none_or(|transfer| !may_need(&transfer, key)))
    }
}

/// Whether the transfer refers to the blob, or may do so yet.
fn may_need(transfer: &Transfer, key: &BlobKey) -> bool {
    if transfer.sealed.is_none() {
        return true;
    }
    if transfer.shredded.is_some_and(|shredded| shredded.is_swept) {
        return false;
    }
    blobs_of(transfer).contains(key)
}

#[cfg(test)]
mod tests;
