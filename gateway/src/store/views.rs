//! PORT: questions to the state, each with its consistency.
//!
//! Contract. Every answer includes all records whose commit was acknowledged before the question was asked. Pages are in
//! ledger order, newest first, and `before` is the position of the last item of the page before.

use std::sync::Arc;

use async_trait::async_trait;
use sealpost_proto::id::{Hash, InviteId, Label, TransferId};

use super::StoreError;
use crate::domain::{Invite, Organisation, Transfer};

/// One page of transfers with their positions.
pub type Page = Vec<(u64, Arc<Transfer>)>;

/// Questions to the state.
#[async_trait]
pub trait Views: Send + Sync {
    /// The organisation: its directory, addresses and owner.
    async fn organisation(&self) -> Result<Arc<Organisation>, StoreError>;
    /// One transfer, in any state.
    async fn transfer(&self, id: &TransferId) -> Result<Option<Arc<Transfer>>, StoreError>;
    /// The transfer that has a link with this hash of its id: of several the one that was sealed first, for ever.
    async fn link(&self, hash: &Hash) -> Result<Option<TransferId>, StoreError>;
    /// Stored bytes of all transfers that are not yet swept or removed: of one sender, or of all.
    async fn stored_bytes(&self, sender: Option<&Label>) -> Result<u64, StoreError>;
    /// One invitation.
    async fn invite(&self, id: &InviteId) -> Result<Option<Arc<Invite>>, StoreError>;
    /// All invitations.
    async fn invites(&self) -> Result<Vec<Arc<Invite>>, StoreError>;
    /// Sealed transfers to this person.
    async fn inbox(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError>;
    /// Sealed transfers from this person.
    async fn sent(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError>;
    /// Transfers with work for the sweep at `now` (unix seconds): shares to destroy, unsealed ones to drop.
    async fn due(&self, now: u64, limit: usize) -> Result<Vec<TransferId>, StoreError>;
    /// Sealed transfers that need a share, have not ended and are not held, in the order of their ids, behind `after`: ids alone,
    /// because there may be a million of them at every start.
    async fn sealed_unended(&self, after: Option<TransferId>, limit: usize) -> Result<Vec<TransferId>, StoreError>;
}
