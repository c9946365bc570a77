//! PORT: immutable bytes.
//!
//! Contract. `put` answers `Ok` only when the bytes are durable under their key (file, its folder and their names). A second
//! `put` of equal bytes succeeds; of other bytes under the same key it replaces them whole or not at all, and a reader sees
//! either the old or the new bytes, never a mixture. `get` of a missing key is [`StoreError::NotFound`]. `list` shows every blob
//! that is there from before its first page until after its last exactly once, in the order of keys, and none that was never
//! committed. Keys are made by the gateway from ids, never from what a caller wrote.

use async_trait::async_trait;
use bytes::Bytes;
use sealpost_proto::id::{Hash, TransferId};

use super::StoreError;

/// Key of a blob: `/`-separated segments of lower-case letters, digits and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BlobKey(String);

impl BlobKey {
    /// Envelope of a transfer: header, block, manifest box, seal, leaf list (32 segments or fewer), and the part if it came with
    /// the seal. `seal` is the hash of the seal, so that of two seals for one transfer neither overwrites the other.
    #[must_use]
    pub fn envelope(transfer: &TransferId, seal: &Hash) -> Self {
        Self(format!("transfers/{transfer}/envelope-{seal}"))
    }

    /// A stored part. `root` is its subtree root, so that a part sealed anew never overwrites the one before it.
    #[must_use]
    pub fn part(transfer: &TransferId, number: u32, root: &Hash) -> Self {
        Self(format!("transfers/{transfer}/part-{number}-{root}"))
    }

    /// Leaf hashes of a stored part.
    #[must_use]
    pub fn part_leaves(transfer: &TransferId, number: u32, root: &Hash) -> Self {
        Self(format!("transfers/{transfer}/part-{number}-{root}-leaves"))
    }

    /// A key that a store has kept as text; none for what is no key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_part_of_one = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
        let is_segment = |segment: &str| !segment.is_empty() && segment.bytes().all(is_part_of_one);
        text.split('/').all(is_segment).then(|| Self(text.to_owned()))
    }

    /// The transfer that the blob belongs to; none if it belongs to none.
    #[must_use]
    pub fn transfer(&self) -> Option<TransferId> {
        let (id, _) = self.0.strip_prefix("transfers/")?.split_once('/')?;
        id.parse().ok()
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A blob in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlobEntry {
    /// Its key.
    pub key: BlobKey,
    /// Its length in bytes.
    pub len: u64,
    /// When it was last written, unix seconds by the store's clock.
    pub written_at: u64,
}

/// A write in progress: bytes go in order; dropping it without `commit` leaves nothing behind.
#[async_trait]
pub trait BlobWriter: Send {
    /// Adds bytes. They are not visible yet.
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError>;
    /// Leaf hashes of everything written, cut into stored segments; made where the bytes are at hand anyway. Asked for once, when all
    /// is written.
    async fn leaves(&mut self) -> Result<Vec<[u8; 32]>, StoreError>;
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
    /// The first `limit` blobs whose keys come after `after`; fewer only at the end.
    async fn list(&self, after: Option<&BlobKey>, limit: usize) -> Result<Vec<BlobEntry>, StoreError>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_back_and_nothing_else_is() {
        let (transfer, hash) = (TransferId::from_bytes([0xab; 16]), Hash::from_bytes([1; 32]));
        for key in [
            BlobKey::envelope(&transfer, &hash),
            BlobKey::part(&transfer, 4_000, &hash),
            BlobKey::part_leaves(&transfer, 0, &hash),
        ] {
            assert_eq!(BlobKey::parse(key.as_str()), Some(key.clone()));
            assert_eq!(key.transfer(), Some(transfer));
        }
        for nonsense in [
            "",
            "transfers//x",
            "transfers/../x",
            "transfers/AB/x",
            "transfers/a b/x",
        ] {
            assert_eq!(BlobKey::parse(nonsense), None, "{nonsense}");
        }
        assert_eq!(BlobKey::parse("transfers/ab/x").unwrap().transfer(), None);
        assert_eq!(BlobKey::parse("audit/x").unwrap().transfer(), None);
    }
}
