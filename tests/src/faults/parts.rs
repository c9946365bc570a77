//! The bytes of acknowledged parts that nobody seals. Nobody opens them either, so they are looked for where they lie.

use std::path::{Path, PathBuf};

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::sealed::LeafHasher;
use sealpost_proto::tree::tree_head;

use super::Verdict;
use super::acks::Acks;

/// Looks for the bytes of every acknowledged part in the data folder of a gateway: they are there, and make its root.
pub fn check(data: &Path, acks: &Acks, verdict: &mut Verdict) {
    for (transfer, (root, _)) in &acks.parts {
        let bytes = std::fs::read(file_of(data, transfer, root)).unwrap_or_default();
        let made = root_of(&bytes);
        verdict.acknowledged(made == *root, || {
            let len = bytes.len();
            format!("the bytes of part 0 of {transfer}: of {len} there the root is {made}, of what was stored {root}")
        });
    }
}

/// The subtree root of a part's stored bytes.
#[must_use]
pub fn root_of(bytes: &[u8]) -> Hash {
    let mut hasher = LeafHasher::new();
    hasher.update(bytes);
    Hash::from_bytes(tree_head(&hasher.finish()))
}

/// Where the gateway keeps part 0.
fn file_of(data: &Path, transfer: &TransferId, root: &Hash) -> PathBuf {
    let id = transfer.to_string();
    let folder = data.join("blobs/transfers").join(id.get(..2).unwrap_or_default());
    folder.join(format!("{id}.part-0-{root}"))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_part_whose_bytes_are_gone_is_lost() {
        let data = tempfile::tempdir().unwrap();
        let (transfer, bytes) = (TransferId::from_bytes([7; 16]), vec![3; 100_000]);
        let root = root_of(&bytes);
        let mut acks = Acks::default();
        acks.parts.insert(transfer, (root, 1));
        let lost = || {
            let mut verdict = Verdict::default();
            check(data.path(), &acks, &mut verdict);
            assert_eq!(verdict.acknowledged, 1);
            verdict.lost
        };
        assert_eq!(lost(), 1, "there is no file");
        let file = file_of(data.path(), &transfer, &root);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, &bytes).unwrap();
        assert_eq!(lost(), 0);
        fs::write(&file, &bytes[..65_536]).unwrap();
        assert_eq!(lost(), 1, "its end is gone");
        let mut holed = bytes.clone();
        holed[4096..8192].fill(0);
        fs::write(&file, holed).unwrap();
        assert_eq!(lost(), 1, "a page is gone");
    }
}
