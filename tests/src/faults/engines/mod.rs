//! Three engines behind one question: append a record of 1 KiB, update the key that leads to it, answer when both are durable.
//!
//! sled alone, redb, and the gateway's own ledger through its port, each as its documentation says to use it. sled and redb write
//! in groups as the ledger does: one thread takes what is queued and commits it at once, so that no engine is slower than
//! another for want of that.

mod faults;
mod group;
mod measure;
mod ours;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

pub use faults::{Cut, Found, kills, power_cuts};
pub use measure::{Measured, measure};

use super::Outcome;
use super::dice::Dice;

/// Bytes of a record.
pub const RECORD_LEN: usize = 1024;

/// Which engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// sled 0.34, a flush for each group.
    Sled,
    /// redb, a transaction of immediate durability for each group.
    Redb,
    /// The gateway's journal, overlay and views.
    Ours,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sled, Self::Redb, Self::Ours];

    /// Its name at the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Redb => "redb",
            Self::Ours => "ours",
        }
    }

    /// The engine of a name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// Opens it in a folder, or begins it there.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn open(self, folder: &Path) -> Outcome<Arc<dyn Engine>> {
        Ok(match self {
            Self::Sled => Arc::new(group::Grouped::of(group::Sled::open(folder)?)?),
            Self::Redb => Arc::new(group::Grouped::of(group::Redb::open(folder)?)?),
            Self::Ours => Arc::new(ours::Ours::open(folder)?),
        })
    }
}

/// Something that keeps records.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Appends the record of a key. `Ok` means that it is durable, and that the key leads to it.
    async fn append(&self, key: u64) -> Outcome;
    /// Whether the key leads to its record; an error if to anything else.
    async fn check(&self, key: u64) -> Outcome<bool>;
}

/// The record of a key: chance that the key gives, so that whoever reads it knows what it should be.
#[must_use]
pub fn record(key: u64) -> Vec<u8> {
    Dice::new(key).bytes(RECORD_LEN)
}

/// Whether these bytes are the record of a key.
fn is_record(key: u64, found: Option<&[u8]>) -> Outcome<bool> {
    match found {
        None => Ok(false),
        Some(bytes) if bytes == record(key) => Ok(true),
        Some(_) => Err(format!("key {key} leads to other bytes")),
    }
}
