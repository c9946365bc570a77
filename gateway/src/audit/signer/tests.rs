use async_trait::async_trait;
use sealpost_proto::tree::tree_head;

use std::sync::Mutex;

use super::*;
use crate::store::embedded::EmbeddedHeads;
use crate::store::folder::PrivateFolder;

const ORIGIN: &str = "gw.example/audit";

/// A log that a test can change as no log may change.
#[derive(Clone, Debug, Default)]
struct Lines(Arc<Mutex<Vec<String>>>);

impl Lines {
    fn new(count: usize) -> Self {
        let lines = Self::default();
        lines.grow(count);
        lines
    }

    fn grow(&self, count: usize) {
        let mut lines = self.0.lock().unwrap();
        let from = lines.len();
        lines.extend((from..from + count).map(|n| format!("line {n}")));
    }

    fn head(&self) -> (u64, Hash) {
        let lines = self.0.lock().unwrap();
        let hashes: Vec<_> = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
        (hashes.len() as u64, Hash::from_bytes(tree_head(&hashes)))
    }
}

#[async_trait]
impl LogSource for Lines {
    async fn size(&self) -> Result<u64, StoreError> {
        Ok(self.0.lock().unwrap().len() as u64)
    }

    async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
        let (size, head) = Lines::head(self);
        Ok(Some((size, *head.as_bytes())))
    }

    async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        let lines = self.0.lock().unwrap();
        Ok(lines
            .iter()
            .skip(usize::try_from(from).unwrap())
            .take(limit)
            .cloned()
            .collect())
    }
}

fn key() -> SigningKey {
    SigningKey::from_seed(&[3; 32])
}

fn heads(root: &std::path::Path) -> Arc<dyn VouchedHeads> {
    let folder = PrivateFolder::open(&root.join("ring")).unwrap();
    Arc::new(EmbeddedHeads::open(&folder).unwrap())
}

async fn open(root: &std::path::Path, lines: &Lines) -> Result<Signer<Lines>, SignerError> {
    let mut signer = Signer::open(ORIGIN.to_owned(), lines.clone(), key(), heads(root)).await?;
    signer.pace = Duration::ZERO;
    Ok(signer)
}

fn verified(text: &str) -> (u64, Hash) {
    let checkpoint = Checkpoint::verify(text, ORIGIN, &key().public()).unwrap();
    (checkpoint.size, checkpoint.root)
}

#[tokio::test]
async fn signs_what_is_there_and_what_follows() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::default();
    let signer = open(root.path(), &lines).await.unwrap();
    assert_eq!(
        verified(&signer.checkpoint().await.unwrap()),
        lines.head(),
        "an empty log has a head"
    );
    for count in [1, 0, 5, 10_000] {
        lines.grow(count);
        let first = signer.checkpoint().await.unwrap();
        assert_eq!(verified(&first), lines.head());
        assert_eq!(signer.checkpoint().await.unwrap(), first);
    }
    drop(signer);
    let signer = open(root.path(), &lines).await.unwrap();
    lines.grow(3);
    assert_eq!(verified(&signer.checkpoint().await.unwrap()), lines.head());
}

#[tokio::test]
async fn the_memory_is_on_disk_before_the_checkpoint_is_out() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(4);
    let signer = open(root.path(), &lines).await.unwrap();
    signer.checkpoint().await.unwrap();
    let (size, head) = lines.head();
    let text = std::fs::read_to_string(root.path().join("ring/signer")).unwrap();
    assert!(text.contains(&format!("{ORIGIN} {size} {head} ")));
}

#[tokio::test]
async fn an_older_log_is_refused_at_start_and_later() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(10);
    let signer = open(root.path(), &lines).await.unwrap();
    signer.checkpoint().await.unwrap();
    lines.0.lock().unwrap().truncate(9);
    assert!(matches!(
        signer.checkpoint().await,
        Err(SignerError::Behind {
            found: 9,
            remembered: 10,
            ..
        })
    ));
    drop(signer);
    let refused = open(root.path(), &lines).await.unwrap_err();
    assert!(matches!(
        refused,
        SignerError::Behind {
            found: 9,
            remembered: 10,
            ..
        }
    ));
    assert!(refused.to_string().contains("an older copy"));
}

#[tokio::test]
async fn another_history_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(10);
    let signer = open(root.path(), &lines).await.unwrap();
    signer.checkpoint().await.unwrap();
    drop(signer);
    lines.0.lock().unwrap()[4] = "something else".to_owned();
    lines.grow(5);
    let refused = open(root.path(), &lines).await.unwrap_err();
    assert!(matches!(refused, SignerError::Forked { size: 10, .. }));
}

#[tokio::test]
async fn a_noted_position_counts_without_a_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(10);
    let signer = open(root.path(), &lines).await.unwrap();
    signer.note_position().await.unwrap();
    drop(signer);
    lines.0.lock().unwrap().truncate(5);
    assert!(matches!(
        open(root.path(), &lines).await,
        Err(SignerError::Behind { remembered: 10, .. })
    ));
}

#[tokio::test]
async fn a_start_reads_only_what_came_since() {
    /// Refuses to show its beginning.
    #[derive(Debug)]
    struct Long(Lines);

    #[async_trait]
    impl LogSource for Long {
        async fn size(&self) -> Result<u64, StoreError> {
            LogSource::size(&self.0).await
        }

        async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
            LogSource::head(&self.0).await
        }

        async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
            assert!(from >= 10, "entry {from} was read again");
            self.0.leaves(from, limit).await
        }
    }

    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(10);
    open(root.path(), &lines).await.unwrap().note_position().await.unwrap();
    lines.grow(3);
    let long = Long(lines.clone());
    let signer = Signer::open(ORIGIN.to_owned(), long, key(), heads(root.path()))
        .await
        .unwrap();
    assert_eq!(verified(&signer.checkpoint().await.unwrap()), lines.head());
    drop(signer);
    lines.0.lock().unwrap()[4] = "another one".to_owned();
    assert!(matches!(
        open(root.path(), &lines).await,
        Err(SignerError::Forked { size: 13, .. })
    ));
}

/// A sweep that notes a position while a checkpoint is being made does not disturb it.
#[tokio::test]
async fn what_another_one_noted_of_the_same_log_is_fine() {
    /// Answers with a size from before somebody else noted a larger one.
    #[derive(Debug)]
    struct Late(Lines, Arc<dyn VouchedHeads>, std::sync::atomic::AtomicBool);

    #[async_trait]
    impl LogSource for Late {
        async fn size(&self) -> Result<u64, StoreError> {
            let (size, _) = self.0.head();
            if self.2.swap(false, std::sync::atomic::Ordering::SeqCst) {
                self.0.grow(2);
                let mut tree = Tree::new();
                self.0
                    .0
                    .lock()
                    .unwrap()
                    .iter()
                    .for_each(|line| tree.push(leaf_hash(line.as_bytes())));
                self.1.advance(ORIGIN, &tree).await?;
            }
            Ok(size)
        }

        async fn head(&self) -> Result<Option<(u64, [u8; 32])>, StoreError> {
            Ok(None)
        }

        async fn leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
            self.0.leaves(from, limit).await
        }
    }

    let root = tempfile::tempdir().unwrap();
    let (lines, heads) = (Lines::new(3), heads(root.path()));
    let late = Late(lines.clone(), Arc::clone(&heads), true.into());
    let signer = Signer::open(ORIGIN.to_owned(), late, key(), heads).await.unwrap();
    assert_eq!(verified(&signer.checkpoint().await.unwrap()), lines.head());
}

#[tokio::test]
async fn two_signers_of_one_log_cannot_disagree() {
    let root = tempfile::tempdir().unwrap();
    let (mine, other) = (Lines::new(3), Lines::default());
    let heads = heads(root.path());
    let signer = |lines: &Lines| Signer::open(ORIGIN.to_owned(), lines.clone(), key(), Arc::clone(&heads));
    let (first, second) = (signer(&mine).await.unwrap(), signer(&other).await.unwrap());
    first.checkpoint().await.unwrap();
    other.0.lock().unwrap().extend((0..3).map(|n| format!("other {n}")));
    assert!(matches!(
        second.checkpoint().await,
        Err(SignerError::Forked { size: 3, .. })
    ));
}

#[tokio::test]
async fn new_checkpoints_keep_their_pace() {
    let root = tempfile::tempdir().unwrap();
    let lines = Lines::new(1);
    let mut signer = open(root.path(), &lines).await.unwrap();
    signer.pace = Duration::from_millis(50);
    let began = Instant::now();
    for _ in 0..3 {
        signer.checkpoint().await.unwrap();
        lines.grow(1);
    }
    assert!(began.elapsed() >= Duration::from_millis(100), "at least two waits");
}
