//! Writing down how far staging has come, on a thread of its own: a part counts once its plaintext is durable.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use sealpost_proto::id::Hash;

use super::state::{Receiving, ReceivingRecord};
use crate::env::Env;
use crate::error::Error;
use crate::platform;

/// Parts that may be staged before the disk has caught up.
const AHEAD: usize = 4;

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
    thread: Option<JoinHandle<Result<Receiving, Error>>>,
}

impl Recorder {
    /// Starts it; with `is_kept` false it holds the journal and writes nothing down.
    pub(super) fn start(receiving: Receiving, folder: PathBuf, env: Env, is_kept: bool) -> Self {
        let (queue, staged) = sync_channel(AHEAD);
        let thread = std::thread::spawn(move || write_down(receiving, &folder, &env, &staged));
        Self {
            queue: is_kept.then_some(queue),
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

    /// Waits until all is written down.
    pub(super) fn finish(mut self) -> Result<Receiving, Error> {
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

fn write_down(
    mut receiving: Receiving,
    folder: &std::path::Path,
    env: &Env,
    staged: &Receiver<StagedPart>,
) -> Result<Receiving, Error> {
    for StagedPart { number, blake3, files } in staged {
        platform::sync_files(folder, &files).map_err(|error| Error::file("write", folder, error))?;
        receiving.append(&ReceivingRecord::Part { number, blake3 }, env)?;
    }
    Ok(receiving)
}
