//! PORT: immutable bytes.
//!
//! Contract. `put` answers `Ok` only when the bytes are durable under their key (file, its folder and their names). A second
//! `put` of equal bytes succeeds; of other bytes under the same key it replaces them whole or not at all, and a reader sees
//! either the old or the new bytes, never a mixture. `get` of a missing key is [`StoreError::NotFound`]. Keys are made by the
//! gateway from ids, never from what a caller wrote.

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;

/// Key of a blob: `/`-separated segments of lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey(String);

impl BlobKey {
    /// Envelope of a transfer: header, block, manifest box, seal, leaf list (32 segments or fewer), and the part if it came with
    /// the seal. `seal` is the hash of the seal, so that of two seals for one transfer neither overwrites the other.
    #[must_use]
    pub fn envelope(transfer: &sealpost_proto::id::TransferId, seal: &sealpost_proto::id::Hash) -> Self {
        Self(format!("transfers/{transfer}/envelope-{seal}"))
    }

    /// A stored part. `root` is its subtree root, so that a part sealed anew never overwrites the one before it.
    #[must_use]
    pub fn part(transfer: &sealpost_proto::id::TransferId, number: u32, root: &sealpost_proto::id::Hash) -> Self {
        Self(format!("transfers/{transfer}/part-{number}-{root}"))
    }

    /// Leaf hashes of a stored part.
    #[must_use]
    pub fn part_leaves(
        transfer: &sealpost_proto::id::TransferId,
        number: u32,
        root: &sealpost_proto::id::Hash,
    ) -> Self {
        Self(format!("transfers/{transfer}/part-{number}-{root}-leaves"))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A write in progress: bytes go in order; dropping it without `commit` leaves nothing behind.
#[async_trait]
pub trait BlobWriter: Send {
    /// Adds bytes. They are not visible yet.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;
    /// Makes everything written durable and visible under `key`.
    async fn commit(self: Box<Self>, key: &BlobKey) -> Result<(), StoreError>;
}

/// Immutable bytes, durable when acknowledged.
#[async_trait]
pub trait BlobStore: Send + Sync {
    /// Begins a streamed write.
    async fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError>;
    /// Stores `bytes` under `key`.
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError>;
    /// Length of a blob in bytes.
    async fn len(&self, key: &BlobKey) -> Result<u64, StoreError>;
    /// `len` bytes from `offset`; fewer only where the blob ends.
    async fn get(&self, key: &BlobKey, offset: u64, len: u64) -> Result<Bytes, StoreError>;
    /// Removes a blob; removing a missing one succeeds.
    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError>;
}
