//! One pool of write buffers for all uploads: their number bounds the gateway's memory, and used ones stay warm.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a buffer, which is written at once: whole segments, about 1 MiB.
pub(super) const BUFFER_LEN: usize = 4 * STORED_SEGMENT_LEN;
/// Buffers of the pool.
const BUFFERS: usize = 16;
/// Below this many free buffers nobody may keep a half-full one while waiting for its client.
const FEW: usize = BUFFERS / 4;
/// Bytes of a buffer for reading.
const READ_LEN: usize = 512 * 1024;
/// Buffers for reading that are kept for the next read.
const SPARE_READS: usize = 8;

/// The pool.
#[derive(Debug)]
pub(super) struct Buffers {
    free: Mutex<Vec<Vec<u8>>>,
    permits: Arc<Semaphore>,
}

impl Buffers {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            free: Mutex::new(Vec::new()),
            permits: Arc::new(Semaphore::new(BUFFERS)),
        })
    }

    /// An empty buffer, waiting for one if all are in use. Whoever waits must hold none.
    pub(super) async fn take(self: &Arc<Self>) -> Option<Buffer> {
        // The semaphore is never closed.
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        Some(self.with(permit))
    }

    /// An empty buffer, if one is free.
    pub(super) fn try_take(self: &Arc<Self>) -> Option<Buffer> {
        let permit = Arc::clone(&self.permits).try_acquire_owned().ok()?;
        Some(self.with(permit))
    }

    fn with(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> Buffer {
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Buffer {
            bytes: recycled.unwrap_or_else(|| Vec::with_capacity(BUFFER_LEN)),
            pool: Arc::clone(self),
            _permit: permit,
        }
    }

    /// Whether half-full buffers should be written now, so that slow clients do not hold what others wait for.
    pub(super) fn are_few(&self) -> bool {
        self.permits.available_permits() < FEW
    }
}

/// A buffer; goes back to the pool when dropped.
#[derive(Debug)]
pub(super) struct Buffer {
    bytes: Vec<u8>,
    pool: Arc<Buffers>,
    _permit: OwnedSemaphorePermit,
}

impl Buffer {
    /// Takes as much of `bytes` as there is room for; returns how much.
    pub(super) fn fill_from(&mut self, bytes: &[u8]) -> usize {
        let room = BUFFER_LEN.saturating_sub(self.bytes.len());
        let (taken, _) = bytes.split_at(room.min(bytes.len()));
        self.bytes.extend_from_slice(taken);
        taken.len()
    }

    pub(super) fn is_full(&self) -> bool {
        self.bytes.len() >= BUFFER_LEN
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        self.pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(bytes);
    }
}

/// Buffers for reading, used again so that fresh memory need not be cleared for every read.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadBuffers(Arc<Mutex<Vec<Vec<u8>>>>);

/// Bytes that were read; the buffer goes back when nobody looks at them any more.
struct ReadBytes {
    bytes: Vec<u8>,
    len: usize,
    spare: ReadBuffers,
}

impl ReadBuffers {
    /// `len` bytes, as `read` fills them.
    pub(super) fn read(&self, len: usize, read: impl FnOnce(&mut [u8]) -> io::Result<()>) -> io::Result<Bytes> {
        if !(READ_LEN / 8..=READ_LEN).contains(&len) {
            let mut bytes = vec![0; len];
            read(&mut bytes)?;
            return Ok(bytes.into());
        }
        let spare = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut bytes = ReadBytes {
            bytes: spare.unwrap_or_else(|| vec![0; READ_LEN]),
            len,
            spare: self.clone(),
        };
        read(bytes.bytes.get_mut(..len).unwrap_or_default())?;
        Ok(Bytes::from_owner(bytes))
    }
}

impl AsRef<[u8]> for ReadBytes {
    fn as_ref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Drop for ReadBytes {
    fn drop(&mut self) {
        let mut spare = self.spare.0.lock().unwrap_or_else(PoisonError::into_inner);
        if spare.len() < SPARE_READS {
            spare.push(std::mem::take(&mut self.bytes));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_pool_is_bounded_and_recycles() {
        let pool = Buffers::new();
        let mut held = Vec::new();
        for _ in 0..BUFFERS {
            held.push(pool.take().await.unwrap());
        }
        assert!(pool.are_few());
        assert_eq!(pool.permits.available_permits(), 0);
        assert_eq!(held[0].fill_from(&vec![1; BUFFER_LEN + 1]), BUFFER_LEN);
        assert!(held[0].is_full());
        drop(held);
        assert!(!pool.are_few());
        assert_eq!(pool.free.lock().unwrap().len(), BUFFERS);
        assert!(pool.take().await.unwrap().as_slice().is_empty());
    }

    #[test]
    fn a_buffer_for_reading_is_used_again_once_its_bytes_are_gone() {
        let pool = ReadBuffers::default();
        let spare = || pool.0.lock().unwrap().len();
        let read = |len, byte| {
            pool.read(len, |room| {
                room.fill(byte);
                Ok(())
            })
        };
        let first = read(READ_LEN, 1).unwrap();
        let piece = first.slice(7..9);
        drop(first);
        assert_eq!(spare(), 0, "somebody still reads it");
        assert_eq!(piece, [1, 1][..]);
        drop(piece);
        assert_eq!(spare(), 1);
        let second = read(READ_LEN / 2, 2).unwrap();
        assert_eq!((spare(), second.len()), (0, READ_LEN / 2));
        assert!(second.iter().all(|byte| *byte == 2));
        assert!(pool.read(READ_LEN, |_| Err(io::ErrorKind::Other.into())).is_err());
    }
}
