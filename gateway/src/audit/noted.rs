//! A ledger whose answers about the directory say more than *durable*: the directory's head is remembered outside the data folder
//! before anybody hears that a statement was taken.
//!
//! So whoever goes on after a loss knows exactly how many statements there were and which (security.md 6.4), and no revocation that
//! was acknowledged is ever undone by a restored folder. Statements are rare; other commits cost one comparison.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::Logs;
use crate::domain::Key;
use crate::store::StoreError;
use crate::store::ledger::{Committed, Decide, Ledger};
use crate::store::views::Views;

/// A ledger that notes the head of the directory log.
pub struct NotedLedger {
    ledger: Arc<dyn Ledger>,
    views: Arc<dyn Views>,
    logs: Arc<Logs>,
    /// Size of the directory log that was noted last.
    noted: AtomicU64,
}

impl NotedLedger {
    /// Notes for `ledger`, whose state `views` shows, with the signer of `logs`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, views: Arc<dyn Views>, logs: Arc<Logs>) -> Self {
        Self {
            ledger,
            views,
            logs,
            noted: AtomicU64::new(0),
        }
    }

    async fn note(&self) -> Result<(), StoreError> {
        let size = self.views.organisation().await?.size();
        if size > self.noted.load(Ordering::Acquire) {
            self.logs.note_directory().await?;
            self.noted.fetch_max(size, Ordering::AcqRel);
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for NotedLedger {
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError> {
        let is_about_directory = keys.contains(&Key::Organisation);
        let committed = self.ledger.commit(keys, decide).await?;
        if is_about_directory {
            // If it fails, nobody hears of the commit; a repetition finds the statements taken and notes them.
            self.note().await?;
        }
        Ok(committed)
    }

    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.ledger.audit_leaves(from, limit).await
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.ledger.audit_head().await
    }
}

impl Debug for NotedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotedLedger(..)")
    }
}
