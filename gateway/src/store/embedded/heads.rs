//! Heads that were vouched for, in one small text file beside the key ring, replaced whole (ADAPTER of
//! [`crate::store::ledger::heads`]).
//!
//! ```text
//! sealpost-signer 1
//! <origin> <size> <root in hex> <heads of the complete subtrees in hex, largest first>
//! ```
//!
//! Lines of earlier versions have no subtrees: their log is read once more from its beginning.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sealpost_proto::id::Hash;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::Tree;

use crate::store::StoreError;
use crate::store::durable;
use crate::store::folder::PrivateFolder;
use crate::store::ledger::heads::VouchedHeads;
use crate::store::open::OpenError;

const FIRST_LINE: &str = "sealpost-signer 1";

/// A head, and the tree under it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cell {
    head: Checkpoint,
    tree: Option<Tree>,
}

/// Last head by origin.
type Heads = BTreeMap<String, Cell>;

/// The signer's memory in the ring's folder.
#[derive(Debug)]
pub struct EmbeddedHeads {
    path: PathBuf,
    heads: Arc<Mutex<Heads>>,
    /// Keeps the lock.
    folder: PrivateFolder,
}

impl EmbeddedHeads {
    /// Reads the memory in the ring's folder; empty at first.
    ///
    /// # Errors
    /// [`OpenError::Io`], or [`OpenError::Corrupt`] if the file is not one of ours.
    pub fn open(ring: &PrivateFolder) -> Result<Self, OpenError> {
        let path = ring.path().join("signer");
        let heads = match fs::read_to_string(&path) {
            Ok(text) => parse(&text).ok_or_else(|| OpenError::corrupt(&path, 0, "it is not a signer's memory"))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => Heads::new(),
            Err(error) => return Err(OpenError::io(&path, "read")(error)),
        };
        Ok(Self {
            path,
            heads: Arc::new(Mutex::new(heads)),
            folder: ring.clone(),
        })
    }

    /// The last heads of all logs.
    #[must_use]
    pub fn all(&self) -> Vec<Checkpoint> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        heads.values().map(|cell| cell.head.clone()).collect()
    }
}

#[async_trait]
impl VouchedHeads for EmbeddedHeads {
    async fn last(&self, origin: &str) -> Result<Option<Checkpoint>, StoreError> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(heads.get(origin).map(|cell| cell.head.clone()))
    }

    async fn tree(&self, origin: &str) -> Result<Option<Tree>, StoreError> {
        let heads = self.heads.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(heads.get(origin).and_then(|cell| cell.tree.clone()))
    }

    async fn advance(&self, origin: &str, tree: &Tree) -> Result<(), StoreError> {
        let head = Checkpoint {
            origin: origin.to_owned(),
            size: tree.size(),
            root: Hash::from_bytes(tree.head()),
        };
        let tree = Some(tree.clone());
        let (path, heads) = (self.path.clone(), Arc::clone(&self.heads));
        let failure = self.folder.failure().clone();
        let advance = move || {
            let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
            match heads.get(&head.origin).map(|cell| &cell.head) {
                Some(last) if *last == head => return Ok(()),
                Some(last) if last.size >= head.size => return Err(StoreError::Conflict),
                _ => {}
            }
            let mut next = heads.clone();
            next.insert(head.origin.clone(), Cell { head, tree });
            let replaced = failure.watch(durable::replace(&path, format(&next).as_bytes()));
            replaced.map_err(StoreError::Unavailable)?;
            *heads = next;
            Ok(())
        };
        let done = tokio::task::spawn_blocking(advance).await;
        done.map_err(|error| StoreError::Unavailable(io::Error::other(error)))?
    }
}

fn format(heads: &Heads) -> String {
    let line = |Cell { head, tree }: &Cell| {
        let edge = tree.iter().flat_map(Tree::edge);
        let edge: String = edge.map(|node| format!(" {}", Hash::from_bytes(*node))).collect();
        format!("{} {} {}{edge}\n", head.origin, head.size, head.root)
    };
    std::iter::once(format!("{FIRST_LINE}\n"))
        .chain(heads.values().map(line))
        .collect()
}

fn parse(text: &str) -> Option<Heads> {
    let mut lines = text.strip_suffix('\n')?.split('\n');
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let mut heads = Heads::new();
    for line in lines {
        let cell = parse_cell(line)?;
        if heads.insert(cell.head.origin.clone(), cell).is_some() {
            return None;
        }
    }
    Some(heads)
}

fn parse_cell(line: &str) -> Option<Cell> {
    let mut words = line.split(' ');
    let head = Checkpoint {
        origin: words.next()?.to_owned(),
        size: words.next()?.parse().ok()?,
        root: words.next()?.parse().ok()?,
    };
    let edge: Result<Vec<[u8; 32]>, _> = words
        .map(|word| word.parse::<Hash>().map(|hash| *hash.as_bytes()))
        .collect();
    let edge = edge.ok()?;
    if edge.is_empty() && head.size > 0 {
        return Some(Cell { head, tree: None });
    }
    let tree = Tree::from_edge(head.size, &edge).filter(|tree| tree.head() == *head.root.as_bytes())?;
    let tree = Some(tree);
    Some(Cell { head, tree })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::contract;

    #[tokio::test]
    async fn keeps_the_contract() {
        let root = tempfile::tempdir().unwrap();
        let open = || EmbeddedHeads::open(&PrivateFolder::open(&root.path().join("ring")).unwrap()).unwrap();
        contract::heads(open).await.unwrap();
    }

    #[test]
    fn refuses_what_it_did_not_write() {
        let root = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&root.path().join("ring")).unwrap();
        let (hash, other) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
        for bad in [
            String::new(),
            "sealpost-signer 2\n".to_owned(),
            format!("{FIRST_LINE}\ngw/audit 1 {hash}"),
            format!("{FIRST_LINE}\ngw/audit x {hash}\n"),
            format!("{FIRST_LINE}\ngw/audit 1 {hash}\ngw/audit 2 {hash}\n"),
            format!("{FIRST_LINE}\ngw/audit 2 {hash} {other}\n"),
            format!("{FIRST_LINE}\ngw/audit 2 {hash} {hash} {hash}\n"),
        ] {
            fs::write(root.path().join("ring/signer"), &bad).unwrap();
            assert!(
                matches!(EmbeddedHeads::open(&folder), Err(OpenError::Corrupt { .. })),
                "{bad:?}"
            );
        }
    }

    #[tokio::test]
    async fn reads_what_an_earlier_version_wrote() {
        let root = tempfile::tempdir().unwrap();
        let folder = PrivateFolder::open(&root.path().join("ring")).unwrap();
        let hash = Hash::from_bytes([1; 32]);
        fs::write(
            root.path().join("ring/signer"),
            format!("{FIRST_LINE}\ngw/audit 7 {hash}\n"),
        )
        .unwrap();
        let heads = EmbeddedHeads::open(&folder).unwrap();
        assert_eq!(heads.last("gw/audit").await.unwrap().unwrap().size, 7);
        assert_eq!(heads.tree("gw/audit").await.unwrap(), None);
    }
}
