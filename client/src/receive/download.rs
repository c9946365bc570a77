//! The payload on its way: parts are fetched ahead in order, and one thread verifies, opens and writes each segment.

use std::collections::VecDeque;
use std::sync::Arc;

use sealpost_proto::id::TransferId;
use sealpost_proto::sealed::{PayloadLayout, Reason};
use sealpost_sealed::{Opener, UnpackError, Unpacker};
use tokio::sync::mpsc::{Receiver, Sender};
use tokio::task::{AbortHandle, JoinHandle};

use super::keep::ContainerWriter;
use super::staging::Staging;
use crate::api::Api;
use crate::buffers::{BufferPool, PooledBuffer};
use crate::error::Error;
use crate::progress::Progress;

/// Parts that are fetched at once; one more is being opened.
pub(super) const DOWNLOADS: usize = 3;

/// Fetches all parts and hands them on in order. Ends early, without an error, when nobody takes them any more.
pub(super) async fn fetch(
    api: &Arc<Api>,
    transfer: TransferId,
    layout: PayloadLayout,
    pool: BufferPool,
    parts: Sender<PooledBuffer>,
) -> Result<(), Error> {
    let mut ahead: VecDeque<Fetch> = VecDeque::new();
    let mut next = 0;
    while next < layout.parts() || !ahead.is_empty() {
        while ahead.len() < DOWNLOADS && next < layout.parts() {
            let range = layout.part_range(next).ok_or(Reason::Leaves)?;
            ahead.push_back(Fetch::start(Arc::clone(api), transfer, range, pool.clone()));
            next += 1;
        }
        let Some(oldest) = ahead.pop_front() else { break };
        if parts.send(oldest.finish().await?).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// A part that is being fetched; stops when it is dropped.
struct Fetch(JoinHandle<Result<PooledBuffer, Error>>, AbortHandle);

impl Fetch {
    fn start(api: Arc<Api>, transfer: TransferId, range: std::ops::Range<u64>, pool: BufferPool) -> Self {
        let task = tokio::spawn(async move {
            let taken = tokio::task::spawn_blocking(move || pool.take()).await;
            let mut buffer = taken.map_err(|_| Error::Internal("a buffer"))?;
            api.payload(&transfer, range, &mut buffer).await?;
            Ok(buffer)
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

/// Verifies and opens every segment, and writes the plaintext into staging. Blocks the thread.
pub(super) fn unpack(
    opener: &Opener,
    leaf_list: &[u8],
    mut parts: Receiver<PooledBuffer>,
    staging: &mut Staging,
    mut container: Option<&mut ContainerWriter>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let payload = opener.payload(leaf_list)?;
    let layout = *payload.layout();
    let mut unpacker = Unpacker::new(opener.manifest(), &layout);
    for number in 0..layout.parts() {
        let mut part = parts.blocking_recv().ok_or(Error::Internal("downloading stopped"))?;
        let len = part.len() as u64;
        if let Some(container) = &mut container {
            container.write(&part)?;
        }
        let mut rest = part.as_mut_slice();
        for index in layout.part_segments(number) {
            let len = layout.stored_segment_len(index).ok_or(Reason::Leaves)?;
            let (stored, later) = rest.split_at_mut_checked(len).ok_or(Reason::Leaves)?;
            rest = later;
            let plaintext = payload.open_segment(index, stored)?;
            unpacker
                .push(plaintext, |file, bytes| staging.write(file, bytes))
                .map_err(|error| match error {
                    UnpackError::Refused(reason) => Error::Rejected(reason),
                    UnpackError::Sink(error) => error,
                })?;
        }
        progress.advance(len);
    }
    unpacker.finish()?;
    Ok(())
}
