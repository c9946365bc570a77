//! Writing down how far staging has come, on a thread of its own: a part counts once its plaintext is durable.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sealpost_proto::id::Hash;

use super::state::{Receiving, ReceivingRecord};
use crate::env::Env;
use crate::error::Error;
use crate::platform;

/// Parts that may be staged before the disk has caught up.
const AHEAD: usize = 4;
/// Parts of more files than this are made durable together.
const FEW_FILES: usize = 16;
/// Most parts that are made durable together on purpose.
const TOGETHER: usize = 8;

/// A part in staging.
struct StagedPart {
    number: u64,
    blake3: Hash,
    files: Vec<PathBuf>,
}

/// The thread.
#[derive(Debug)]
pub(super) struct Recorder {
    queue: Option<SyncSender<StagedPart>>,
    /// All is staged, and about to be made durable together.
    is_whole: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Receiving, Error>>>,
}

impl Recorder {
    /// Starts it; with `is_kept` false it holds the journal and writes nothing down.
    pub(super) fn start(receiving: Receiving, folder: PathBuf, env: Env, is_kept: bool) -> Self {
        let (queue, staged) = sync_channel(AHEAD);
        let is_whole = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&is_whole);
        let thread = std::thread::spawn(move || write_down(receiving, &folder, &env, &staged, &is_over));
        Self {
            queue: is_kept.then_some(queue),
            is_whole,
            thread: Some(thread),
        }
    }

    /// Takes a part whose plaintext was written to `files`.
    pub(super) fn staged(&self, number: u64, blake3: Hash, files: Vec<PathBuf>) {
        if let Some(queue) = &self.queue {
            // When the thread has stopped, `finish` tells why.
            let _ = queue.send(StagedPart { number, blake3, files });
        }
    }

    /// Waits until all is written down; of a transfer that `is_whole`, for what is just being written alone.
    pub(super) fn finish(mut self, is_whole: bool) -> Result<Receiving, Error> {
        self.is_whole.store(is_whole, Ordering::Relaxed);
        self.queue = None;
        let ended = self.thread.take().and_then(|thread| thread.join().ok());
        ended.unwrap_or(Err(Error::Internal("the thread that writes down what is staged")))
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // The journal is free for others once the thread has ended; what it came to does not matter any more.
            let _ = thread.join();
        }
    }
}

/// Parts that have come while the disk was busy are made durable together; those of many small files wait for each other, since one sync
/// of many files costs as much as one of more.
fn write_down(
    mut receiving: Receiving,
    folder: &std::path::Path,
    env: &Env,
    staged: &Receiver<StagedPart>,
    is_whole: &AtomicBool,
) -> Result<Receiving, Error> {
    let mut parts = Vec::new();
    while let Ok(next) = staged.recv() {
        parts.push(next);
        parts.extend(staged.try_iter());
        let files: usize = parts.iter().map(|part| part.files.len()).sum();
        if files <= FEW_FILES || parts.len() >= TOGETHER {
            write_parts(&mut receiving, folder, env, std::mem::take(&mut parts), is_whole)?;
        }
    }
    write_parts(&mut receiving, folder, env, parts, is_whole)?;
    Ok(receiving)
}

fn write_parts(
    receiving: &mut Receiving,
    folder: &std::path::Path,
    env: &Env,
    parts: Vec<StagedPart>,
    is_whole: &AtomicBool,
) -> Result<(), Error> {
    if parts.is_empty() || is_whole.load(Ordering::Relaxed) {
        return Ok(());
    }
    let files: BTreeSet<&PathBuf> = parts.iter().flat_map(|part| &part.files).collect();
    let files: Vec<PathBuf> = files.into_iter().cloned().collect();
    platform::sync_files(folder, &files).map_err(|error| Error::file("write", folder, error))?;
    for StagedPart { number, blake3, .. } in parts {
        receiving.append(&ReceivingRecord::Part { number, blake3 }, env)?;
    }
    Ok(())
}
