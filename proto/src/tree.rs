//! Merkle tree hash of RFC 6962, section 2.1: for the payload of a transfer and for both logs.

#[cfg(target_arch = "x86_64")]
mod lanes;

use crate::crypto::sha256;

/// Hash of a leaf: `SHA-256(0x00 || bytes)`.
#[must_use]
pub fn leaf_hash(bytes: &[u8]) -> [u8; 32] {
    sha256(&[&[0x00], bytes])
}

/// Hashes of many leaves: [`leaf_hash`] of each, and faster than one after the other where they are long, alike and many.
#[must_use]
pub fn leaf_hashes(leaves: &[&[u8]]) -> Vec<[u8; 32]> {
    let mut hashes = Vec::with_capacity(leaves.len());
    #[cfg(target_arch = "x86_64")]
    let leaves = {
        let (sixteens, rest) = leaves.as_chunks::<{ lanes::LANES }>();
        for sixteen in sixteens {
            match lanes::leaves(*sixteen) {
                Some(together) => hashes.extend(together),
                None => hashes.extend(sixteen.iter().map(|leaf| leaf_hash(leaf))),
            }
        }
        rest
    };
    hashes.extend(leaves.iter().map(|leaf| leaf_hash(leaf)));
    hashes
}

/// Hash of an inner node: `SHA-256(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[&[0x01], left, right])
}

/// Head of the tree over `leaves` (leaf hashes); SHA-256 of nothing for no leaves.
#[must_use]
pub fn tree_head(leaves: &[[u8; 32]]) -> [u8; 32] {
    let mut tree = Tree::new();
    for leaf in leaves {
        tree.push(*leaf);
    }
    tree.head()
}

/// A growing tree that keeps only its right edge: at most 64 hashes whatever its size.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    size: u64,
    /// Heads of the complete subtrees, largest first; one for each bit set in `size`.
    edge: Vec<[u8; 32]>,
}

impl Tree {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Appends a leaf hash.
    pub fn push(&mut self, leaf: [u8; 32]) {
        let mut node = leaf;
        let mut rest = self.size;
        while rest & 1 == 1 {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
            rest >>= 1;
        }
        self.edge.push(node);
        self.size += 1;
    }

    /// Appends the head of a complete subtree of `1 << level` leaves.
    ///
    /// Returns `false`, and changes nothing, when the tree's size is not a multiple of that: the subtree would not stand where
    /// its leaves would.
    #[must_use]
    pub fn push_subtree(&mut self, head: [u8; 32], level: u32) -> bool {
        let width = 1_u64 << level;
        if !self.size.is_multiple_of(width) {
            return false;
        }
        let mut node = head;
        let mut rest = self.size >> level;
        while rest & 1 == 1 {
            if let Some(left) = self.edge.pop() {
                node = node_hash(&left, &node);
            }
            rest >>= 1;
        }
        self.edge.push(node);
        self.size += width;
        true
    }

    /// Heads of the complete subtrees, largest first: with the size, all that the tree is made of.
    #[must_use]
    pub fn edge(&self) -> &[[u8; 32]] {
        &self.edge
    }

    /// The tree of `size` leaves with this right edge; `None` if they do not belong together.
    #[must_use]
    pub fn from_edge(size: u64, edge: &[[u8; 32]]) -> Option<Self> {
        let edge = edge.to_vec();
        (edge.len() == size.count_ones() as usize).then_some(Self { size, edge })
    }

    /// Head of the tree.
    #[must_use]
    pub fn head(&self) -> [u8; 32] {
        let mut edge = self.edge.iter().rev();
        let Some(last) = edge.next() else {
            return sha256(&[]);
        };
        edge.fold(*last, |right, left| node_hash(left, &right))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_definition(leaves: &[[u8; 32]]) -> [u8; 32] {
        match leaves {
            [] => sha256(&[]),
            [leaf] => *leaf,
            _ => {
                let split = leaves.len().next_power_of_two() / 2;
                let (left, right) = leaves.split_at(split);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn equals_the_recursive_definition() {
        let leaves: Vec<[u8; 32]> = (0..200_u8).map(|i| leaf_hash(&[i])).collect();
        for n in 0..leaves.len() {
            let mut tree = Tree::new();
            leaves[..n].iter().for_each(|leaf| tree.push(*leaf));
            let again = Tree::from_edge(tree.size(), tree.edge());
            assert_eq!(again, Some(tree), "{n} leaves from their edge");
            assert_eq!(tree_head(&leaves[..n]), by_definition(&leaves[..n]), "{n} leaves");
        }
    }

    #[test]
    fn subtrees_stand_for_their_leaves() {
        let leaves: Vec<[u8; 32]> = (0..100_u8).map(|i| leaf_hash(&[i])).collect();
        let mut tree = Tree::new();
        for chunk in leaves.chunks(32) {
            if chunk.len() == 32 {
                assert!(tree.push_subtree(tree_head(chunk), 5));
            } else {
                chunk.iter().for_each(|leaf| tree.push(*leaf));
            }
        }
        assert_eq!(tree.head(), tree_head(&leaves));
        assert!(!tree.push_subtree([0; 32], 5), "100 is not a multiple of 32");
    }
}
