//! The step that destroys a share: the row, the note of the ledger's position, the record that it is done. Whoever ends a transfer
//! takes it at once, and the sweep for those that end by themselves and where somebody was interrupted.

use std::sync::Arc;

use async_trait::async_trait;
use sealpost_proto::id::TransferId;

use crate::domain::{Effects, Key, Loaded, Stamp, Transfer, shredding};
use crate::failpoint;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, transact};
use crate::store::share::{ShareRef, ShareStore};
use crate::store::views::Views;

/// Notes how far the ledger is, outside the data folder: after a share was destroyed, and soon after any record. So a data folder
/// from before is noticed at the next start.
#[async_trait]
pub trait Position: Send + Sync {
    /// Notes it durably; what the ledger says is durable already. Writes nothing if the ledger is as far as was noted last.
    async fn note(&self) -> Result<(), StoreError>;
}

/// Destroys the shares of transfers that have ended. Clones share everything.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct ShareShredder {
    ledger: Arc<dyn Ledger>,
    views: Arc<dyn Views>,
    shares: Arc<dyn ShareStore>,
    position: Arc<dyn Position>,
}

impl ShareShredder {
    /// A shredder over these ports.
    #[must_use]
    pub fn new(
        ledger: Arc<dyn Ledger>,
        views: Arc<dyn Views>,
        shares: Arc<dyn ShareStore>,
        position: Arc<dyn Position>,
    ) -> Self {
        Self {
            ledger,
            views,
            shares,
            position,
        }
    }

    /// Destroys the share of a transfer of which it is recorded that it has ended. That somebody else did it at the same time
    /// is as good.
    ///
    /// # Errors
    /// [`StoreError`]; the sweep tries again.
    pub async fn destroy(&self, ended: &Transfer) -> Result<(), StoreError> {
        if let Some(share) = share_ref(ended) {
            self.shares.destroy(&share).await?;
            failpoint::reach("share-destroyed");
            self.position.note().await?;
        }
        let id = ended.id;
        let decide = move |loaded: &Loaded, at: Stamp| match shredding::destroyed(loaded, at, &id) {
            Ok(((), effects)) => (true, effects),
            Err(_) => (false, Effects::none()),
        };
        let (is_recorded, _) = transact(self.ledger.as_ref(), vec![Key::Transfer(id)], decide).await?;
        if is_recorded || !self.awaits_destruction(&id).await? {
            return Ok(());
        }
        Err(StoreError::Conflict)
    }

    async fn awaits_destruction(&self, id: &TransferId) -> Result<bool, StoreError> {
        let transfer = self.views.transfer(id).await?;
        Ok(transfer.is_some_and(|t| t.awaits_destruction()))
    }
}

/// The share of a sealed transfer, if its header asks for one.
pub(super) fn share_ref(transfer: &Transfer) -> Option<ShareRef> {
    ShareRef::of_sealed(transfer.id, transfer.sealed.as_ref()?)
}
