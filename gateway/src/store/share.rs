//! PORT: release shares and the ring of day keys that shreds them (security.md 3.10).
//!
//! Contract. A share is kept wrapped (AES-256-GCM, AAD = transfer id and `share_commit`) under the key of its expiry day (UTC).
//! `put` answers `Ok` only when the wrapped share is durable; an equal re-put succeeds. `take` needs the witness that the
//! ledger returned for the opening, so no share leaves before its leaf is durable; a witness without leaves is refused. `destroy` answers `Ok` only when the row
//! is gone for good (overwritten and synced); destroying a missing row succeeds. `end_days_before` destroys the keys of days that
//! have ended; `replace_key` gives a day a new key and wraps the survivors anew, so that no copy of a destroyed row opens either.
//! Neither rows nor ring are ever part of the journal, a snapshot or a backup.

use std::collections::BTreeSet;

use async_trait::async_trait;
use sealpost_proto::id::{Hash, TransferId};
use zeroize::Zeroizing;

use super::StoreError;
use super::ledger::Committed;
use crate::domain::Sealed;

/// Days since 1970-01-01 UTC: the day on which a share expires.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct Day(pub u32);

impl Day {
    /// The day in which a second of unix time lies.
    #[must_use]
    pub fn of(seconds: u64) -> Self {
        Self(u32::try_from(seconds / 86_400).unwrap_or(u32::MAX))
    }
}

/// Which share: its transfer, the commitment in the header, and the day under whose key it is wrapped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ShareRef {
    /// The transfer.
    pub transfer: TransferId,
    /// `share_commit` of its header.
    pub commit: Hash,
    /// The day of `expires_at`.
    pub day: Day,
}

impl ShareRef {
    /// Where the share of a transfer is kept; none if its header commits to none. Who keeps, takes and destroys it asks here, so
    /// that all three mean the same row.
    #[must_use]
    pub fn of(transfer: TransferId, commit: Option<Hash>, expires_at: u64) -> Option<Self> {
        Some(Self {
            transfer,
            commit: commit?,
            day: Day::of(expires_at),
        })
    }

    /// Where the share of a sealed transfer is kept; none if its header commits to none.
    #[must_use]
    pub fn of_sealed(transfer: TransferId, sealed: &Sealed) -> Option<Self> {
        Self::of(transfer, sealed.share_commit, sealed.expires_at)
    }
}

/// A release share (`G`), wiped when dropped.
pub type Share = Zeroizing<[u8; 32]>;

/// Release shares, destroyable.
#[async_trait]
pub trait ShareStore: Send + Sync {
    /// Keeps a share.
    async fn put(&self, share: &ShareRef, value: &Share) -> Result<(), StoreError>;
    /// Hands out a share after the release was written down.
    async fn take(&self, share: &ShareRef, witness: &Committed) -> Result<Share, StoreError>;
    /// Destroys a share.
    async fn destroy(&self, share: &ShareRef) -> Result<(), StoreError>;
    /// Destroys the keys and rows of all days before `day` but those in `kept`.
    async fn end_days_before(&self, day: Day, kept: &BTreeSet<Day>) -> Result<(), StoreError>;
    /// Replaces the key of a day and wraps what is left of it anew.
    async fn replace_key(&self, day: Day) -> Result<(), StoreError>;
    /// Shares that are kept but that no key of the ring opens, as with a ring that was lost or is another gateway's. One row of each
    /// key is tried, and all of them when it fails: rows of one key were wrapped under the same one.
    async fn unusable(&self) -> Result<Vec<ShareRef>, StoreError>;
    /// Every share that is kept, for the sweep that compares them with the ledger.
    async fn list(&self) -> Result<Vec<ShareRef>, StoreError>;
}
