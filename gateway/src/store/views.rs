//! PORT: questions to the state, each with its consistency.
//!
//! Contract. Every answer includes all records whose commit was acknowledged before the question was asked. Pages are in
//! ledger order: newest first, and `before` is the position of the last item of the page before; or oldest first, and `after` is.
//!
//! A transfer's position is the number of the record that sealed it. In the inbox it is that of the record by which it became
//! available last: one that was held and re-armed stands behind all that came before.

mod watch;

use std::sync::Arc;

use async_trait::async_trait;
use sealpost_proto::id::{Hash, InviteId, Label, TransferId};

pub use self::watch::{Concern, MostWatches, News, TooMany, Watch, Watchers};
use super::StoreError;
use crate::domain::{Invite, Organisation, Transfer};

/// One page of transfers with their positions.
pub type Page = Vec<(u64, Arc<Transfer>)>;

/// The same with the ids alone.
pub type Places = Vec<(u64, TransferId)>;

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
    /// Sealed transfers to this person whose positions lie behind `after`, oldest first. While others are sealed, none is missed
    /// or doubled by whoever asks for one page after the other: what stands on a page, and what does not, is settled for good up to
    /// its last position, but for a transfer that is re-armed and moves behind it.
    async fn inbox_after(&self, label: &Label, after: u64, limit: usize) -> Result<Places, StoreError>;
    /// Position of the last record of all.
    async fn position(&self) -> Result<u64, StoreError>;
    /// Begins to watch what concerns this person: news follows for every record that no question from now on would show.
    ///
    /// # Errors
    /// [`TooMany`].
    fn watch(&self, label: &Label, most: MostWatches) -> Result<Watch, TooMany>;
    /// Sealed transfers from this person.
    async fn sent(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError>;
    /// Transfers with work for the sweep at `now` (unix seconds): shares to destroy, unsealed ones to drop.
    async fn due(&self, now: u64, limit: usize) -> Result<Vec<TransferId>, StoreError>;
    /// Sealed transfers that need a share, have not ended and are not held, in the order of their ids, behind `after`: ids alone,
    /// because there may be a million of them at every start.
    async fn sealed_unended(&self, after: Option<TransferId>, limit: usize) -> Result<Vec<TransferId>, StoreError>;
}
