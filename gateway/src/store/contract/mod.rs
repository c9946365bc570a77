//! One suite per port: what its prose promises, shown on any adapter. Tests of each adapter call these with a fresh store.
//!
//! A suite panics (`assert!`) where a promise is broken and returns an error where a store fails that must not.

mod blob;
mod heads;
mod ledger;
pub(in crate::store) mod sample;
mod share;
mod views;

pub use blob::blobs;
pub use heads::heads;
pub use ledger::{ledger, ledger_survives};
pub use share::{shares, shares_survive};
pub use views::views;

/// What a suite returns.
pub type Outcome = Result<(), Box<dyn std::error::Error + Send + Sync>>;
