//! A fixed number of large buffers that go round: memory stays the same however large a transfer is.

use std::ops::{Deref, DerefMut};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use zeroize::Zeroizing;

/// The buffers. They are wiped when the pool and everybody who holds one are gone.
#[derive(Clone, Debug)]
pub(crate) struct BufferPool {
    free: Arc<Mutex<Receiver<Zeroizing<Vec<u8>>>>>,
    back: SyncSender<Zeroizing<Vec<u8>>>,
}

impl BufferPool {
    /// `count` buffers, empty at first; each keeps the room that it has grown to.
    pub(crate) fn new(count: usize) -> Self {
        let (back, free) = sync_channel(count);
        for _ in 0..count {
            // There is room for all of them.
            let _ = back.try_send(Zeroizing::new(Vec::new()));
        }
        Self {
            free: Arc::new(Mutex::new(free)),
            back,
        }
    }

    /// Waits for a free buffer. Blocks the thread.
    pub(crate) fn take(&self) -> PooledBuffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        // The pool holds a sender itself, so waiting can only end with a buffer.
        let bytes = free.recv().unwrap_or_default();
        PooledBuffer {
            bytes,
            back: self.back.clone(),
        }
    }
}

/// A buffer that goes back to its pool when it is dropped.
#[derive(Debug)]
pub(crate) struct PooledBuffer {
    bytes: Zeroizing<Vec<u8>>,
    back: SyncSender<Zeroizing<Vec<u8>>>,
}

impl Deref for PooledBuffer {
    type Target = Vec<u8>;
    fn deref(&self) -> &Vec<u8> {
        &self.bytes
    }
}

impl DerefMut for PooledBuffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }
}

impl AsRef<[u8]> for PooledBuffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for PooledBuffer {
    fn drop(&mut self) {
        // There is room for as many as were handed out; when the pool is gone, the buffer is wiped here.
        let _ = self.back.try_send(std::mem::take(&mut self.bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_come_back_with_their_room() {
        let pool = BufferPool::new(1);
        let mut buffer = pool.take();
        buffer.resize(1000, 7);
        let shared = bytes::Bytes::from_owner(buffer);
        let also = shared.clone();
        drop(shared);
        assert!(pool.free.lock().unwrap().try_recv().is_err(), "somebody still reads it");
        drop(also);
        assert!(pool.take().capacity() >= 1000);
    }
}
