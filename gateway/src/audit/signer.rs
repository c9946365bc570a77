//! Signs checkpoints of a log, and never two histories of it.
//!
//! The signer keeps a tree of its own and feeds it the leaves that came since it signed last. So what it signs extends what
//! it signed before by construction; a log that has shrunk or changed under it is refused. Order: leaves -> head -> memory
//! synced -> signature -> published. A crash in between publishes the same checkpoint later: Ed25519 is deterministic.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::Hash;
use sealpost_proto::key::note::NoteError;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::{Tree, leaf_hash};
use thiserror::Error;
use tokio::time::Instant;

use super::memory::Memory;
use super::source::LogSource;
use crate::store::StoreError;
use crate::store::open::OpenError;

/// Leaves read at once.
const PAGE: usize = 4_096;
/// Time between two new checkpoints of a log, at least.
const PACE: Duration = Duration::from_secs(1);

/// Why a checkpoint was not signed. All but [`SignerError::Store`] need an operator.
#[derive(Debug, Error)]
pub enum SignerError {
    /// The log has fewer leaves than were signed.
    #[error(
        "the log {origin} has {found} entries, but this gateway has already vouched for {remembered}. The data folder is an \
         older copy: put the newest one back, because going on from here would show two histories."
    )]
    Behind {
        /// Name of the log.
        origin: String,
        /// Entries it has.
        found: u64,
        /// Entries that were signed.
        remembered: u64,
    },
    /// The log's first leaves are not those that were signed.
    #[error(
        "the first {size} entries of the log {origin} are not those that this gateway has vouched for. The data folder and the \
         key ring's folder do not belong together: put the right ones back."
    )]
    Forked {
        /// Name of the log.
        origin: String,
        /// Entries that were signed.
        size: u64,
    },
    /// The log could not be read.
    #[error("the log could not be read: {0}")]
    Store(#[from] StoreError),
    /// What was signed could not be remembered.
    #[error("the signer could not remember what it signs: {0}")]
    Memory(#[from] std::io::Error),
    /// The memory could not be read.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The name of the log cannot stand in a note.
    #[error("the name of the log cannot stand in a checkpoint: {0}")]
    Origin(#[from] NoteError),
}

impl From<SignerError> for StoreError {
    fn from(error: SignerError) -> Self {
        match error {
            SignerError::Store(error) => error,
            SignerError::Memory(error) => Self::Unavailable(error),
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Signs checkpoints of one log. Several signers share one [`Memory`].
#[derive(Debug)]
pub struct Signer<S> {
    origin: String,
    source: S,
    key: SigningKey,
    memory: Arc<Mutex<Memory>>,
    pace: Duration,
    progress: tokio::sync::Mutex<Progress>,
}

/// How far the signer has followed the log.
#[derive(Debug)]
struct Progress {
    tree: Tree,
    signed: Option<(Checkpoint, String, Instant)>,
}

impl<S: LogSource> Signer<S> {
    /// A signer of the log `origin`, after it has compared the log with what was signed before. Call it before anything is
    /// served: an error means that the gateway must not start.
    ///
    /// # Errors
    /// [`SignerError::Behind`] or [`SignerError::Forked`] if the data folder is not the newest; [`SignerError::Store`].
    pub async fn open(
        origin: String,
        source: S,
        key: SigningKey,
        memory: Arc<Mutex<Memory>>,
    ) -> Result<Self, SignerError> {
        let remembered = memory.lock().unwrap_or_else(PoisonError::into_inner).last(&origin);
        let mut signer = Self {
            origin,
            source,
            key,
            memory,
            pace: PACE,
            progress: tokio::sync::Mutex::new(Progress {
                tree: Tree::new(),
                signed: None,
            }),
        };
        if let Some((size, root)) = remembered {
            signer.compare(size, root).await?;
        }
        Ok(signer)
    }

    /// The signed checkpoint of all that is in the log now. A new one is made at most once a second: callers wait for it.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn checkpoint(&self) -> Result<String, SignerError> {
        let mut progress = self.progress.lock().await;
        if let Some((last, text, at)) = &progress.signed {
            if self.size_after(last.size).await? == last.size {
                return Ok(text.clone());
            }
            tokio::time::sleep_until(*at + self.pace).await;
        }
        let checkpoint = self.advance(&mut progress.tree).await?;
        self.save(&checkpoint).await?;
        let text = checkpoint.sign(&self.key)?.to_string();
        progress.signed = Some((checkpoint, text.clone(), Instant::now()));
        Ok(text)
    }

    /// Remembers how long the log is now, without a checkpoint: when a share is destroyed, so that a data folder from before
    /// is noticed.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn note_position(&self) -> Result<(), SignerError> {
        let mut progress = self.progress.lock().await;
        let checkpoint = self.advance(&mut progress.tree).await?;
        self.save(&checkpoint).await
    }

    /// Follows the log up to `size` and compares heads.
    async fn compare(&mut self, size: u64, root: Hash) -> Result<(), SignerError> {
        self.size_after(size).await?;
        let mut tree = Tree::new();
        self.follow(&mut tree, size).await?;
        if tree.head() != *root.as_bytes() {
            let origin = self.origin.clone();
            return Err(SignerError::Forked { origin, size });
        }
        self.progress.get_mut().tree = tree;
        Ok(())
    }

    /// The log's size, which must not be below `known`.
    async fn size_after(&self, known: u64) -> Result<u64, SignerError> {
        let found = self.source.size().await?;
        if found < known {
            return Err(SignerError::Behind {
                origin: self.origin.clone(),
                found,
                remembered: known,
            });
        }
        Ok(found)
    }

    async fn advance(&self, tree: &mut Tree) -> Result<Checkpoint, SignerError> {
        let size = self.size_after(tree.size()).await?;
        self.follow(tree, size).await?;
        Ok(Checkpoint {
            origin: self.origin.clone(),
            size,
            root: Hash::from_bytes(tree.head()),
        })
    }

    async fn follow(&self, tree: &mut Tree, size: u64) -> Result<(), SignerError> {
        while tree.size() < size {
            let limit = usize::try_from(size - tree.size()).unwrap_or(PAGE).min(PAGE);
            let leaves = self.source.leaves(tree.size(), limit).await?;
            if leaves.is_empty() || leaves.len() > limit {
                return Err(StoreError::Corrupt("the log has not as many entries as it says".to_owned()).into());
            }
            leaves.iter().for_each(|leaf| tree.push(leaf_hash(leaf.as_bytes())));
        }
        Ok(())
    }

    async fn save(&self, checkpoint: &Checkpoint) -> Result<(), SignerError> {
        let (memory, remembered) = (Arc::clone(&self.memory), checkpoint.clone());
        let save = move || {
            memory
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .remember(&remembered)
        };
        let is_next = tokio::task::spawn_blocking(save)
            .await
            .map_err(std::io::Error::other)??;
        if is_next {
            return Ok(());
        }
        Err(SignerError::Forked {
            origin: self.origin.clone(),
            size: checkpoint.size,
        })
    }
}

#[cfg(test)]
mod tests;
