//! A streamed write: bytes are gathered into buffers of the pool and written behind the caller's back, one buffer at a time.
//!
//! No thread waits for a client: a blocking thread is taken for one write and given back. While a buffer is being written
//! the next one fills.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::task::JoinHandle;

use super::buffers::{Buffer, Buffers};
use super::{Places, blocking};
use crate::store::StoreError;
use crate::store::blob::{BlobKey, BlobWriter};
use crate::store::durable::TempFile;

/// Where the file is: here, or with the thread that writes to it. Dropping either removes it.
#[derive(Debug)]
enum Place {
    Here(TempFile),
    Writing(JoinHandle<io::Result<TempFile>>),
    /// A write failed; the file is gone and every later call fails.
    Failed,
}

/// A write in progress.
#[derive(Debug)]
pub(super) struct FsWriter {
    place: Place,
    filling: Option<Buffer>,
    places: Arc<Places>,
    buffers: Arc<Buffers>,
}

impl FsWriter {
    pub(super) fn new(file: TempFile, places: Arc<Places>, buffers: Arc<Buffers>) -> Self {
        Self {
            place: Place::Here(file),
            filling: None,
            places,
            buffers,
        }
    }

    /// The file, once nobody writes to it.
    async fn settled(&mut self) -> io::Result<TempFile> {
        match std::mem::replace(&mut self.place, Place::Failed) {
            Place::Here(file) => Ok(file),
            Place::Writing(handle) => handle.await.map_err(io::Error::other)?,
            Place::Failed => Err(io::Error::other("an earlier write of this upload failed")),
        }
    }

    /// Begins to write what was gathered.
    async fn flush(&mut self) -> io::Result<()> {
        let Some(buffer) = self.filling.take() else {
            return Ok(());
        };
        let mut file = self.settled().await?;
        let failure = self.places.folder.failure().clone();
        let write = move || {
            failure.watch(file.write_all(buffer.as_slice()))?;
            Ok(file)
        };
        self.place = Place::Writing(tokio::task::spawn_blocking(write));
        Ok(())
    }

    async fn gather(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut buffer = match self.filling.take() {
                Some(buffer) => buffer,
                None => self.buffers.take().await.ok_or(io::ErrorKind::BrokenPipe)?,
            };
            let taken = buffer.fill_from(bytes);
            bytes = bytes.split_at(taken).1;
            let is_full = buffer.is_full();
            self.filling = Some(buffer);
            if is_full {
                self.flush().await?;
            }
        }
        if self.buffers.are_few() {
            self.flush().await?;
        }
        Ok(())
    }
}

#[async_trait]
impl BlobWriter for FsWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.gather(&bytes).await.map_err(StoreError::Unavailable)
    }

    async fn commit(mut self: Box<Self>, key: &BlobKey) -> Result<(), StoreError> {
        self.flush().await.map_err(StoreError::Unavailable)?;
        let file = self.settled().await.map_err(StoreError::Unavailable)?;
        let (places, target) = (Arc::clone(&self.places), self.places.path_of(key));
        blocking(move || places.folder.failure().watch(places.publish(file, &target))).await
    }
}
