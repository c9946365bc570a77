//! The ledger on one machine: replay at start, then a queue in front of the committer (security.md 9.2).

use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use async_trait::async_trait;
use sealpost_proto::id::{Hash, InviteId, Label, TransferId};
use sealpost_proto::log::{Leaf, Object};
use serde::Deserialize;
use tokio::sync::{mpsc, oneshot, watch};

use super::book::{Book, Entry};
use super::committer::{Chain, Committer, Job};
use super::journal::{FILE_LEN, FileIo, Journal, JournalReader, Options, Replayed, SystemIo};
use super::record::Record;
use super::views::Listing;
use crate::clock::Clock;
use crate::domain::{Change, Invite, Key, Organisation, Transfer};
use crate::random::Random;
use crate::store::StoreError;
use crate::store::folder::PrivateFolder;
use crate::store::ledger::{Committed, Decide, Ledger};
use crate::store::open::OpenError;
use crate::store::views::{Page, Views};

/// Decisions that may wait; more wait in their callers.
const QUEUE: usize = 1024;

/// The ledger and its views, in the data folder.
#[derive(Debug)]
pub struct EmbeddedLedger {
    /// Taken when the ledger is dropped, which ends the committer.
    queue: Option<mpsc::Sender<Job>>,
    committer: Option<JoinHandle<()>>,
    book: Arc<RwLock<Book>>,
    journal: JournalReader,
    stop: watch::Receiver<Option<String>>,
    /// Keeps the lock.
    _folder: PrivateFolder,
}

impl EmbeddedLedger {
    /// Opens the ledger in `folder` (or begins one), replays it and starts the committer. `node` names this gateway process
    /// in leaves.
    ///
    /// # Errors
    /// [`OpenError`]; after [`OpenError::Corrupt`] nothing was changed.
    pub fn open(
        folder: &PrivateFolder,
        node: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        Self::open_with(folder, node, clock, random, FILE_LEN, Arc::new(SystemIo))
    }

    pub(super) fn open_with(
        folder: &PrivateFolder,
        node: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        file_len: u64,
        io: Arc<dyn FileIo>,
    ) -> Result<Self, OpenError> {
        let path = folder.subfolder("journal")?;
        let mut replay = Replay::new(node, Arc::clone(&random));
        let options = Options {
            folder: path.clone(),
            file_len,
            io,
            random,
        };
        let journal = Journal::open(options, &mut |record| replay.take(&record))?;
        let reader = journal.reader();
        replay.book.open();
        let book = Arc::new(RwLock::new(replay.book));
        let (stop, stopped) = watch::channel(None);
        let committer = Committer {
            journal,
            book: Arc::clone(&book),
            chain: replay.chain,
            clock,
            last_millis: replay.last_millis,
            stop,
        };
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = spawn(committer, jobs, &path)?;
        Ok(Self {
            queue: Some(queue),
            committer: Some(thread),
            book,
            journal: reader,
            stop: stopped,
            _folder: folder.clone(),
        })
    }

    /// Waits until the ledger can take nothing more, and says why. The process must end then: what it holds in memory may be
    /// ahead of the disk.
    pub async fn stopped(&self) -> String {
        let mut stop = self.stop.clone();
        let reason = stop
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "the ledger's committer has ended".to_owned())
    }

    fn ask<T>(&self, question: impl FnOnce(&Book) -> T) -> Result<T, StoreError> {
        // What was applied for a frame that failed must not be seen.
        if self.stop.borrow().is_some() || self.stop.has_changed().is_err() {
            return Err(unavailable());
        }
        Ok(question(&self.book.read().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for EmbeddedLedger {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.committer.take() {
            // A committer that panicked has said so already.
            let _ = thread.join();
        }
    }
}

fn spawn(committer: Committer, jobs: mpsc::Receiver<Job>, path: &Path) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name("committer".to_owned())
        .spawn(move || committer.run(jobs))
        .map_err(OpenError::io(path, "given a thread"))
}

fn unavailable() -> StoreError {
    StoreError::Unavailable(io::Error::other("the ledger has stopped"))
}

/// What a replay needs of a leaf. The frame's hash vouches for the rest, and auditors read it whole.
#[derive(Deserialize)]
struct OfLeaf {
    object: Object,
}

/// What is gathered while the journal is read.
struct Replay {
    book: Book,
    chain: Chain,
    last_millis: u64,
}

impl Replay {
    fn new(node: &str, random: Arc<dyn Random>) -> Self {
        Self {
            book: Book::default(),
            chain: Chain {
                node: node.to_owned(),
                random,
                last: std::collections::HashMap::new(),
            },
            last_millis: 0,
        }
    }

    fn take(&mut self, replayed: &Replayed<'_>) -> Result<(), String> {
        let seq = replayed.seq;
        let record = Record::decode(seq, replayed.bytes)?;
        if record.millis < self.last_millis {
            return Err(format!("record {seq} is older than the one before it"));
        }
        self.last_millis = record.millis;
        if record
            .changes
            .iter()
            .any(|change| matches!(change, Change::LossAccepted { .. }))
        {
            // The successor stands for itself: no object has a leaf in it yet.
            self.chain.last.clear();
        }
        for line in &record.leaves {
            let leaf: OfLeaf = serde_json::from_str(line)
                .map_err(|error| format!("record {seq} has a leaf that is none ({error})"))?;
            self.chain.last.insert(leaf.object, Leaf::hash_of(line));
        }
        let changed = self.book.apply(&record.changes);
        let changed = changed.map_err(|error| format!("record {seq}: {error}"))?;
        let lines = record.leaves;
        self.book.publish(replayed.position, &[Entry { seq, changed, lines }]);
        Ok(())
    }
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(unavailable)?;
        let job = Job { keys, decide, reply };
        queue.send(job).await.map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }

    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        let Some(selection) = self.ask(|book| book.leaves().selection(from, limit))? else {
            return Ok(Vec::new());
        };
        let journal = self.journal.clone();
        let read = tokio::task::spawn_blocking(move || selection.read(&journal)).await;
        read.map_err(io::Error::other)
            .flatten()
            .map_err(|error| match error.kind() {
                io::ErrorKind::InvalidData => StoreError::Corrupt("the journal cannot be read back".to_owned()),
                _ => StoreError::Unavailable(error),
            })
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.ask(|book| (book.leaves().size(), book.leaves().head()))
    }
}

#[async_trait]
impl Views for EmbeddedLedger {
    async fn organisation(&self) -> Result<Arc<Organisation>, StoreError> {
        self.ask(Book::organisation)
    }

    async fn transfer(&self, id: &TransferId) -> Result<Option<Arc<Transfer>>, StoreError> {
        self.ask(|book| book.transfer(id))
    }

    async fn link(&self, hash: &Hash) -> Result<Option<TransferId>, StoreError> {
        self.ask(|book| book.indices().link(hash))
    }

    async fn invite(&self, id: &InviteId) -> Result<Option<Arc<Invite>>, StoreError> {
        self.ask(|book| book.invite(id))
    }

    async fn invites(&self) -> Result<Vec<Arc<Invite>>, StoreError> {
        self.ask(|book| book.indices().invites().filter_map(|id| book.invite(id)).collect())
    }

    async fn inbox(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError> {
        self.ask(|book| page(book, book.indices().inbox(), label, before, limit))
    }

    async fn sent(&self, label: &Label, before: Option<u64>, limit: usize) -> Result<Page, StoreError> {
        self.ask(|book| page(book, book.indices().sent(), label, before, limit))
    }

    async fn due(&self, now: u64, limit: usize) -> Result<Vec<TransferId>, StoreError> {
        self.ask(|book| book.indices().due(now).take(limit).copied().collect())
    }

    async fn sealed_unended(&self, after: Option<TransferId>, limit: usize) -> Result<Vec<TransferId>, StoreError> {
        self.ask(|book| book.indices().unended(after).take(limit).copied().collect())
    }
}

fn page(book: &Book, listing: &Listing, label: &Label, before: Option<u64>, limit: usize) -> Page {
    let found = listing.page(label, before).take(limit);
    found
        .filter_map(|(position, id)| Some((position, book.transfer(id)?)))
        .collect()
}

#[cfg(test)]
mod tests;
