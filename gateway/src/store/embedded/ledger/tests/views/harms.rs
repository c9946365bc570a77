//! Views that lack something: what was acknowledged is answered all the same, and the journal is not blamed for it.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::store::embedded::views::keys;

/// A ledger whose views are written when the drain looks by itself, not for being many.
fn unhurried(path: &Path, io: &Arc<TestIo>) -> EmbeddedLedger {
    let mut how = small(Arc::clone(io));
    how.bounds.drain_at = 1_000_000;
    open_as(path, how, Arc::new(SystemClock))
}

async fn all_drained(ledger: &EmbeddedLedger) {
    while ledger.book.read().len() > 0 {
        tokio::task::yield_now().await;
    }
}

/// Waits until the drain holds all there is and could not write it.
async fn stuck(ledger: &EmbeddedLedger) {
    let is_stuck = || {
        let overlay = ledger.book.read();
        overlay.waiting() == 0 && overlay.len() > 0
    };
    while !is_stuck() {
        tokio::task::yield_now().await;
    }
}

fn try_open(path: &Path) -> Result<EmbeddedLedger, OpenError> {
    let folder = PrivateFolder::open(&path.join("data")).unwrap();
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    EmbeddedLedger::open_with(&folder, "node", clock, random, small(Arc::default()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_after_a_drain_that_failed_leaves_all_in_the_views() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    io.is_stuck.store(true, Ordering::SeqCst);
    let ledger = unhurried(folder.path(), &io);
    announce(&ledger, 0).await.unwrap();
    stuck(&ledger).await;
    announce(&ledger, 1).await.unwrap();
    io.is_stuck.store(false, Ordering::SeqCst);
    drop(ledger);
    let ledger = reopen(folder.path());
    assert!(ledger.transfer(&id(0)).await.unwrap().is_some());
    assert!(
        ledger.transfer(&id(1)).await.unwrap().is_some(),
        "it came after the drain that failed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_views_cannot_be_written_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    io.is_stuck.store(true, Ordering::SeqCst);
    let ledger = unhurried(folder.path(), &io);
    announce(&ledger, 0).await.unwrap();
    stuck(&ledger).await;
    announce(&ledger, 1).await.unwrap();
    drop(ledger);
    let meta = Shelf::open(&data(folder.path(), "views"))
        .unwrap()
        .meta()
        .unwrap()
        .unwrap();
    assert!(!meta.is_clean, "they are not what was acknowledged");
    let ledger = reopen(folder.path());
    assert!(ledger.transfer(&id(0)).await.unwrap().is_some());
    assert!(ledger.transfer(&id(1)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_removed_stays_removed_while_it_is_in_two_layers() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = unhurried(folder.path(), &io);
    commit(&ledger, sample::announced(5, 1, 5_000)).await;
    all_drained(&ledger).await;
    io.is_stuck.store(true, Ordering::SeqCst);
    // One that is due before it, and its end.
    commit(&ledger, sample::announced(4, 1, 2_000)).await;
    commit(&ledger, Change::TransferRemoved { transfer: id(5) }).await;
    stuck(&ledger).await;
    commit(&ledger, Change::TransferRemoved { transfer: id(4) }).await;
    assert_eq!(ledger.due(u64::MAX, 10).await.unwrap(), vec![]);
    assert_eq!(ledger.due(u64::MAX, 1).await.unwrap(), vec![], "sled has it still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_that_miss_something_are_made_again_and_the_journal_is_not_blamed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let io = Arc::new(TestIo::default());
    let ledger = open_as(path, small(Arc::clone(&io)), Arc::new(SystemClock));
    commit(&ledger, sample::announced(3, 1, 5_000)).await;
    commit(&ledger, sample::announced(4, 1, 5_000)).await;
    // More than are compared at a start.
    for number in 0..300 {
        commit(&ledger, sample::part(4, number)).await;
    }
    all_drained(&ledger).await;
    io.is_stuck.store(true, Ordering::SeqCst);
    commit(&ledger, sample::part(3, 0)).await;
    let next = tempfile::tempdir().unwrap();
    let next = next.path();
    killed(&ledger, path, next);
    drop(ledger);
    fs::set_permissions(next.join("data"), fs::Permissions::from_mode(0o700)).unwrap();
    let shelf = Shelf::open(&data(next, "views")).unwrap();
    let meta = shelf.meta().unwrap().unwrap();
    let missing = keys::birth(&Key::Transfer(id(3)));
    shelf.write(vec![(missing, None)], Some(&meta)).unwrap();
    drop(shelf);
    let ledger = try_open(next).unwrap();
    assert_eq!(ledger.transfer(&id(3)).await.unwrap().unwrap().parts.len(), 1);
}

/// The journal's files, in order.
fn journal_files(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(path, "journal")).unwrap();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_journal_that_lacks_a_file_is_refused_although_the_start_did_not_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    fill(&ledger, path, 2).await;
    drop(ledger);
    fs::remove_file(&journal_files(path)[1]).unwrap();
    let refused = || try_open(path).unwrap_err().to_string();
    let why = "a file before it is missing";
    assert!(refused().contains(why), "the views know better: {}", refused());
    fs::remove_dir_all(data(path, "views")).unwrap();
    assert!(refused().contains(why), "a snapshot knows better: {}", refused());
    fs::remove_dir_all(data(path, "snapshots")).unwrap();
    fs::remove_dir_all(data(path, "views")).unwrap();
    assert!(refused().contains(why), "the journal itself shows it: {}", refused());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn damage_that_a_snapshot_meets_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    commit(&ledger, sample::announced(1, 1, 1_000)).await;
    assert!(verified(&ledger).await);
    // The first file is read again when the second has begun.
    let first = journal_files(path).remove(0);
    let flipped = [fs::read(&first).unwrap()[200] ^ 1];
    let file = fs::OpenOptions::new().write(true).open(&first).unwrap();
    file.write_all_at(&flipped, 200).unwrap();
    let mut number = 0_u32;
    while !matches!(ledger.verification(), VerificationState::Failed(_)) {
        commit(
            &ledger,
            sample::announced(u8::try_from(number % 250).unwrap(), 1, 1_000),
        )
        .await;
        number += 1;
        assert!(number < 20_000, "nobody was told");
    }
    assert_eq!(made(path), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn snapshots_that_are_of_no_use_are_removed_when_one_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    let torn = data(path, "snapshots").join(format!("{:020}.snapshot", 7));
    let strange = data(path, "snapshots").join("notes.snapshot");
    fs::write(&torn, b"torn").unwrap();
    fs::write(&strange, b"somebody's").unwrap();
    fill(&ledger, path, 3).await;
    drop(ledger);
    assert!(!torn.exists());
    assert!(strange.exists(), "that is none of ours");
}
