//! Both logs as the signer reads them: a size, and lines by index.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::store::StoreError;
use crate::store::ledger::Ledger;
use crate::store::views::Views;

/// A log whose leaves are all durable and never change.
#[async_trait]
pub trait LogSource: Send + Sync {
    /// Number of leaves.
    async fn size(&self) -> Result<u64, StoreError>;
    /// Size and head of the tree over all leaves, as the store keeps them; none if it keeps none for this log.
    async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError>;
    /// Leaves from index `from`, at most `limit`.
    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError>;
}

/// The audit log of a ledger: its leaves, or after a loss those from the successor's first on.
#[derive(Clone)]
pub struct AuditLog {
    ledger: Arc<dyn Ledger>,
    /// Leaves of the ledger before it.
    first: u64,
}

impl AuditLog {
    /// The log that begins behind `first` leaves of the ledger.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, first: u64) -> Self {
        Self { ledger, first }
    }
}

/// The directory log: the statements of the organisation.
#[derive(Clone)]
pub struct DirectoryLog(pub Arc<dyn Views>);

#[async_trait]
impl LogSource for AuditLog {
    async fn size(&self) -> Result<u64, StoreError> {
        Ok(self.ledger.audit_head().await?.0.saturating_sub(self.first))
    }

    async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        // The ledger's tree is over all its leaves: a successor's are a part of them.
        Ok(match self.first {
            0 => Some(self.ledger.audit_head().await?),
            _ => None,
        })
    }

    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.ledger.audit_leaves(self.first.saturating_add(from), limit).await
    }
}

#[async_trait]
impl LogSource for DirectoryLog {
    async fn size(&self) -> Result<u64, StoreError> {
        Ok(self.0.organisation().await?.size())
    }

    async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        let organisation = self.0.organisation().await?;
        Ok(Some((organisation.size(), *organisation.head().as_bytes())))
    }

    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        let organisation = self.0.organisation().await?;
        let skip = usize::try_from(from).unwrap_or(usize::MAX);
        let statements = organisation.statements.iter().skip(skip).take(limit);
        Ok(statements.map(|statement| statement.leaf.clone()).collect())
    }
}

impl Debug for AuditLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditLog(..)")
    }
}

impl Debug for DirectoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DirectoryLog(..)")
    }
}
