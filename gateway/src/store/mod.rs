//! Ports of the gateway: what it needs of storage, split by guarantee, and the adapters behind them.
//!
//! A port's contract is the prose on its trait; one suite per port runs on every adapter. Drivers hide in `source` of
//! [`StoreError`]. Nothing here knows a rule: rules live in `domain`.
//!
//! On one machine: [`folder::PrivateFolder`] locks the data folder and the ring's, [`fs::FsBlobs`] keeps blobs,
//! [`embedded::EmbeddedLedger`] is ledger and views, [`embedded::EmbeddedShares`] keeps shares and ring,
//! [`embedded::EmbeddedHeads`] what the signer vouched for.

pub mod blob;
#[cfg(any(test, feature = "test-util"))]
pub mod contract;
pub(crate) mod durable;
pub mod embedded;
mod failure;
pub mod folder;
pub mod fs;
pub mod ledger;
pub mod open;
pub mod share;
pub mod views;

use thiserror::Error;

/// What can go wrong in a store, by what the caller can do about it.
#[derive(Debug, Error)]
pub enum StoreError {
    /// There is no such object.
    #[error("the object is not there")]
    NotFound,
    /// Something else is there already.
    #[error("another object is there already")]
    Conflict,
    /// The store cannot do it now; nothing was done. Trying again later may succeed.
    #[error("the store is not available")]
    Unavailable(#[source] std::io::Error),
    /// What is stored is not what was written.
    #[error("the stored data is damaged")]
    Corrupt(String),
}

impl StoreError {
    /// Whether there was no room, and nothing was done for want of it. A disk that failed because it was full is another matter.
    #[must_use]
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Unavailable(error) if failure::is_full(error))
    }
}
