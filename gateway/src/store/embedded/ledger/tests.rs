use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt;
use proptest::prelude::*;
use sealpost_proto::id::{Label, OrgId, TransferId};
use sealpost_proto::log::{EventType, Leaf};

use super::*;
use crate::clock::SystemClock;
use crate::clock::fixture::TestClock;
use crate::domain::{Change, Effects, Loaded, ShredCause, Stamp};
use crate::random::SystemRandom;
use crate::store::contract::{self, sample};
use crate::store::embedded::journal::Journal;
use crate::store::embedded::record::Record;
use crate::store::failure;
use crate::store::ledger::transact;
use crate::store::views::Views;

mod views;

/// Long enough for a header and the longest frame, and little more: files end often.
const SHORT: u64 = 1024 * 1024 + 64 * 1024;

fn open_at(path: &Path, io: Arc<dyn FileIo>, clock: Arc<dyn Clock>) -> EmbeddedLedger {
    open_as(path, how(io), clock)
}

fn how(io: Arc<dyn FileIo>) -> How {
    How {
        file_len: SHORT,
        io,
        boot: Some("one".to_owned()),
        ..How::default()
    }
}

fn open_as(path: &Path, how: How, clock: Arc<dyn Clock>) -> EmbeddedLedger {
    let folder = PrivateFolder::open(&path.join("data")).unwrap();
    EmbeddedLedger::open_with(&folder, "node", clock, Arc::new(SystemRandom), how).unwrap()
}

fn open(path: &Path) -> EmbeddedLedger {
    open_at(path, Arc::new(SystemIo), Arc::new(SystemClock))
}

fn id(n: u8) -> TransferId {
    TransferId::from_bytes([n; 16])
}

async fn announce(ledger: &EmbeddedLedger, n: u8) -> Result<Committed, StoreError> {
    let decide = move |_: &Loaded, stamp: Stamp| {
        let change = sample::announced(n, 1, stamp.seconds());
        let leaf = sample::leaf(n, EventType::TransferCreated);
        ((), Effects::one(change, leaf))
    };
    let ((), committed) = transact(ledger, vec![Key::Transfer(id(n))], decide).await?;
    Ok(committed)
}

/// Counts syncs, waits where told, and fails where told.
#[derive(Debug, Default)]
struct TestIo {
    syncs: AtomicUsize,
    writes: AtomicUsize,
    fails: AtomicBool,
    is_full: AtomicBool,
    /// A new file cannot be synced, and the reason that is given is a full disk.
    is_lost: AtomicBool,
    gate: Mutex<()>,
    /// The views cannot be written.
    is_stuck: AtomicBool,
}

impl FileIo for TestIo {
    fn allocate(&self, file: &fs::File, len: u64) -> io::Result<()> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(failure::of_sync(io::ErrorKind::StorageFull.into()));
        }
        SystemIo.allocate(file, len)
    }

    fn write_at(&self, file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.writes.fetch_add(1, Ordering::SeqCst);
        SystemIo.write_at(file, bytes, offset)
    }

    fn before_drain(&self) -> io::Result<()> {
        if self.is_stuck.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        let _open = self.gate.lock().unwrap();
        self.syncs.fetch_add(1, Ordering::SeqCst);
        if self.fails.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        SystemIo.sync(file)
    }
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::ledger(&open(folder.path())).await.unwrap();
    contract::ledger_survives(|| open(&folder.path().join("other")))
        .await
        .unwrap();
}

#[tokio::test]
async fn keeps_the_contract_of_views_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    contract::views(&ledger).await.unwrap();
    let person = Label::from_bytes([30; 32]);
    let before = ledger.inbox(&person, None, 100).await.unwrap();
    let due = ledger.due(u64::MAX, 100).await.unwrap();
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(ledger.inbox(&person, None, 100).await.unwrap(), before);
    assert_eq!(ledger.due(u64::MAX, 100).await.unwrap(), due);
    assert!(!before.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_frame_for_all_that_waits() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = open_at(folder.path(), Arc::clone(&io) as Arc<dyn FileIo>, Arc::new(SystemClock));
    let commits: Vec<_> = {
        let gate = io.gate.lock().unwrap();
        let mut commits: Vec<_> = (0..200_u8).map(|n| Box::pin(announce(&ledger, n))).collect();
        for commit in &mut commits {
            assert!(commit.now_or_never().is_none());
        }
        drop(gate);
        commits
    };
    futures_util::future::try_join_all(commits).await.unwrap();
    // One for the first alone, if the committer was quick; one or two for the rest.
    let syncs = io.syncs.load(Ordering::SeqCst);
    assert!(syncs <= 3, "{syncs} frames for 200 commits");
    assert_eq!(ledger.audit_head().await.unwrap().0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_is_not_durable() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = open_at(folder.path(), Arc::clone(&io) as Arc<dyn FileIo>, Arc::new(SystemClock));
    let mut commit = Box::pin(announce(&ledger, 1));
    io.writes.store(0, Ordering::SeqCst);
    {
        let _closed = io.gate.lock().unwrap();
        assert!((&mut commit).now_or_never().is_none());
        // The committer waits at the gate, with the frame written.
        while io.writes.load(Ordering::SeqCst) < 1 {
            std::thread::yield_now();
        }
        assert!(
            ledger.transfer(&id(1)).now_or_never().unwrap().unwrap().is_none(),
            "applied, but not durable"
        );
        assert_eq!(ledger.audit_head().now_or_never().unwrap().unwrap().0, 0);
    }
    commit.await.unwrap();
    assert!(ledger.transfer(&id(1)).await.unwrap().is_some());
}

#[tokio::test]
async fn n114_a_failed_sync_stops_the_ledger_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = open_at(folder.path(), Arc::clone(&io) as Arc<dyn FileIo>, Arc::new(SystemClock));
    announce(&ledger, 1).await.unwrap();
    io.fails.store(true, Ordering::SeqCst);
    let refused = announce(&ledger, 2).await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    io.fails.store(false, Ordering::SeqCst);
    assert!(
        matches!(announce(&ledger, 3).await, Err(StoreError::Unavailable(_))),
        "never tried again"
    );
    assert!(matches!(ledger.transfer(&id(2)).await, Err(StoreError::Unavailable(_))));
    assert!(ledger.stopped().await.contains("the disk is gone"));
}

#[tokio::test]
async fn n113_a_full_disk_refuses_and_goes_on_later() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = open_at(folder.path(), Arc::clone(&io) as Arc<dyn FileIo>, Arc::new(SystemClock));
    io.is_full.store(true, Ordering::SeqCst);
    let mut n = 0;
    let refused = loop {
        match announce(&ledger, n % 250).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, StoreError::Unavailable(cause) if cause.kind() == io::ErrorKind::StorageFull));
    let size = ledger.audit_head().await.unwrap().0;
    io.is_full.store(false, Ordering::SeqCst);
    announce(&ledger, 251).await.unwrap();
    assert_eq!(ledger.audit_head().await.unwrap().0, size + 1);
    drop(ledger);
    assert_eq!(open(folder.path()).audit_head().await.unwrap().0, size + 1);
}

#[tokio::test]
async fn a_sync_that_fails_for_want_of_room_is_no_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    let io = Arc::new(TestIo::default());
    let ledger = open_at(folder.path(), Arc::clone(&io) as Arc<dyn FileIo>, Arc::new(SystemClock));
    io.is_lost.store(true, Ordering::SeqCst);
    let mut n = 0;
    let refused = loop {
        match announce(&ledger, n % 250).await {
            Ok(_) => n += 1,
            Err(error) => break error,
        }
    };
    assert!(!refused.is_full(), "{refused:?}");
    io.is_lost.store(false, Ordering::SeqCst);
    announce(&ledger, 251).await.unwrap_err();
    assert!(ledger.stopped().await.contains("durable"));
}

#[tokio::test]
async fn time_never_goes_back_even_across_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open_at(folder.path(), Arc::new(SystemIo), Arc::new(TestClock::new(5_000)));
    assert_eq!(announce(&ledger, 1).await.unwrap().at().millis, 5_000);
    drop(ledger);
    let ledger = open_at(folder.path(), Arc::new(SystemIo), Arc::new(TestClock::new(4_000)));
    assert_eq!(announce(&ledger, 2).await.unwrap().at().millis, 5_000);
    let line = ledger.audit_leaves(1, 1).await.unwrap().remove(0);
    let leaf: Leaf = line.parse().unwrap();
    assert_eq!((leaf.t, leaf.node.as_str()), (5_000, "node"));
    assert!(
        leaf.id.starts_with("00000000-1388-7"),
        "uuid version 7 of the stamp: {}",
        leaf.id
    );
}

#[tokio::test]
async fn a_decision_that_panics_stops_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    announce(&ledger, 1).await.unwrap();
    let refused = transact(&ledger, Vec::new(), |_: &Loaded, _| -> ((), Effects) {
        panic!("on purpose")
    })
    .await;
    assert!(matches!(refused, Err(StoreError::Unavailable(_))));
    assert!(matches!(announce(&ledger, 2).await, Err(StoreError::Unavailable(_))));
    assert!(ledger.stopped().await.contains("has ended"));
    drop(ledger);
    assert_eq!(open(folder.path()).audit_head().await.unwrap().0, 1);
}

#[tokio::test]
async fn leaves_name_the_organisation_from_its_founding_on() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    announce(&ledger, 1).await.unwrap();
    let org = OrgId::from_bytes([5; 32]);
    let owner = Label::from_bytes([1; 32]);
    let found = move |_: &Loaded, _| {
        let change = Change::OrganisationFounded { org, owner };
        ((), Effects::one(change, sample::leaf(2, EventType::OrgCreated)))
    };
    transact(&ledger, vec![Key::Organisation], found).await.unwrap();
    assert_eq!(ledger.organisation().await.unwrap().owner, Some(owner));
    drop(ledger);
    let ledger = open(folder.path());
    assert_eq!(ledger.organisation().await.unwrap().owner, Some(owner));
    announce(&ledger, 3).await.unwrap();
    let lines = ledger.audit_leaves(0, 10).await.unwrap();
    let tenants: Vec<_> = lines.iter().map(|line| line.parse::<Leaf>().unwrap().tenant).collect();
    assert_eq!(tenants, [None, Some(org.to_string()), Some(org.to_string())]);
}

#[tokio::test]
async fn a_leaf_that_does_not_read_back_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    announce(&ledger, 1).await.unwrap();
    drop(ledger);
    let data = PrivateFolder::open(&folder.path().join("data")).unwrap();
    let options = Options {
        folder: data.path().join("journal"),
        file_len: SHORT,
        io: Arc::new(SystemIo),
        random: Arc::new(SystemRandom),
    };
    let mut journal = Journal::open(options, 0, &mut |_| Ok(())).unwrap();
    let record = Record::new(2, u64::MAX, Vec::new(), vec!["{}".to_owned()]);
    journal.append(&[record.encode().unwrap()]).unwrap();
    drop((journal, data));
    let folder = PrivateFolder::open(&folder.path().join("data")).unwrap();
    let opened = EmbeddedLedger::open(&folder, "node", Arc::new(SystemClock), Arc::new(SystemRandom));
    let refused = opened.unwrap_err().to_string();
    assert!(
        refused.contains("record 2") && refused.contains("is damaged at offset"),
        "{refused}"
    );
}

fn any_change() -> impl Strategy<Value = Change> {
    let at = 1_000..2_000_u64;
    prop_oneof![
        (0..8_u8, 0..3_u8, at.clone()).prop_map(|(n, sender, at)| sample::announced(n, sender, at)),
        (0..8_u8, 0..4_u32).prop_map(|(n, number)| sample::part(n, number)),
        (0..8_u8, 0..3_u8, 0..3_u8, at.clone()).prop_map(|(n, from, to, at)| sample::sealed(
            n,
            from,
            &[to, to + 1],
            at
        )),
        (0..8_u8, at.clone()).prop_map(|(n, at)| Change::TransferShredded {
            transfer: id(n),
            cause: ShredCause::Revoked,
            at,
        }),
        (0..8_u8, at).prop_map(|(n, at)| Change::ShareDestroyed { transfer: id(n), at }),
        (0..8_u8).prop_map(|n| Change::TransferRemoved { transfer: id(n) }),
    ]
}

/// Everything that views answer.
async fn answers(ledger: &EmbeddedLedger) -> String {
    let mut all = String::new();
    for n in 0..8 {
        let (person, transfer) = (Label::from_bytes([n; 32]), ledger.transfer(&id(n)).await.unwrap());
        let inbox = ledger.inbox(&person, None, 100).await.unwrap();
        let sent = ledger.sent(&person, None, 100).await.unwrap();
        all += &format!("{transfer:?} {inbox:?} {sent:?}\n");
    }
    let due = ledger.due(u64::MAX, 100).await.unwrap();
    all + &format!("{due:?} {:?}", ledger.audit_head().await.unwrap())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever was done, and however it was grouped into frames, a restart answers everything as before.
    #[test]
    fn any_changes_survive(changes in proptest::collection::vec(any_change(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        runtime.block_on(async {
            let ledger = open(folder.path());
            let commits = changes.into_iter().map(|change| {
                let (keys, leaf) = (vec![change.key()], sample::leaf(1, EventType::TransferCreated));
                // A decision changes what is there, or makes it.
                let makes = matches!(change, Change::TransferAnnounced { .. } | Change::TransferSealed { .. });
                let decide = move |loaded: &Loaded, _| {
                    let Key::Transfer(id) = change.key() else {
                        return ((), Effects::none());
                    };
                    let fits = makes || loaded.transfer(&id).is_some();
                    let effects = fits.then(|| Effects::one(change.clone(), leaf.clone()));
                    ((), effects.unwrap_or_else(Effects::none))
                };
                transact(&ledger, keys, decide)
            });
            futures_util::future::try_join_all(commits).await.unwrap();
            let before = answers(&ledger).await;
            drop(ledger);
            prop_assert_eq!(answers(&open(folder.path())).await, before);
            Ok(())
        })?;
    }
}

#[tokio::test]
async fn a_change_that_does_not_follow_stops_the_ledger() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = open(folder.path());
    let stray = |_: &Loaded, _| {
        let leaf = sample::leaf(1, EventType::TransferCreated);
        ((), Effects::one(sample::part(1, 0), leaf))
    };
    let refused = transact(&ledger, vec![Key::Transfer(id(1))], stray).await;
    assert!(refused.is_err(), "a part of a transfer that nobody announced");
    assert!(
        ledger.transfer(&id(1)).await.is_err(),
        "nothing is answered from a state that is of no use"
    );
    drop(ledger);
    assert!(
        open(folder.path()).transfer(&id(1)).await.unwrap().is_none(),
        "and none of it is written"
    );
}

#[tokio::test]
async fn a_data_folder_has_one_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let _ledger = open(folder.path());
    assert!(matches!(
        PrivateFolder::open(&folder.path().join("data")),
        Err(OpenError::InUse(_))
    ));
}
