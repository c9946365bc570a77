//! Blobs as files in the data folder (ADAPTER of [`crate::store::blob`]).
//!
//! Life of a blob: a temporary file in `tmp/` -> bytes in batches of up to 4 MiB, hashed and written off the async threads -> fsync ->
//! rename to `blobs/<kind>/<first two digits of the id>/<id>.<rest>` -> fsync of that folder. There is one folder for each of
//! the 256 beginnings of an id, so that a new transfer makes no new folder. Temporary files of a process that died are
//! removed at start; the lock on the data folder keeps those of a living one safe.
//!
//! Tested on ext4. A file system must keep what fsync promised, and order a rename after the data it names.

mod buffers;
mod listing;
mod writer;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;

use self::buffers::{Buffers, ReadBuffers};
use self::writer::FsWriter;
use super::StoreError;
use super::blob::{BlobEntry, BlobKey, BlobStore, BlobWriter};
use super::durable::{self, TempFile};
use super::folder::PrivateFolder;
use super::open::OpenError;

const BLOBS: &str = "blobs";
const TEMPORARY: &str = "tmp";

/// Blobs as files in the data folder.
#[derive(Debug)]
pub struct FsBlobs {
    places: Arc<Places>,
    buffers: Arc<Buffers>,
    reads: ReadBuffers,
}

impl FsBlobs {
    /// Opens the store in `folder` and removes what uploads of an earlier process left behind.
    ///
    /// # Errors
    /// [`OpenError::Io`].
    pub fn open(folder: &PrivateFolder) -> Result<Self, OpenError> {
        let temporary = folder.subfolder(TEMPORARY)?;
        remove_abandoned(&temporary).map_err(OpenError::io(&temporary, "cleaned"))?;
        let places = Places {
            blobs: folder.subfolder(BLOBS)?,
            temporary,
            next: AtomicU64::new(0),
            durable: Mutex::default(),
            folder: folder.clone(),
        };
        Ok(Self {
            places: Arc::new(places),
            buffers: Buffers::new(),
            reads: ReadBuffers::default(),
        })
    }
}

impl FsBlobs {
    /// Runs a change off the async threads.
    async fn changing<T, F>(&self, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce() -> io::Result<T> + Send + 'static,
    {
        let failure = self.places.folder.failure().clone();
        blocking(move || failure.watch(change())).await
    }
}

#[async_trait]
impl BlobStore for FsBlobs {
    async fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        let places = Arc::clone(&self.places);
        let file = self.changing(move || places.temporary_file()).await?;
        let writer = FsWriter::new(file, Arc::clone(&self.places), Arc::clone(&self.buffers));
        Ok(Box::new(writer))
    }

    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError> {
        let places = Arc::clone(&self.places);
        let target = places.path_of(key);
        let put = move || {
            let mut file = places.temporary_file()?;
            file.write_all(&bytes)?;
            places.publish(file, &target)
        };
        self.changing(put).await
    }

    async fn len(&self, key: &BlobKey) -> Result<u64, StoreError> {
        let path = self.places.path_of(key);
        reading(move || Ok(fs::metadata(path)?.len())).await
    }

    async fn get(&self, key: &BlobKey, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        let (path, reads) = (self.places.path_of(key), self.reads.clone());
        reading(move || read_range(&reads, &path, offset, len)).await
    }

    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        let path = self.places.path_of(key);
        let delete = move || {
            if !path.exists() {
                return Ok(());
            }
            durable::remove(&path)?;
            durable::sync_folder(durable::parent_of(&path))
        };
        self.changing(delete).await
    }

    async fn list(&self, after: Option<&BlobKey>, limit: usize) -> Result<Vec<BlobEntry>, StoreError> {
        let (places, after) = (Arc::clone(&self.places), after.cloned());
        blocking(move || listing::page(&places.blobs, after.as_ref(), limit)).await
    }
}

/// Where files lie.
#[derive(Debug)]
struct Places {
    blobs: PathBuf,
    temporary: PathBuf,
    next: AtomicU64,
    /// Folders whose names this process has made durable. That one is there does not say so.
    durable: Mutex<HashSet<PathBuf>>,
    /// Keeps the lock, and hears of failures.
    folder: PrivateFolder,
}

impl Places {
    /// `blobs/<kind>/<first two of the id>/<id>.<rest>`; a key has no dots of its own.
    fn path_of(&self, key: &BlobKey) -> PathBuf {
        let (kind, rest) = key.as_str().split_once('/').unwrap_or(("other", key.as_str()));
        let name = rest.replace('/', ".");
        self.blobs.join(kind).join(listing::prefix(&name)).join(name)
    }

    /// Makes a finished file durable under its name.
    fn publish(&self, file: TempFile, target: &Path) -> io::Result<()> {
        self.make_durable(durable::parent_of(target))?;
        file.persist(target)?;
        Ok(())
    }

    /// Makes sure that a folder below `blobs/` is there and durable. Whoever needs one that is being made waits for it.
    fn make_durable(&self, folder: &Path) -> io::Result<()> {
        let mut durable = self.durable.lock().unwrap_or_else(PoisonError::into_inner);
        let below = folder.ancestors().take_while(|ancestor| *ancestor != self.blobs);
        let missing: Vec<_> = below.filter(|ancestor| !durable.contains(*ancestor)).collect();
        for folder in missing.into_iter().rev() {
            durable::create_folder_below(folder)?;
            durable.insert(folder.to_owned());
        }
        Ok(())
    }

    fn temporary_file(&self) -> io::Result<TempFile> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        TempFile::create(self.temporary.join(number.to_string()))
    }
}

fn read_range(reads: &ReadBuffers, path: &Path, offset: u64, len: u64) -> io::Result<Bytes> {
    let file = File::open(path)?;
    let available = file.metadata()?.len().saturating_sub(offset).min(len);
    let available = usize::try_from(available).map_err(io::Error::other)?;
    reads.read(available, |room| file.read_exact_at(room, offset))
}

fn remove_abandoned(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        durable::remove(&entry?.path())?;
    }
    Ok(())
}

/// Runs file work off the async threads.
async fn blocking<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other);
    done.flatten().map_err(StoreError::Unavailable)
}

/// As [`blocking`], for what may not be there.
async fn reading<T, F>(work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> io::Result<T> + Send + 'static,
{
    blocking(work).await.map_err(|error| match error {
        StoreError::Unavailable(cause) if cause.kind() == io::ErrorKind::NotFound => StoreError::NotFound,
        other => other,
    })
}

#[cfg(test)]
mod tests;
