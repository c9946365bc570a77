//! PORT: the ledger. State changes and audit leaves, durable as one act.
//!
//! Contract. `commit` loads the aggregates that `keys` name, calls `decide` with them and a stamp, and makes its effects durable as one record before
//! it answers; effects without changes and leaves cost no record. `decide` is pure and may be called again (a store that
//! retries on conflict calls it anew), so it must not keep anything of an earlier call. Records are ordered; leaves get
//! consecutive indices in record order; times never decrease. Nothing changes without a record. When the record cannot be
//! made durable the state is as before and the answer is an error (`audit_unavailable` to the caller).

pub mod heads;

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use super::StoreError;
pub use crate::domain::{Effects, Stamp};
use crate::domain::{Key, Loaded};

/// Witness that a decision is durable. Only a ledger can make one.
#[derive(Debug, Clone)]
pub struct Committed {
    at: Stamp,
    leaves: std::ops::Range<u64>,
}

impl Committed {
    pub(in crate::store) fn new(at: Stamp, leaves: std::ops::Range<u64>) -> Self {
        Self { at, leaves }
    }

    /// When it was decided.
    #[must_use]
    pub fn at(&self) -> Stamp {
        self.at
    }

    /// Indices of its leaves in the audit log.
    #[must_use]
    pub fn leaves(&self) -> std::ops::Range<u64> {
        self.leaves.clone()
    }
}

/// A decision, re-runnable.
pub type Decide = Box<dyn FnMut(&Loaded, Stamp) -> Effects + Send>;

/// State changes and audit leaves, durable as one act.
#[async_trait]
pub trait Ledger: Send + Sync {
    /// Decides on the aggregates named by `keys` and makes the effects durable. Changes may touch no others.
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError>;
    /// Lines of the audit log from index `from`, at most `limit`.
    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError>;
    /// Size and head of the audit log, all its leaves durable.
    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError>;
}

/// [`Ledger::commit`] with an outcome: what `decide` returned beside its effects when it was called last.
///
/// # Errors
/// As [`Ledger::commit`].
pub async fn transact<T, F>(ledger: &dyn Ledger, keys: Vec<Key>, mut decide: F) -> Result<(T, Committed), StoreError>
where
    T: Send + 'static,
    F: FnMut(&Loaded, Stamp) -> (T, Effects) + Send + 'static,
{
    let slot = Arc::new(Mutex::new(None));
    let inner = Arc::clone(&slot);
    let committed = ledger
        .commit(
            keys,
            Box::new(move |loaded, stamp| {
                let (outcome, effects) = decide(loaded, stamp);
                *inner.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
                effects
            }),
        )
        .await?;
    let outcome = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    let outcome = outcome.ok_or_else(|| StoreError::Corrupt("the ledger committed without a decision".to_owned()))?;
    Ok((outcome, committed))
}
