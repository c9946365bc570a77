//! PORT: heads of logs that this gateway has vouched for.
//!
//! Contract. One cell per log: size, head, and the right edge of the tree under it, from which a signer goes on without reading the log
//! again from its beginning. `advance` answers `Ok` only when the cell is durable; an equal one succeeds; a smaller one, and
//! another one of the same size, is [`StoreError::Conflict`], and the cell stays as it was. The cells lie apart from the
//! ledger, so that a ledger put back from an old copy does not bring the memory of what it forgot (security.md 6.4).

use std::fmt::Debug;

use async_trait::async_trait;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::Tree;

use crate::store::StoreError;

/// Heads of logs that this gateway has vouched for.
#[async_trait]
pub trait VouchedHeads: Debug + Send + Sync {
    /// The last head of the log with this origin.
    async fn last(&self, origin: &str) -> Result<Option<Checkpoint>, StoreError>;
    /// The tree under the last head; none if there is no head, or it was remembered without a tree.
    async fn tree(&self, origin: &str) -> Result<Option<Tree>, StoreError>;
    /// Remembers the next head of a log, with the tree under it.
    async fn advance(&self, origin: &str, tree: &Tree) -> Result<(), StoreError>;
}
