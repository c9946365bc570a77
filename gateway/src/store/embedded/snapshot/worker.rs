//! The thread that makes snapshots when enough of the journal was closed. It may fail at any time: the journal has everything.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{list, make, named, path_of};
use crate::store::durable;
use crate::store::embedded::journal::{self, FileIo};
use crate::store::embedded::verification::{self, VerificationState};
use crate::store::open::OpenError;

/// Snapshots that are kept; none but good ones.
const KEPT: usize = 2;

/// What wakes and ends the worker.
#[derive(Debug, Default)]
pub(in crate::store::embedded) struct Signal {
    is_due: Mutex<bool>,
    changed: Condvar,
    is_ending: AtomicBool,
}

impl Signal {
    /// A file of the journal was closed.
    pub(in crate::store::embedded) fn file_closed(&self) {
        *self.is_due.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_one();
    }

    /// Ends the worker; what it was making is dropped.
    pub(in crate::store::embedded) fn end(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.file_closed();
    }

    /// Whether work in the background has to end.
    pub(in crate::store::embedded) fn is_ending(&self) -> &AtomicBool {
        &self.is_ending
    }

    /// Waits for work; `false` when it has to end.
    fn wait(&self) -> bool {
        let due = self.is_due.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.changed.wait_while(due, |is_due| !*is_due);
        *waited.unwrap_or_else(PoisonError::into_inner) = false;
        !self.is_ending.load(Ordering::Relaxed)
    }
}

/// The worker; owned by its thread.
#[derive(Debug)]
pub(in crate::store::embedded) struct Worker {
    pub(in crate::store::embedded) signal: Arc<Signal>,
    /// Folder of the journal.
    pub(in crate::store::embedded) journal: PathBuf,
    /// Folder of the snapshots.
    pub(in crate::store::embedded) snapshots: PathBuf,
    /// Length of a journal file.
    pub(in crate::store::embedded) file_len: u64,
    pub(in crate::store::embedded) io: Arc<dyn FileIo>,
    /// Where damage of the journal is told that is met here.
    pub(in crate::store::embedded) verification: Arc<Mutex<VerificationState>>,
}

impl Worker {
    /// Works until it is told to end.
    pub(in crate::store::embedded) fn run(self) {
        while self.signal.wait() {
            match self.work() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => return,
                Err(error) => tracing::error!(%error, "a snapshot could not be made; going on without"),
                Ok(()) => {}
            }
        }
    }

    /// Makes a snapshot if it is time for one: when the closed files it would add are as long as half the last one, and at least
    /// one, so that all snapshots together cost a few times what the journal does.
    pub(in crate::store::embedded) fn work(&self) -> io::Result<()> {
        let files = journal::survey(&self.journal).map_err(io::Error::other)?;
        let known = list(&self.snapshots, &files).map_err(io::Error::other)?;
        let last = known.first();
        let from = last.map_or(0, |snapshot| snapshot.next_file);
        let closed = (files.len().saturating_sub(1 + from)) as u64 * self.file_len;
        if closed < self.file_len.max(last.map_or(0, |snapshot| snapshot.len / 2)) {
            return Ok(());
        }
        self.io.before_drain()?;
        // One that cannot be read is passed over: an older one, and more of the journal.
        let candidates = known.iter().map(Some).chain([None]);
        let mut failed = None;
        for before in candidates {
            match self.make(&files, before) {
                Err(error) if is_of_journal(&error) => {
                    verification::fail(&self.verification, &error);
                    return Err(error);
                }
                Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                    tracing::warn!(%error, "a snapshot cannot be read back; beginning with the one before");
                    failed = Some(error);
                }
                Err(error) => return Err(error),
                Ok(seq) => {
                    tracing::info!(seq, "made a snapshot");
                    return self.tidy(&files);
                }
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }

    fn make(&self, files: &[journal::FileHead], before: Option<&super::Snapshot>) -> io::Result<u64> {
        let unfinished = self.snapshots.join("next.unfinished");
        let target = |seq| path_of(&self.snapshots, seq);
        make::make(files, before, &unfinished, target, self.signal.is_ending())
    }

    /// Removes all but the newest: older ones, and what is none of this journal or damaged.
    fn tidy(&self, files: &[journal::FileHead]) -> io::Result<()> {
        let good = list(&self.snapshots, files).map_err(io::Error::other)?;
        for path in named(&self.snapshots)? {
            if !good.iter().take(KEPT).any(|kept| kept.path == path) {
                fs::remove_file(&path)?;
            }
        }
        durable::sync_folder(&self.snapshots)
    }
}

/// Whether it was the journal that could not be read back, and not a snapshot.
fn is_of_journal(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(<dyn std::error::Error + Send + Sync>::is::<OpenError>)
}
