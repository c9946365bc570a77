//! The views: whatever happens to sled and the snapshots, the answers are those of the journal.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::time::Duration;

use super::*;
use crate::domain::State;
use crate::store::embedded::views::shelf::Shelf;

mod harms;

/// Drains and files so small that everything happens in a test.
fn small(io: Arc<TestIo>) -> How {
    How {
        bounds: Bounds {
            rest: Duration::from_millis(50),
            drain_at: 8,
            full_at: 1_000_000,
            deadline: Duration::from_millis(50),
        },
        ..how(io)
    }
}

fn reopen(path: &Path) -> EmbeddedLedger {
    open_as(path, small(Arc::default()), Arc::new(SystemClock))
}

fn data(path: &Path, name: &str) -> PathBuf {
    path.join("data").join(name)
}

/// A copy of the data folder as a kill would leave it: taken while the ledger runs.
fn killed(ledger: &EmbeddedLedger, from: &Path, to: &Path) {
    // No frame is being written when nothing is committed; sled may be.
    let _quiet = ledger.book.write();
    for name in ["journal", "snapshots", "views"] {
        copy(&data(from, name), &data(to, name));
    }
}

fn copy(from: &Path, to: &Path) {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn decide(change: Change) -> impl FnMut(&Loaded, Stamp) -> (bool, Effects) + Send + 'static {
    let leaf = sample::leaf(1, EventType::TransferCreated);
    move |loaded: &Loaded, _| {
        let Key::Transfer(id) = change.key() else {
            return (false, Effects::none());
        };
        let makes = matches!(change, Change::TransferAnnounced { .. } | Change::TransferSealed { .. });
        if !makes && loaded.transfer(&id).is_none() {
            return (false, Effects::none());
        }
        (true, Effects::one(change.clone(), leaf.clone()))
    }
}

async fn commit(ledger: &EmbeddedLedger, change: Change) -> bool {
    let key = change.key();
    transact(ledger, vec![key], decide(change)).await.unwrap().0
}

/// Some hundreds of records over several journal files: until a snapshot has been made.
async fn fill(ledger: &EmbeddedLedger, path: &Path, snapshots: usize) {
    let mut round = 0_u32;
    while made(path).len() < snapshots {
        for n in 0..40 {
            commit(ledger, sample::announced(n, n % 3, 1_000)).await;
            commit(ledger, sample::sealed(n, n % 3, &[n % 5, 7], 2_000 + u64::from(round))).await;
            commit(ledger, sample::part(n, round)).await;
        }
        round += 1;
        assert!(round < 400, "no snapshot was made");
    }
}

fn made(path: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(data(path, "snapshots")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = paths
        .filter(|path| path.extension().is_some_and(|e| e == "snapshot"))
        .collect();
    paths.sort();
    paths
}

fn damage(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_to_views_and_snapshots_the_answers_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    fill(&ledger, path, 2).await;
    let expected = answers(&ledger).await;
    let lines = ledger.audit_leaves(0, usize::MAX).await.unwrap();
    drop(ledger);
    let other = tempfile::tempdir().unwrap();
    let stranger = reopen(other.path());
    commit(&stranger, sample::announced(3, 1, 5)).await;
    drop(stranger);

    type Harm<'a> = (&'static str, Box<dyn Fn() + 'a>);
    let newest = || made(path).pop().unwrap();
    let harms: Vec<Harm<'_>> = vec![
        ("nothing", Box::new(|| {})),
        (
            "views deleted",
            Box::new(|| fs::remove_dir_all(data(path, "views")).unwrap()),
        ),
        ("views torn", Box::new(|| damage(&data(path, "views").join("db")))),
        (
            "views cut short",
            Box::new(|| {
                let db = fs::OpenOptions::new()
                    .write(true)
                    .open(data(path, "views").join("db"))
                    .unwrap();
                db.set_len(db.metadata().unwrap().len() / 2).unwrap();
            }),
        ),
        (
            "views of another journal",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                copy(&data(other.path(), "views"), &data(path, "views"));
            }),
        ),
        (
            "views of another version",
            Box::new(|| {
                let shelf = Shelf::open(&data(path, "views")).unwrap();
                let mut meta = shelf.meta().unwrap().unwrap();
                meta.format += 1;
                shelf.write(Vec::new(), Some(&meta)).unwrap();
            }),
        ),
        (
            "newest snapshot of another version",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                // Behind the sixteen bytes that say what it is.
                let file = fs::OpenOptions::new().write(true).open(newest()).unwrap();
                file.write_all_at(&u32::MAX.to_be_bytes(), 16).unwrap();
            }),
        ),
        (
            "newest snapshot damaged",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                damage(&newest());
            }),
        ),
        (
            "newest snapshot half written",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                let bytes = fs::read(newest()).unwrap();
                fs::write(newest(), &bytes[..bytes.len() / 2]).unwrap();
                fs::write(data(path, "snapshots").join("next.unfinished"), b"torn").unwrap();
            }),
        ),
        (
            "no views, no snapshots",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                fs::remove_dir_all(data(path, "snapshots")).unwrap();
            }),
        ),
        (
            "a snapshot of another place",
            Box::new(|| {
                fs::remove_dir_all(data(path, "views")).unwrap();
                fs::write(
                    data(path, "snapshots").join("99999999999999999999.snapshot"),
                    b"something",
                )
                .unwrap();
            }),
        ),
    ];
    for (what, harm) in harms {
        harm();
        let ledger = reopen(path);
        assert_eq!(answers(&ledger).await, expected, "{what}");
        assert_eq!(ledger.audit_leaves(0, usize::MAX).await.unwrap(), lines, "{what}");
        assert!(verified(&ledger).await, "{what}");
    }
}

async fn verified(ledger: &EmbeddedLedger) -> bool {
    loop {
        match ledger.verification() {
            VerificationState::Running => tokio::task::yield_now().await,
            VerificationState::Verified => return true,
            VerificationState::Failed(_) => return false,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_newer_than_the_journal_are_not_believed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    commit(&ledger, sample::announced(1, 1, 5)).await;
    drop(ledger);
    let before = tempfile::tempdir().unwrap();
    copy(&data(path, "journal"), &data(before.path(), "journal"));
    let ledger = reopen(path);
    commit(&ledger, sample::announced(2, 1, 5)).await;
    drop(ledger);
    // The journal was put back from a copy, the views were not.
    fs::remove_dir_all(data(path, "journal")).unwrap();
    copy(&data(before.path(), "journal"), &data(path, "journal"));
    let ledger = reopen(path);
    assert!(ledger.transfer(&id(1)).await.unwrap().is_some());
    assert!(ledger.transfer(&id(2)).await.unwrap().is_none());
    assert_eq!(ledger.audit_head().await.unwrap().0, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_early_file_that_was_damaged_is_told_although_the_start_did_not_need_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let ledger = reopen(path);
    fill(&ledger, path, 1).await;
    let expected = answers(&ledger).await;
    drop(ledger);
    let mut files: Vec<PathBuf> = fs::read_dir(data(path, "journal"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    damage(&files[0]);
    let ledger = reopen(path);
    assert_eq!(answers(&ledger).await, expected, "the start begins with the snapshot");
    assert!(!verified(&ledger).await);
    let VerificationState::Failed(why) = ledger.verification() else {
        panic!("not told");
    };
    assert!(why.contains("is damaged at offset"), "{why}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_overlay_refuses_and_takes_more_once_it_is_drained() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    io.is_stuck.store(true, Ordering::SeqCst);
    let mut bounded = small(Arc::clone(&io));
    bounded.bounds.full_at = 100;
    let ledger = open_as(folder.path(), bounded, Arc::new(SystemClock));
    let mut n = 0;
    let refused = loop {
        match announce(&ledger, n).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
        assert!(n < 100, "the overlay has no bound");
    };
    assert!(matches!(refused, StoreError::Unavailable(cause) if cause.kind() == io::ErrorKind::TimedOut));
    assert!(ledger.transfer(&id(0)).await.unwrap().is_some(), "reading goes on");
    let size = ledger.audit_head().await.unwrap().0;
    io.is_stuck.store(false, Ordering::SeqCst);
    while announce(&ledger, 200).await.is_err() {}
    assert_eq!(ledger.audit_head().await.unwrap().0, size + 1);
    drop(ledger);
    assert!(reopen(folder.path()).transfer(&id(0)).await.unwrap().is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_while_draining_see_all_that_was_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Arc::new(reopen(folder.path()));
    let writer = Arc::clone(&ledger);
    let writing = tokio::spawn(async move {
        for round in 0..30_u32 {
            for n in 0..20 {
                commit(&writer, sample::announced(n, 1, 1)).await;
                commit(&writer, sample::sealed(n, 1, &[9], 5_000)).await;
                commit(&writer, sample::part(n, round)).await;
                let parts = writer.transfer(&id(n)).await.unwrap().unwrap().parts.len();
                assert_eq!(parts, 1, "who writes reads it at once");
                let place = writer.inbox(&sample::label(9), None, 100).await.unwrap();
                let expected = if round == 0 { usize::from(n) + 1 } else { 20 };
                assert_eq!(place.len(), expected);
            }
        }
    });
    while !writing.is_finished() {
        for n in 0..20 {
            if let Some(transfer) = ledger.transfer(&id(n)).await.unwrap() {
                assert_eq!(transfer.id, id(n));
            }
        }
        tokio::task::yield_now().await;
    }
    writing.await.unwrap();
}

/// What happens between commands.
#[derive(Debug, Clone)]
enum Event {
    Change(Change),
    /// Waits for a drain.
    Drain,
    /// Stops and starts.
    Restart,
    /// Ends without a stop, and starts.
    Kill,
    /// The machine is another after a kill.
    PowerCut,
}

fn any_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        20 => any_change().prop_map(Event::Change),
        1 => Just(Event::Drain),
        1 => Just(Event::Restart),
        1 => Just(Event::Kill),
        1 => Just(Event::PowerCut),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Commands with drains, restarts and kills in between give what a model in memory gives.
    #[test]
    fn any_commands_and_ends_give_what_a_model_gives(events in proptest::collection::vec(any_event(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        runtime.block_on(async {
            let mut folder = tempfile::tempdir().unwrap();
            let mut boot = 0;
            let open = |path: &Path, boot: i32| {
                let how = How { boot: Some(boot.to_string()), ..small(Arc::default()) };
                open_as(path, how, Arc::new(SystemClock))
            };
            let mut ledger = open(folder.path(), boot);
            let mut model = State::default();
            for event in events {
                match event {
                    Event::Change(change) => {
                        if commit(&ledger, change.clone()).await {
                            model.apply(&change).unwrap();
                        }
                    }
                    Event::Drain => {
                        while ledger.book.read().len() > 0 {
                            tokio::task::yield_now().await;
                        }
                    }
                    Event::Restart => {
                        drop(ledger);
                        ledger = open(folder.path(), boot);
                    }
                    Event::Kill | Event::PowerCut => {
                        let next = tempfile::tempdir().unwrap();
                        killed(&ledger, folder.path(), next.path());
                        drop(ledger);
                        boot += i32::from(matches!(event, Event::PowerCut));
                        folder = next;
                        use std::os::unix::fs::PermissionsExt;
                        let private = fs::Permissions::from_mode(0o700);
                        fs::set_permissions(folder.path().join("data"), private).unwrap();
                        ledger = open(folder.path(), boot);
                    }
                }
                compare(&ledger, &model).await;
            }
            Ok::<_, TestCaseError>(())
        })?;
    }
}

/// Everything that can be asked is as the model has it.
async fn compare(ledger: &EmbeddedLedger, model: &State) {
    let of_model = |n: u8| model.load(&[Key::Transfer(id(n))]).shared_transfer(&id(n));
    let all: Vec<_> = (0..8).filter_map(of_model).collect();
    let mut due: Vec<_> = all.iter().filter_map(|t| Some((t.due_at()?, t.id))).collect();
    due.sort_unstable();
    let due: Vec<TransferId> = due.into_iter().map(|(_, id)| id).collect();
    assert_eq!(ledger.due(u64::MAX, 100).await.unwrap(), due);
    let mut stored = 0;
    for n in 0..8 {
        let person = Label::from_bytes([n; 32]);
        assert_eq!(ledger.transfer(&id(n)).await.unwrap(), of_model(n));
        let ids = |page: crate::store::views::Page| {
            let mut ids: Vec<TransferId> = page.iter().map(|(_, transfer)| transfer.id).collect();
            ids.sort_unstable();
            ids
        };
        let sent = all.iter().filter(|t| t.sealed.is_some() && t.sender == person);
        let sent: Vec<TransferId> = sent.map(|t| t.id).collect();
        assert_eq!(ids(ledger.sent(&person, None, 100).await.unwrap()), sent);
        let received = all.iter().filter(|t| t.recipient(&person).is_some());
        let received: Vec<TransferId> = received.map(|t| t.id).collect();
        assert_eq!(ids(ledger.inbox(&person, None, 100).await.unwrap()), received);
        stored += ledger.stored_bytes(Some(&person)).await.unwrap();
    }
    assert_eq!(ledger.stored_bytes(None).await.unwrap(), stored);
}
