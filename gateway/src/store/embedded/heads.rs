//! Heads that were vouched for, in one small text file beside the key ring, replaced whole (ADAPTER of
//! [`crate::store::ledger::heads`]).
//!
//! ```text
//! sealpost-signer 1
//! <origin> <size> <root in hex>
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use sealpost_proto::log::Checkpoint;

use crate::store::StoreError;
use crate::store::durable;
use crate::store::folder::PrivateFolder;
use crate::store::ledger::heads::VouchedHeads;
use crate::store::open::OpenError;

const FIRST_LINE: &str = "sealpost-signer 1";

/// Last head by origin.
type Heads = BTreeMap<String, Checkpoint>;

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
        heads.values().cloned().collect()
    }
}

#[async_trait]
impl VouchedHeads for EmbeddedHeads {
    async fn last(&self, origin: &str) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self
            .heads
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(origin)
            .cloned())
    }

    async fn advance(&self, head: &Checkpoint) -> Result<(), StoreError> {
        let (path, heads, head) = (self.path.clone(), Arc::clone(&self.heads), head.clone());
        let failure = self.folder.failure().clone();
        let advance = move || {
            let mut heads = heads.lock().unwrap_or_else(PoisonError::into_inner);
            match heads.get(&head.origin) {
                Some(last) if *last == head => return Ok(()),
                Some(last) if last.size >= head.size => return Err(StoreError::Conflict),
                _ => {}
            }
            let mut next = heads.clone();
            next.insert(head.origin.clone(), head);
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
    let line = |head: &Checkpoint| format!("{} {} {}\n", head.origin, head.size, head.root);
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
        let mut words = line.split(' ');
        let head = Checkpoint {
            origin: words.next()?.to_owned(),
            size: words.next()?.parse().ok()?,
            root: words.next()?.parse().ok()?,
        };
        if words.next().is_some() || heads.insert(head.origin.clone(), head).is_some() {
            return None;
        }
    }
    Some(heads)
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::Hash;

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
                matches!(EmbeddedHeads::open(&folder), Err(OpenError::Corrupt { .. })),
                "{bad:?}"
            );
        }
    }
}
