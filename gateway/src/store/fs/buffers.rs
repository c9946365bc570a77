//! One pool of write buffers for all uploads: their number bounds the gateway's memory, and used ones stay warm.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes of a buffer: what is written at once.
pub(super) const BUFFER_LEN: usize = 1024 * 1024;
/// Buffers of the pool.
const BUFFERS: usize = 24;
/// Below this many free buffers nobody may keep a half-full one while waiting for its client.
const FEW: usize = BUFFERS / 2;

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
        let recycled = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Some(Buffer {
            bytes: recycled.unwrap_or_else(|| Vec::with_capacity(BUFFER_LEN)),
            pool: Arc::clone(self),
            _permit: permit,
        })
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
}
