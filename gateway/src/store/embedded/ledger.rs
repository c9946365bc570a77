//! The ledger on one machine: a start, then a queue in front of the committer (security.md 9.2).

use std::fs;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use tokio::sync::{mpsc, oneshot, watch};

use super::ahead::Ahead;
use super::book::Book;
use super::committer::{Chain, Committer, Job};
use super::drain::{Bounds, Signal};
use super::journal::{FILE_LEN, FileIo, JournalReader, Options, SystemIo};
use super::leaves::Selection;
use super::salvage;
use super::snapshot;
use super::stamps::Stamps;
use super::start::{Setup, Started, start};
use super::verification::{Verification, VerificationState};
use crate::clock::Clock;
use crate::domain::Key;
use crate::random::Random;
use crate::store::StoreError;
use crate::store::folder::PrivateFolder;
use crate::store::ledger::{Committed, Decide, Ledger};
use crate::store::open::OpenError;
use crate::store::views::Watchers;

/// Decisions that may wait; more wait in their callers.
const QUEUE: usize = 1024;

/// The ledger and its views, in the data folder.
#[derive(Debug)]
pub struct EmbeddedLedger {
    /// Taken when the ledger is dropped, which ends the committer.
    queue: Option<mpsc::Sender<Job>>,
    committer: Option<JoinHandle<()>>,
    drain: Option<JoinHandle<()>>,
    /// Threads that may end at any time.
    background: Vec<JoinHandle<()>>,
    pub(super) book: Arc<Book>,
    signal: Arc<Signal>,
    snapshots: Arc<snapshot::Signal>,
    verification: Arc<Mutex<VerificationState>>,
    journal: JournalReader,
    stop: watch::Receiver<Option<String>>,
    /// Who is told of records.
    pub(super) watchers: Arc<Watchers>,
    /// Keeps the lock.
    _folder: PrivateFolder,
}

/// How a ledger is opened, where that is not always the same.
#[derive(Debug, Clone)]
pub(super) struct How {
    /// Length of journal files.
    pub(super) file_len: u64,
    pub(super) io: Arc<dyn FileIo>,
    pub(super) bounds: Bounds,
    /// What tells this run of the machine from others.
    pub(super) boot: Option<String>,
}

impl Default for How {
    fn default() -> Self {
        Self {
            file_len: FILE_LEN,
            io: Arc::new(SystemIo),
            bounds: Bounds::default(),
            boot: boot(),
        }
    }
}

/// What Linux draws at each boot; elsewhere nothing, and views are made again after every unclean end.
fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl EmbeddedLedger {
    /// Opens the ledger in `folder` (or begins one), brings its views up to the journal and starts the committer. `node` names this
    /// gateway process in leaves.
    ///
    /// # Errors
    /// [`OpenError`]; after [`OpenError::Corrupt`] nothing was changed.
    pub fn open(
        folder: &PrivateFolder,
        node: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, OpenError> {
        Self::open_with(folder, node, clock, random, How::default())
    }

    pub(super) fn open_with(
        folder: &PrivateFolder,
        node: &str,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        how: How,
    ) -> Result<Self, OpenError> {
        let journal = Options {
            folder: salvage::journal_folder(folder)?,
            file_len: how.file_len,
            io: how.io,
            random: Arc::clone(&random),
        };
        let setup = Setup {
            journal,
            views: folder.path().join("views"),
            snapshots: folder.subfolder("snapshots")?,
            bounds: how.bounds,
            boot: how.boot,
        };
        let started = start(&setup)?;
        let snapshots = Arc::new(snapshot::Signal::default());
        let (stop, stopped) = watch::channel(None);
        let (queue, jobs) = mpsc::channel(QUEUE);
        let reader = started.journal.reader();
        let (verification, verifier) = verification(&started);
        let worker = snapshot::Worker {
            signal: Arc::clone(&snapshots),
            journal: setup.journal.folder.clone(),
            snapshots: setup.snapshots,
            file_len: how.file_len,
            io: setup.journal.io,
            verification: Arc::clone(&verification),
        };
        let mark = started.book.read().mark().clone();
        let watchers = Arc::<Watchers>::default();
        let committer = Committer {
            journal: started.journal,
            ahead: Ahead::of(Arc::clone(started.book.read().organisation())),
            book: Arc::clone(&started.book),
            chain: Chain {
                node: node.to_owned(),
                random,
                resident: started.resident,
            },
            signal: Arc::clone(&started.signal),
            closed: Arc::clone(&snapshots),
            stamps: Stamps::new(clock.as_ref(), mark.millis),
            clock,
            stop,
            watchers: Arc::clone(&watchers),
        };
        // What was closed before this start.
        snapshots.file_closed();
        let (drain, ending) = (started.drain, Arc::clone(&snapshots));
        let path = folder.path();
        let io = OpenError::io;
        Ok(Self {
            committer: Some(spawn("committer", move || committer.run(jobs)).map_err(io(path, "given a thread"))?),
            drain: Some(spawn("drain", move || drain.run()).map_err(io(path, "given a thread"))?),
            background: vec![
                spawn("snapshots", move || worker.run()).map_err(io(path, "given a thread"))?,
                spawn("verification", move || verifier.run(ending.is_ending())).map_err(io(path, "given a thread"))?,
            ],
            queue: Some(queue),
            book: started.book,
            signal: started.signal,
            snapshots,
            verification,
            journal: reader,
            stop: stopped,
            watchers,
            _folder: folder.clone(),
        })
    }

    /// Waits until the ledger can take nothing more, and says why. The process must end then.
    pub async fn stopped(&self) -> String {
        let mut stop = self.stop.clone();
        let reason = stop
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_else(|| "the ledger's committer has ended".to_owned())
    }

    /// How far the verification of the whole journal has come: a start reads its last part alone.
    #[must_use]
    pub fn verification(&self) -> VerificationState {
        let state = self.verification.lock().unwrap_or_else(PoisonError::into_inner);
        state.clone()
    }

    /// Asks the views, away from other tasks if sled may keep the question waiting.
    pub(super) async fn ask<T, F>(&self, question: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Book) -> io::Result<T> + Send + 'static,
    {
        // After a frame failed, nobody knows whether it is there.
        if self.stop.borrow().is_some() || self.stop.has_changed().is_err() {
            return Err(unavailable());
        }
        let answer = if self.book.is_busy() {
            let book = Arc::clone(&self.book);
            let asked = tokio::task::spawn_blocking(move || question(&book)).await;
            asked.map_err(io::Error::other).flatten()
        } else {
            question(&self.book)
        };
        answer.map_err(StoreError::Unavailable)
    }
}

fn verification(started: &Started) -> (Arc<Mutex<VerificationState>>, Verification) {
    let state = Arc::new(Mutex::new(VerificationState::Running));
    let verification = Verification {
        files: started.files.clone(),
        verified_from: started.verified_from,
        state: Arc::clone(&state),
    };
    (state, verification)
}

impl Drop for EmbeddedLedger {
    /// Ends the committer, lets the drain leave all there is in sled, and ends the rest.
    fn drop(&mut self) {
        self.queue = None;
        self.snapshots.end();
        // A thread that panicked has said so already.
        if let Some(thread) = self.committer.take() {
            let _ = thread.join();
        }
        self.signal.end();
        if let Some(thread) = self.drain.take() {
            let _ = thread.join();
        }
        for thread in self.background.drain(..) {
            let _ = thread.join();
        }
    }
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name.to_owned()).spawn(work)
}

fn unavailable() -> StoreError {
    StoreError::Unavailable(io::Error::other("the ledger has stopped"))
}

#[async_trait]
impl Ledger for EmbeddedLedger {
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError> {
        self.signal.room().await.map_err(StoreError::Unavailable)?;
        let named = keys.clone();
        let preloaded = self.ask(move |book| book.preload(&named)).await?;
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or_else(unavailable)?;
        let job = Job {
            keys,
            preloaded,
            decide,
            reply,
        };
        queue.send(job).await.map_err(|_| unavailable())?;
        answer.await.map_err(|_| unavailable())?
    }

    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        let Some(selection) = self.ask(move |book| Selection::of(book, from, limit)).await? else {
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
        self.ask(|book| {
            let overlay = book.read();
            Ok((overlay.mark().tree.size(), overlay.mark().tree.head()))
        })
        .await
    }
}

#[cfg(test)]
mod tests;
