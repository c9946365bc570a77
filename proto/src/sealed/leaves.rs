//! The leaf list: one hash per stored segment, under the root that the seal signs.

use super::wire::ensure;
use super::{PayloadLayout, Reason, STORED_SEGMENT_LEN, Seal};
use crate::crypto::{Sha256, constant_time_eq};
use crate::tree::{leaf_hash, leaf_hashes, tree_head};

/// Leaf hashes of a payload that stand under its sealed root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafList(Vec<[u8; 32]>);

impl LeafList {
    /// Takes the leaf list of a sealed payload, `32 n` bytes, and checks it against the seal.
    ///
    /// # Errors
    /// [`Reason::Leaves`].
    pub fn parse(bytes: &[u8], seal: &Seal) -> Result<Self, Reason> {
        let layout = seal.body.layout()?;
        let (leaves, rest) = bytes.as_chunks::<32>();
        ensure(
            leaves.len() as u64 == layout.segments() && rest.is_empty(),
            Reason::Leaves,
        )?;
        Self::check(leaves.to_vec(), seal)
    }

    /// Makes the leaf list from the stored payload itself, when it is at hand.
    ///
    /// # Errors
    /// [`Reason::Leaves`].
    pub fn of_payload(payload: &[u8], seal: &Seal) -> Result<Self, Reason> {
        let layout = seal.body.layout()?;
        ensure(payload.len() as u64 == layout.stored_len(), Reason::Leaves)?;
        let segments: Vec<&[u8]> = payload.chunks(STORED_SEGMENT_LEN).collect();
        Self::check(leaf_hashes(&segments), seal)
    }

    fn check(leaves: Vec<[u8; 32]>, seal: &Seal) -> Result<Self, Reason> {
        ensure(
            constant_time_eq(&tree_head(&leaves), &seal.body.payload_root),
            Reason::Leaves,
        )?;
        Ok(Self(leaves))
    }

    /// The bytes, `32 n`.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    /// Refuses a stored segment that is not the sealed one at this place.
    ///
    /// # Errors
    /// [`Reason::Segment`].
    pub fn check_segment(&self, index: u64, stored: &[u8]) -> Result<(), Reason> {
        let index = usize::try_from(index).map_err(|_| Reason::Segment)?;
        let leaf = self.0.get(index).ok_or(Reason::Segment)?;
        ensure(*leaf == leaf_hash(stored), Reason::Segment)
    }

    /// The same for segments one after the other, from `first` on.
    ///
    /// # Errors
    /// [`Reason::Segment`].
    pub fn check_segments(&self, first: u64, stored: &[&[u8]]) -> Result<(), Reason> {
        let first = usize::try_from(first).map_err(|_| Reason::Segment)?;
        let end = first.checked_add(stored.len()).ok_or(Reason::Segment)?;
        let leaves = self.0.get(first..end).ok_or(Reason::Segment)?;
        ensure(leaves == leaf_hashes(stored), Reason::Segment)
    }
}

/// Makes the leaves of a part, or of a whole payload, from stored bytes that arrive in pieces of any size.
#[derive(Clone, Debug)]
pub struct LeafHasher {
    leaves: Vec<[u8; 32]>,
    current: Sha256,
    filled: usize,
}

impl Default for LeafHasher {
    fn default() -> Self {
        Self {
            leaves: Vec::new(),
            current: leaf_start(),
            filled: 0,
        }
    }
}

impl LeafHasher {
    /// A hasher at the start of a segment.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds stored bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let room = STORED_SEGMENT_LEN - self.filled;
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.current.update(now);
            self.filled += now.len();
            if self.filled == STORED_SEGMENT_LEN {
                self.end_segment();
            }
            bytes = later;
        }
    }

    /// Adds stored bytes that came in several pieces: whole segments in them are hashed together.
    pub fn update_all(&mut self, pieces: &[&[u8]]) {
        let (mut places, mut whole) = (Vec::new(), Vec::new());
        for piece in pieces {
            let mut rest = *piece;
            if self.filled > 0 {
                let (now, later) = rest.split_at(rest.len().min(STORED_SEGMENT_LEN - self.filled));
                self.update(now);
                rest = later;
            }
            let (segments, tail) = rest.as_chunks::<STORED_SEGMENT_LEN>();
            for segment in segments {
                places.push(self.leaves.len());
                self.leaves.push([0; 32]);
                whole.push(segment.as_slice());
            }
            self.update(tail);
        }
        for (place, leaf) in places.into_iter().zip(leaf_hashes(&whole)) {
            if let Some(empty) = self.leaves.get_mut(place) {
                *empty = leaf;
            }
        }
    }

    /// The leaves of everything added; what stands after the last full segment is the last, shorter one.
    #[must_use]
    pub fn finish(mut self) -> Vec<[u8; 32]> {
        if self.filled > 0 {
            self.end_segment();
        }
        self.leaves
    }

    fn end_segment(&mut self) {
        let done = std::mem::replace(&mut self.current, leaf_start());
        self.leaves.push(done.finish());
        self.filled = 0;
    }
}

fn leaf_start() -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(&[0x00]);
    hash
}

impl PayloadLayout {
    /// Root over the leaves of all segments.
    ///
    /// # Errors
    /// [`Reason::Leaves`] unless there is exactly one leaf for each segment.
    pub fn root(&self, leaves: &[[u8; 32]]) -> Result<[u8; 32], Reason> {
        ensure(leaves.len() as u64 == self.segments(), Reason::Leaves)?;
        Ok(tree_head(leaves))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_give_the_same_leaves() {
        let payload: Vec<u8> = (0..=250).cycle().take(2 * STORED_SEGMENT_LEN + 48).collect();
        let expected: Vec<[u8; 32]> = payload.chunks(STORED_SEGMENT_LEN).map(leaf_hash).collect();
        for piece in [
            1000,
            STORED_SEGMENT_LEN - 1,
            STORED_SEGMENT_LEN,
            STORED_SEGMENT_LEN + 1,
            payload.len(),
        ] {
            let mut hasher = LeafHasher::new();
            payload.chunks(piece).for_each(|bytes| hasher.update(bytes));
            assert_eq!(hasher.finish(), expected, "pieces of {piece} bytes");
        }
        assert!(LeafHasher::new().finish().is_empty());
    }

    #[test]
    fn many_pieces_at_once_give_the_same_leaves() {
        let payload: Vec<u8> = (0..=250).cycle().take(35 * STORED_SEGMENT_LEN + 1_000).collect();
        let expected: Vec<[u8; 32]> = payload.chunks(STORED_SEGMENT_LEN).map(leaf_hash).collect();
        for piece in [
            STORED_SEGMENT_LEN / 3,
            STORED_SEGMENT_LEN,
            4 * STORED_SEGMENT_LEN,
            (1 << 20) + 7,
        ] {
            for at_once in [1, 4, 40] {
                let pieces: Vec<&[u8]> = payload.chunks(piece).collect();
                let mut hasher = LeafHasher::new();
                pieces.chunks(at_once).for_each(|pieces| hasher.update_all(pieces));
                assert_eq!(hasher.finish(), expected, "{at_once} pieces of {piece} bytes");
            }
        }
    }
}
