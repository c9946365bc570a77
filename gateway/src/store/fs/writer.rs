//! A streamed write: bytes are gathered into buffers of the pool, then hashed and written behind the caller's back, a group of
//! buffers at a time.
//!
//! No thread waits for a client: a blocking thread is taken for one group and given back. While a group is being written the next
//! one fills.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sealpost_proto::sealed::LeafHasher;
use tokio::task::JoinHandle;

use super::buffers::{Buffer, Buffers};
use super::{Places, blocking};
use crate::store::StoreError;
use crate::store::blob::{BlobKey, BlobWriter};
use crate::store::durable::TempFile;

/// Buffers that are hashed and written together: sixteen segments, which is how many are hashed side by side.
const GROUP: usize = 4;

/// A file, and the leaves of what is in it.
#[derive(Debug)]
struct Hashed {
    file: TempFile,
    hasher: LeafHasher,
}

/// Where the file is: here, or with the thread that writes to it. Dropping either removes it.
#[derive(Debug)]
enum Place {
    Here(Hashed),
    Writing(JoinHandle<io::Result<Hashed>>),
    /// A write failed; the file is gone and every later call fails.
    Failed,
}

/// A write in progress.
#[derive(Debug)]
pub(super) struct FsWriter {
    place: Place,
    filling: Vec<Buffer>,
    places: Arc<Places>,
    buffers: Arc<Buffers>,
}

impl FsWriter {
    pub(super) fn new(file: TempFile, places: Arc<Places>, buffers: Arc<Buffers>) -> Self {
        let hasher = LeafHasher::new();
        Self {
            place: Place::Here(Hashed { file, hasher }),
            filling: Vec::new(),
            places,
            buffers,
        }
    }

    /// The file, once nobody writes to it.
    async fn settled(&mut self) -> io::Result<Hashed> {
        match std::mem::replace(&mut self.place, Place::Failed) {
            Place::Here(hashed) => Ok(hashed),
            Place::Writing(handle) => handle.await.map_err(io::Error::other)?,
            Place::Failed => Err(io::Error::other("an earlier write of this upload failed")),
        }
    }

    /// Begins to hash and write what was gathered.
    async fn flush(&mut self) -> io::Result<()> {
        let group = std::mem::take(&mut self.filling);
        if group.is_empty() {
            return Ok(());
        }
        let mut hashed = self.settled().await?;
        let failure = self.places.folder.failure().clone();
        let write = move || {
            let pieces: Vec<&[u8]> = group.iter().map(Buffer::as_slice).collect();
            for piece in &pieces {
                failure.watch(hashed.file.write_all(piece))?;
            }
            hashed.hasher.update_all(&pieces);
            Ok(hashed)
        };
        self.place = Place::Writing(tokio::task::spawn_blocking(write));
        Ok(())
    }

    async fn gather(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            if self.filling.last().is_none_or(Buffer::is_full) {
                let empty = self.empty_buffer().await?;
                self.filling.push(empty);
            }
            let taken = self.filling.last_mut().map_or(0, |buffer| buffer.fill_from(bytes));
            bytes = bytes.split_at(taken).1;
        }
        let is_whole = self.filling.len() == GROUP && self.filling.last().is_some_and(Buffer::is_full);
        if is_whole || self.buffers.are_few() {
            self.flush().await?;
        }
        Ok(())
    }

    /// One more buffer; while it has to be waited for, none is held.
    async fn empty_buffer(&mut self) -> io::Result<Buffer> {
        if self.filling.len() < GROUP
            && let Some(buffer) = self.buffers.try_take()
        {
            return Ok(buffer);
        }
        self.flush().await?;
        Ok(self.buffers.take().await.ok_or(io::ErrorKind::BrokenPipe)?)
    }
}

#[async_trait]
impl BlobWriter for FsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.gather(&bytes).await.map_err(StoreError::Unavailable)
    }

    async fn leaves(&mut self) -> Result<Vec<[u8; 32]>, StoreError> {
        self.flush().await.map_err(StoreError::Unavailable)?;
        let mut hashed = self.settled().await.map_err(StoreError::Unavailable)?;
        let leaves = std::mem::take(&mut hashed.hasher).finish();
        self.place = Place::Here(hashed);
        Ok(leaves)
    }

    async fn commit(mut self: Box<Self>, key: &BlobKey) -> Result<(), StoreError> {
        self.flush().await.map_err(StoreError::Unavailable)?;
        let hashed = self.settled().await.map_err(StoreError::Unavailable)?;
        let (places, target) = (Arc::clone(&self.places), self.places.path_of(key));
        blocking(move || places.folder.failure().watch(places.publish(hashed.file, &target))).await
    }
}
