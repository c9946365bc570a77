//! What was signed last, by origin: one small text file beside the key ring, replaced whole and synced before a checkpoint
//! leaves.
//!
//! ```text
//! sealpost-signer 1
//! <origin> <size> <root in hex>
//! ```
//!
//! It lies outside the data folder on purpose: a data folder that was put back from an old copy does not bring the memory of
//! what it forgot.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;

use sealpost_proto::id::Hash;
use sealpost_proto::log::Checkpoint;

use crate::store::folder::PrivateFolder;
use crate::store::open::OpenError;

const FIRST_LINE: &str = "sealpost-signer 1";

/// Size and head of a log.
pub(super) type Head = (u64, Hash);

/// The signer's memory.
#[derive(Debug)]
pub struct Memory {
    path: PathBuf,
    heads: BTreeMap<String, Head>,
    /// Keeps the lock.
    _folder: PrivateFolder,
}

impl Memory {
    /// Reads the memory in the ring's folder; empty at first.
    ///
    /// # Errors
    /// [`OpenError::Io`], or [`OpenError::Corrupt`] if the file is not one of ours.
    pub fn open(folder: &PrivateFolder) -> Result<Self, OpenError> {
        let path = folder.path().join("signer");
        let heads = match fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or_else(|| OpenError::corrupt(&path, 0, "it is not a signer's memory"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(OpenError::io(&path, "read")(error)),
        };
        Ok(Self {
            path,
            heads,
            _folder: folder.clone(),
        })
    }

    /// What was remembered last of a log.
    pub(super) fn last(&self, origin: &str) -> Option<Head> {
        self.heads.get(origin).copied()
    }

    /// Remembers a head, durably. Refuses (`Ok(false)`) a smaller one, and another one of the same size. Blocks.
    pub(super) fn remember(&mut self, checkpoint: &Checkpoint) -> io::Result<bool> {
        let head = (checkpoint.size, checkpoint.root);
        match self.last(&checkpoint.origin) {
            Some(last) if last == head => return Ok(true),
            Some((size, _)) if size >= checkpoint.size => return Ok(false),
            _ => {}
        }
        let mut heads = self.heads.clone();
        heads.insert(checkpoint.origin.clone(), head);
        crate::store::replace_file(&self.path, format(&heads).as_bytes())?;
        self.heads = heads;
        Ok(true)
    }
}

fn format(heads: &BTreeMap<String, Head>) -> String {
    let lines = heads
        .iter()
        .map(|(origin, (size, root))| format!("{origin} {size} {root}\n"));
    std::iter::once(format!("{FIRST_LINE}\n")).chain(lines).collect()
}

fn parse(text: &str) -> Option<BTreeMap<String, Head>> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut heads = BTreeMap::new();
    for line in lines {
        let mut words = line.split(' ');
        let (origin, size, root) = (words.next()?, words.next()?, words.next()?);
        let head = (size.parse().ok()?, root.parse().ok()?);
        if words.next().is_some() || heads.insert(origin.to_owned(), head).is_some() {
            return None;
        }
    }
    Some(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(origin: &str, size: u64, byte: u8) -> Checkpoint {
        Checkpoint {
            origin: origin.to_owned(),
            size,
            root: Hash::from_bytes([byte; 32]),
        }
    }

    #[test]
    fn grows_only_and_survives() {
        let root = tempfile::tempdir().unwrap();
        let open = || Memory::open(&PrivateFolder::open(&root.path().join("ring")).unwrap()).unwrap();
        let mut memory = open();
        assert_eq!(memory.last("gw/audit"), None);
        assert!(memory.remember(&head("gw/audit", 5, 1)).unwrap());
        assert!(memory.remember(&head("gw/directory", 2, 9)).unwrap());
        drop(memory);
        let mut memory = open();
        assert!(memory.remember(&head("gw/audit", 5, 1)).unwrap(), "the same again");
        assert!(
            !memory.remember(&head("gw/audit", 5, 2)).unwrap(),
            "another head of that size"
        );
        assert!(!memory.remember(&head("gw/audit", 4, 1)).unwrap(), "a smaller one");
        assert!(memory.remember(&head("gw/audit", 6, 3)).unwrap());
        assert_eq!(memory.last("gw/audit"), Some((6, Hash::from_bytes([3; 32]))));
        assert_eq!(memory.last("gw/directory"), Some((2, Hash::from_bytes([9; 32]))));
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let root = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&root.path().join("ring")).unwrap();
        let hash = Hash::from_bytes([1; 32]);
        for bad in [
            String::new(),
            "sealpost-signer 2\n".to_owned(),
            format!("{FIRST_LINE}\ngw/audit 1 {hash}"),
            format!("{FIRST_LINE}\ngw/audit x {hash}\n"),
            format!("{FIRST_LINE}\ngw/audit 1 {hash}\ngw/audit 2 {hash}\n"),
        ] {
            fs::write(root.path().join("ring/signer"), &bad).unwrap();
            assert!(
                matches!(Memory::open(&folder), Err(OpenError::Corrupt { .. })),
                "{bad:?}"
            );
        }
    }
}
