//! The payload on its way: parts are fetched ahead in order, and one thread verifies, opens and writes each segment.

use std::collections::VecDeque;
use std::sync::Arc;

use sealpost_proto::id::TransferId;
use sealpost_proto::sealed::{PayloadLayout, Reason};
use sealpost_sealed::{PayloadOpener, UnpackError, Unpacker};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::{AbortHandle, JoinHandle};

use super::keep::ContainerWriter;
use super::recorder::Recorder;
use super::staging::Staging;
use crate::api::Api;
use crate::buffers::{BufferPool, PooledBuffer};
use crate::error::Error;
use crate::progress::Progress;
use crate::resume::patience::persist;

/// Parts that are fetched at once; one more is being opened.
pub(super) const DOWNLOADS: usize = 3;

/// How the parts of one transfer are fetched.
pub(super) struct Fetching {
    pub(super) api: Arc<Api>,
    pub(super) transfer: TransferId,
    pub(super) layout: PayloadLayout,
    pub(super) pool: BufferPool,
    pub(super) progress: Arc<dyn Progress>,
}

impl Fetching {
    /// Fetches all parts from `first` on and hands them on in order. Ends early, without an error, when nobody takes them any more.
    pub(super) async fn run(self, first: u64, parts: Sender<PooledBuffer>) -> Result<(), Error> {
        let mut ahead: VecDeque<Fetch> = VecDeque::new();
        let mut next = first;
        while next < self.layout.parts() || !ahead.is_empty() {
            while ahead.len() < DOWNLOADS && next < self.layout.parts() {
                let range = self.layout.part_range(next).ok_or(Reason::Leaves)?;
                ahead.push_back(Fetch::start(&self, range));
                next += 1;
            }
            let Some(oldest) = ahead.pop_front() else { break };
            if parts.send(oldest.finish().await?).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A part that is being fetched; stops when it is dropped.
struct Fetch(JoinHandle<Result<PooledBuffer, Error>>, AbortHandle);

impl Fetch {
    fn start(fetching: &Fetching, range: std::ops::Range<u64>) -> Self {
        let (api, transfer) = (Arc::clone(&fetching.api), fetching.transfer);
        let (pool, progress) = (fetching.pool.clone(), Arc::clone(&fetching.progress));
        let task = tokio::spawn(async move {
            let taken = tokio::task::spawn_blocking(move || pool.take()).await;
            let buffer = tokio::sync::Mutex::new(taken.map_err(|_| Error::Internal("a buffer"))?);
            persist(&*progress, || async {
                let mut buffer = buffer.lock().await;
                api.payload(&transfer, range.clone(), &mut buffer).await
            })
            .await?;
            Ok(buffer.into_inner())
        });
        let abort = task.abort_handle();
        Self(task, abort)
    }

    async fn finish(mut self) -> Result<PooledBuffer, Error> {
        (&mut self.0).await.map_err(|_| Error::Internal("a download stopped"))?
    }
}

impl Drop for Fetch {
    fn drop(&mut self) {
        self.1.abort();
    }
}

/// What the plaintext goes through.
pub(super) struct Unpacking<'a> {
    pub(super) payload: &'a PayloadOpener<'a>,
    /// Has taken the plaintext of all parts before `first`.
    pub(super) unpacker: Unpacker<'a>,
    pub(super) first: u64,
    pub(super) staging: &'a mut Staging,
    pub(super) container: Option<&'a mut ContainerWriter>,
    pub(super) recorder: Option<&'a Recorder>,
    pub(super) progress: &'a dyn Progress,
}

impl Unpacking<'_> {
    /// Verifies and opens every segment, and writes the plaintext into staging. Blocks the thread.
    pub(super) fn run(mut self, mut parts: Receiver<PooledBuffer>) -> Result<(), Error> {
        for number in self.first..self.payload.layout().parts() {
            let mut part = parts.blocking_recv().ok_or(Error::Internal("downloading stopped"))?;
            if let Some(container) = &mut self.container {
                container.write(&part)?;
            }
            self.stage(number, &mut part)?;
            self.progress.advance(part.len() as u64);
        }
        Ok(self.unpacker.finish()?)
    }

    fn stage(&mut self, number: u64, part: &mut [u8]) -> Result<(), Error> {
        let (unpacker, staging) = (&mut self.unpacker, &mut *self.staging);
        let mut files = Vec::new();
        self.payload.open_part(number, part, |plaintext| {
            let pushed = unpacker.push(plaintext, |file, bytes| {
                if files.last() != Some(&file) {
                    files.push(file);
                }
                staging.write(file, bytes)
            });
            pushed.map_err(|error| match error {
                UnpackError::Refused(reason) => Error::Rejected(reason),
                UnpackError::Sink(error) => error,
            })
        })?;
        if let Some(recorder) = self.recorder {
            let paths = files.into_iter().map(|file| self.staging.path(file)).collect();
            recorder.staged(number, self.unpacker.mark(), paths);
        }
        Ok(())
    }
}
