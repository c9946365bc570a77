//! Signs checkpoints of a log, and never two histories of it.
//!
//! The signer keeps a tree of its own, also over restarts, and feeds it the leaves that came since it signed last. So what it signs
//! extends what it signed before by construction; a log that has shrunk or changed under it is refused. Order: leaves -> head -> head
//! remembered -> signature -> published. A crash in between publishes the same checkpoint later: Ed25519 is deterministic.

use std::sync::Arc;
use std::time::Duration;

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::Hash;
use sealpost_proto::key::note::NoteError;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::{Tree, leaf_hash};
use thiserror::Error;
use tokio::time::Instant;

use super::source::LogSource;
use crate::failpoint;
use crate::store::StoreError;
use crate::store::ledger::heads::VouchedHeads;

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
         older copy: put the newest one back. If there is none, `sealpost-gateway journal repair` shows what is lost, and with \
         --accept-loss the gateway goes on from here with a new log that says so."
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
    /// The log has a successor already, which the data folder does not know.
    #[error(
        "the log {origin} has ended: this gateway has already gone on with {successor}. The data folder is from before that: put \
         the newest one back. If there is none, `sealpost-gateway journal repair` shows what is lost, and with --accept-loss the \
         gateway goes on from here with a new log that says so."
    )]
    Ended {
        /// Name of the log.
        origin: String,
        /// Name of the one after it.
        successor: String,
    },
    /// The log could not be read, or what is signed could not be remembered.
    #[error("the log or the signer's memory could not be used: {0}")]
    Store(#[from] StoreError),
    /// The name of the log cannot stand in a note.
    #[error("the name of the log cannot stand in a checkpoint: {0}")]
    Origin(#[from] NoteError),
}

impl From<SignerError> for StoreError {
    fn from(error: SignerError) -> Self {
        match error {
            SignerError::Store(error) => error,
            other => Self::Corrupt(other.to_string()),
        }
    }
}

/// Signs checkpoints of one log. Several signers share one memory.
#[derive(Debug)]
pub struct Signer<S> {
    origin: String,
    source: S,
    key: SigningKey,
    heads: Arc<dyn VouchedHeads>,
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
        heads: Arc<dyn VouchedHeads>,
    ) -> Result<Self, SignerError> {
        let signer = Self {
            origin,
            source,
            key,
            heads,
            pace: PACE,
            progress: tokio::sync::Mutex::new(Progress {
                tree: Tree::new(),
                signed: None,
            }),
        };
        let mut progress = signer.progress.lock().await;
        if !signer.go_on(&mut progress.tree).await? {
            signer.compare_with_last(&mut progress.tree).await?;
        }
        drop(progress);
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
        let checkpoint = self.vouch(&mut progress.tree).await?;
        let text = checkpoint.sign(&self.key)?.to_string();
        failpoint::reach("checkpoint-signed");
        progress.signed = Some((checkpoint, text.clone(), Instant::now()));
        Ok(text)
    }

    /// Remembers how long the log is now, without a checkpoint, so that a data folder from before is noticed. All of what the source
    /// shows is durable, and so is all that is remembered.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn note_position(&self) -> Result<(), SignerError> {
        let mut progress = self.progress.lock().await;
        self.vouch(&mut progress.tree).await?;
        Ok(())
    }

    /// Goes on from the tree that is remembered with the last head: reads what came since, and compares the whole with the head that
    /// the store has, which is over all leaves. `false` if one of them is not known; then the log has to be read from its beginning.
    async fn go_on(&self, tree: &mut Tree) -> Result<bool, SignerError> {
        let Some(mut remembered) = self.heads.tree(&self.origin).await? else {
            return Ok(false);
        };
        let Some((size, head)) = self.source.head().await? else {
            return Ok(false);
        };
        let known = remembered.size();
        self.size_after(known).await?;
        self.follow(&mut remembered, size).await?;
        if remembered.head() != head {
            let origin = self.origin.clone();
            return Err(SignerError::Forked { origin, size: known });
        }
        *tree = remembered;
        Ok(true)
    }

    /// Follows the log up to a head that was vouched for, and compares.
    async fn compare(&self, tree: &mut Tree, head: &Checkpoint) -> Result<(), SignerError> {
        self.size_after(head.size).await?;
        self.follow(tree, head.size).await?;
        if (tree.size(), tree.head()) == (head.size, *head.root.as_bytes()) {
            return Ok(());
        }
        Err(SignerError::Forked {
            origin: self.origin.clone(),
            size: head.size,
        })
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

    /// Follows the log to its end and remembers its head.
    async fn vouch(&self, tree: &mut Tree) -> Result<Checkpoint, SignerError> {
        loop {
            let size = self.size_after(tree.size()).await?;
            self.follow(tree, size).await?;
            let checkpoint = Checkpoint {
                origin: self.origin.clone(),
                size,
                root: Hash::from_bytes(tree.head()),
            };
            match self.heads.advance(&self.origin, tree).await {
                Ok(()) => return Ok(checkpoint),
                // Another one remembered more in the meantime. It must be of the same log.
                Err(StoreError::Conflict) => self.compare_with_last(tree).await?,
                Err(other) => return Err(other.into()),
            }
        }
    }

    async fn compare_with_last(&self, tree: &mut Tree) -> Result<(), SignerError> {
        match self.heads.last(&self.origin).await? {
            Some(head) => self.compare(tree, &head).await,
            None => Ok(()),
        }
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
}

#[cfg(test)]
mod tests;
