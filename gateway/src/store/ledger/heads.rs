//! PORT: heads of logs that this gateway has vouched for.
//!
//! Contract. One cell per log. `advance` answers `Ok` only when the head is durable; an equal one succeeds; a smaller one, and
//! another one of the same size, is [`StoreError::Conflict`], and the cell stays as it was. The cells lie apart from the
//! ledger, so that a ledger put back from an old copy does not bring the memory of what it forgot (security.md 6.4).

use std::fmt::Debug;

use async_trait::async_trait;
use sealpost_proto::log::Checkpoint;

use crate::store::StoreError;

/// Heads of logs that this gateway has vouched for.
#[async_trait]
pub trait VouchedHeads: Debug + Send + Sync {
    /// The last head of the log with this origin.
    async fn last(&self, origin: &str) -> Result<Option<Checkpoint>, StoreError>;
    /// Remembers the next head of a log.
    async fn advance(&self, head: &Checkpoint) -> Result<(), StoreError>;
}
