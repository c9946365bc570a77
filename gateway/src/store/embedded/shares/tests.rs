use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::FutureExt;
use sealpost_proto::id::{Hash, TransferId};
use zeroize::Zeroizing;

use super::*;
use crate::random::SystemRandom;
use crate::store::contract;
use crate::store::ledger::Stamp;

const DAY: Day = Day(20_000);

fn open(root: &Path) -> EmbeddedShares {
    try_open(root).unwrap()
}

fn try_open(root: &Path) -> Result<EmbeddedShares, OpenError> {
    let data = PrivateFolder::open(&root.join("data"))?;
    let ring = PrivateFolder::open(&root.join("data-ring"))?;
    EmbeddedShares::open(&data, &ring, Arc::new(SystemRandom))
}

fn share(n: u8) -> ShareRef {
    ShareRef {
        transfer: TransferId::from_bytes([n; 16]),
        commit: Hash::from_bytes([n; 32]),
        day: DAY,
    }
}

fn value(n: u8) -> Share {
    Zeroizing::new(std::array::from_fn(|at| u8::try_from(at).unwrap() ^ n ^ 0xa5))
}

fn witness() -> Committed {
    Committed::new(Stamp { millis: 1 }, 0..1)
}

fn rows_file(root: &Path) -> PathBuf {
    root.join("data/shares").join(format!("{:010}.shares", DAY.0))
}

fn ring_file(root: &Path) -> PathBuf {
    root.join("data-ring/ring")
}

/// All bytes of all files below a folder.
fn disk(folder: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        bytes.extend(if path.is_dir() {
            disk(&path)
        } else {
            fs::read(path).unwrap()
        });
    }
    bytes
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    hay.windows(needle.len()).any(|window| window == needle)
}

/// Non-zero runs of a file after its header: what a thief would look for later.
fn slots(path: &Path, len: usize) -> Vec<Vec<u8>> {
    let bytes = fs::read(path).unwrap();
    let slots = bytes[64..]
        .chunks(len)
        .filter(|slot| slot.iter().any(|byte| *byte != 0));
    slots.map(<[u8]>::to_vec).collect()
}

#[tokio::test]
async fn keeps_the_contract() {
    let root = tempfile::tempdir().unwrap();
    contract::shares(&open(root.path())).await.unwrap();
    let other = tempfile::tempdir().unwrap();
    contract::shares_survive(|| open(other.path())).await.unwrap();
}

#[tokio::test]
async fn no_share_stands_on_the_disk() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    let bytes = disk(root.path());
    assert!(
        contains(&bytes, share(1).transfer.as_bytes()),
        "the search finds what is there"
    );
    for window in value(1).windows(8) {
        assert!(!contains(&bytes, window));
    }
}

#[tokio::test]
async fn what_was_destroyed_is_found_nowhere() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    store.put(&share(2), &value(2)).await.unwrap();
    let row = slots(&rows_file(root.path()), 128)
        .into_iter()
        .find(|row| row[8] == 1)
        .unwrap();
    let secret = &row[56..116];
    assert!(contains(&disk(root.path()), secret));
    store.destroy(&share(1)).await.unwrap();
    let bytes = disk(root.path());
    for window in secret.windows(8).chain(value(1).windows(8)) {
        assert!(!contains(&bytes, window));
    }
    assert!(!contains(&bytes, share(1).transfer.as_bytes()));
    assert_eq!(slots(&rows_file(root.path()), 128).len(), 1, "the other row stays");
}

#[tokio::test]
async fn a_copy_of_a_destroyed_row_does_not_open_after_the_key_was_replaced() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    store.put(&share(2), &value(2)).await.unwrap();
    let copy = fs::read(rows_file(root.path())).unwrap();
    let keys = slots(&ring_file(root.path()), 64);
    store.destroy(&share(1)).await.unwrap();
    store.replace_key(DAY).await.unwrap();
    let bytes = disk(root.path());
    assert!(!contains(&bytes, &keys[0][16..48]), "the old key is gone");
    assert_eq!(store.take(&share(2), &witness()).await.unwrap(), value(2));
    drop(store);
    fs::write(rows_file(root.path()), &copy).unwrap();
    let store = open(root.path());
    for n in [1, 2] {
        assert!(matches!(
            store.take(&share(n), &witness()).await,
            Err(StoreError::NotFound)
        ));
    }
}

#[tokio::test]
async fn an_ended_day_leaves_neither_key_nor_rows() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    let copy = fs::read(rows_file(root.path())).unwrap();
    let keys = slots(&ring_file(root.path()), 64);
    store.end_days_before(Day(DAY.0 + 1), &BTreeSet::new()).await.unwrap();
    assert!(!rows_file(root.path()).exists());
    assert!(!contains(&disk(root.path()), &keys[0][16..48]));
    drop(store);
    fs::write(rows_file(root.path()), copy).unwrap();
    let store = open(root.path());
    assert!(matches!(
        store.take(&share(1), &witness()).await,
        Err(StoreError::NotFound)
    ));
    assert_eq!(
        store.list().await.unwrap(),
        [share(1)],
        "the sweep sees it and destroys it"
    );
    store.put(&share(2), &value(2)).await.unwrap();
    drop(store);
    let store = open(root.path());
    assert_eq!(store.take(&share(2), &witness()).await.unwrap(), value(2));
}

/// A replacement that the power ended: after each of its steps a start has the same outcome.
#[tokio::test]
async fn a_replacement_is_finished_at_start() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for n in 1..5 {
        store.put(&share(n), &value(n)).await.unwrap();
    }
    let before = (
        fs::read(rows_file(root.path())).unwrap(),
        fs::read(ring_file(root.path())).unwrap(),
    );
    store.kept.lock().unwrap().add_key_for_test(DAY);
    let both_keys = fs::read(ring_file(root.path())).unwrap();
    drop(store);
    drop(open(root.path()));
    let after = (
        fs::read(rows_file(root.path())).unwrap(),
        fs::read(ring_file(root.path())).unwrap(),
    );
    assert_ne!(before, after);
    let mut doubled = before.0.clone();
    for (at, byte) in after.0.iter().enumerate().filter(|(at, byte)| *at >= 64 && **byte != 0) {
        doubled[at] = *byte;
    }
    let steps = [
        (&before.0, &both_keys, "key added"),
        (&doubled, &both_keys, "rows written anew"),
        (&after.0, &both_keys, "old rows zeroed"),
        (&after.0, &after.1, "old key destroyed"),
    ];
    for (rows, ring, step) in steps {
        fs::write(rows_file(root.path()), rows).unwrap();
        fs::write(ring_file(root.path()), ring).unwrap();
        let store = open(root.path());
        for n in 1..5 {
            assert_eq!(store.take(&share(n), &witness()).await.unwrap(), value(n), "{step}");
        }
        drop(store);
        assert_eq!(slots(&ring_file(root.path()), 64).len(), 1, "{step}: one key");
        assert_eq!(slots(&rows_file(root.path()), 128).len(), 4, "{step}: each row once");
    }
}

#[tokio::test]
async fn torn_slots_are_cleaned_at_start() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    drop(store);
    let mut rows = fs::read(rows_file(root.path())).unwrap();
    rows[64 + 128 + 40] = 7;
    fs::write(rows_file(root.path()), rows).unwrap();
    let mut ring = fs::read(ring_file(root.path())).unwrap();
    ring[64 + 64 + 20] = 7;
    fs::write(ring_file(root.path()), ring).unwrap();
    let store = open(root.path());
    assert_eq!(store.take(&share(1), &witness()).await.unwrap(), value(1));
    assert_eq!(slots(&rows_file(root.path()), 128).len(), 1);
    assert_eq!(slots(&ring_file(root.path()), 64).len(), 1);
}

#[tokio::test]
async fn a_damaged_row_is_told_from_a_missing_one() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    store.put(&share(1), &value(1)).await.unwrap();
    drop(store);
    let mut rows = fs::read(rows_file(root.path())).unwrap();
    rows[64 + 70] ^= 1;
    fs::write(rows_file(root.path()), rows).unwrap();
    let store = open(root.path());
    assert!(matches!(
        store.take(&share(1), &witness()).await,
        Err(StoreError::Corrupt(_))
    ));
    store.put(&share(1), &value(1)).await.unwrap();
    assert_eq!(
        store.take(&share(1), &witness()).await.unwrap(),
        value(1),
        "sent again by its sender"
    );
}

#[test]
fn the_ring_is_never_inside_the_data_folder() {
    let root = tempfile::tempdir().unwrap();
    let data = PrivateFolder::open(&root.path().join("data")).unwrap();
    let ring = PrivateFolder::open(&root.path().join("data/ring")).unwrap();
    let refused = EmbeddedShares::open(&data, &ring, Arc::new(SystemRandom)).unwrap_err();
    assert!(matches!(refused, OpenError::RingInsideData { .. }));
}

#[tokio::test]
async fn slots_are_used_again() {
    let root = tempfile::tempdir().unwrap();
    let store = open(root.path());
    for round in 0..3 {
        for n in 0..200 {
            store.put(&share(n), &value(n)).await.unwrap();
        }
        for n in 0..200 {
            store.destroy(&share(n)).await.unwrap();
        }
        let len = fs::metadata(rows_file(root.path())).unwrap().len();
        assert_eq!(len, 64 + 256 * 128, "round {round}");
    }
}

#[tokio::test]
async fn shares_of_a_lost_or_foreign_ring_are_told() {
    let root = tempfile::tempdir().unwrap();
    let shares = open(root.path());
    for n in 1..=3 {
        shares.put(&share(n), &value(n)).await.unwrap();
    }
    assert!(shares.unusable().await.unwrap().is_empty());
    drop(shares);
    let ring = fs::read(ring_file(root.path())).unwrap();

    // A ring that begins anew has no key of the day.
    fs::remove_file(ring_file(root.path())).unwrap();
    let shares = open(root.path());
    assert_eq!(shares.unusable().await.unwrap().len(), 3);
    drop(shares);

    // Another gateway's has one of the same day and generation, which opens nothing.
    let other = tempfile::tempdir().unwrap();
    open(other.path()).put(&share(9), &value(9)).await.unwrap();
    fs::copy(ring_file(other.path()), ring_file(root.path())).unwrap();
    let shares = open(root.path());
    assert_eq!(shares.unusable().await.unwrap().len(), 3);
    drop(shares);

    fs::write(ring_file(root.path()), ring).unwrap();
    assert!(open(root.path()).unusable().await.unwrap().is_empty());
}

/// A disk without room: what is there can be overwritten, and no file grows. Half of what would not fit is written all the same.
#[derive(Debug, Default)]
struct SmallDisk {
    is_full: AtomicBool,
    is_broken: AtomicBool,
}

impl FileIo for SmallDisk {
    fn allocate(&self, file: &fs::File, len: u64) -> io::Result<()> {
        SystemIo.allocate(file, len)
    }

    fn write_at(&self, file: &fs::File, bytes: &[u8], offset: u64) -> io::Result<()> {
        if self.is_broken.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let is_too_long = file.metadata()?.len() < offset + bytes.len() as u64;
        if self.is_full.load(Ordering::SeqCst) && is_too_long {
            let (first, _) = bytes.split_at(bytes.len() / 2 + 1);
            SystemIo.write_at(file, first, offset)?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        SystemIo.write_at(file, bytes, offset)
    }

    fn sync(&self, file: &fs::File) -> io::Result<()> {
        SystemIo.sync(file)
    }
}

fn open_on(root: &Path, disk: &Arc<SmallDisk>) -> EmbeddedShares {
    let data = PrivateFolder::open(&root.join("data")).unwrap();
    let ring = PrivateFolder::open(&root.join("data-ring")).unwrap();
    let io = Arc::clone(disk) as Arc<dyn FileIo>;
    EmbeddedShares::open_with(&data, &ring, Arc::new(SystemRandom), io).unwrap()
}

#[tokio::test]
async fn n113_a_full_disk_while_a_key_is_replaced_stops_nothing() {
    let (root, disk) = (tempfile::tempdir().unwrap(), Arc::new(SmallDisk::default()));
    let shares = open_on(root.path(), &disk);
    for n in 0..200 {
        shares.put(&share(n), &value(n)).await.unwrap();
    }
    let before = slots(&ring_file(root.path()), 64);
    disk.is_full.store(true, Ordering::SeqCst);
    for _ in 0..3 {
        assert!(shares.replace_key(DAY).await.unwrap_err().is_full());
        assert_eq!(
            slots(&ring_file(root.path()), 64).len(),
            2,
            "one unfinished key, not one for each try"
        );
        assert_eq!(
            slots(&rows_file(root.path()), 128).len(),
            200,
            "nothing is half written"
        );
    }
    shares.destroy(&share(0)).await.unwrap();
    shares.put(&share(200), &value(200)).await.unwrap();
    let tomorrow = ShareRef {
        day: Day(DAY.0 + 1),
        ..share(201)
    };
    assert!(shares.put(&tomorrow, &value(201)).await.unwrap_err().is_full());
    for n in 1..=200 {
        assert_eq!(shares.take(&share(n), &witness()).await.unwrap(), value(n));
    }
    let between = slots(&ring_file(root.path()), 64);
    disk.is_full.store(false, Ordering::SeqCst);
    shares.replace_key(DAY).await.unwrap();
    shares.put(&tomorrow, &value(201)).await.unwrap();
    let keys = fs::read(ring_file(root.path())).unwrap();
    for old in before.iter().chain(&between) {
        assert!(!contains(&keys, &old[16..48]), "no key from before is left");
    }
    assert_eq!(slots(&rows_file(root.path()), 128).len(), 200, "each row once");
    drop(shares);
    let shares = open(root.path());
    for n in 1..=200 {
        assert_eq!(shares.take(&share(n), &witness()).await.unwrap(), value(n));
    }
}

#[tokio::test]
async fn shares_that_cannot_be_written_any_more_end_the_process() {
    let (root, disk) = (tempfile::tempdir().unwrap(), Arc::new(SmallDisk::default()));
    let shares = open_on(root.path(), &disk);
    shares.put(&share(1), &value(1)).await.unwrap();
    let [data, _] = &shares.folders;
    disk.is_full.store(true, Ordering::SeqCst);
    for n in 2..=250 {
        shares.put(&share(n), &value(n)).await.unwrap();
    }
    assert!(shares.replace_key(DAY).await.unwrap_err().is_full());
    assert!(data.failed().now_or_never().is_none(), "a full disk ends nothing");
    disk.is_broken.store(true, Ordering::SeqCst);
    shares.destroy(&share(1)).await.unwrap_err();
    disk.is_broken.store(false, Ordering::SeqCst);
    shares.take(&share(2), &witness()).await.unwrap_err();
    assert!(data.failed().now_or_never().is_some());
}
