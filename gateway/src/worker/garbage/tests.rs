use bytes::Bytes;
use sealpost_proto::id::{Hash, TransferId};

use super::*;
use crate::clock::fixture::TestClock;
use crate::domain::fixture::{Clinic, NOW};
use crate::domain::sealing::seal_hash;
use crate::domain::{Change, Effects, Key, ShredCause};
use crate::random::SystemRandom;
use crate::store::embedded::EmbeddedLedger;
use crate::store::folder::PrivateFolder;
use crate::store::fs::FsBlobs;
use crate::store::ledger::transact;

const ID: TransferId = TransferId::from_bytes([1; 16]);
const UNKNOWN: TransferId = TransferId::from_bytes([2; 16]);

struct House {
    _root: tempfile::TempDir,
    clock: Arc<TestClock>,
    clinic: Clinic,
    ledger: Arc<EmbeddedLedger>,
    blobs: Arc<FsBlobs>,
    /// When the blobs were written, unix seconds.
    written_at: u64,
    garbage: Garbage,
}

impl House {
    /// A gateway's stores, whose clock shows the time at which the store writes.
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let data = PrivateFolder::open(&root.path().join("data")).unwrap();
        let blobs = Arc::new(FsBlobs::open(&data).unwrap());
        let probe = part(&UNKNOWN, 9);
        blobs.put(&probe, Bytes::new()).await.unwrap();
        let written_at = blobs.list(None, 1).await.unwrap()[0].written_at;
        blobs.delete(&probe).await.unwrap();
        let clock = Arc::new(TestClock::new(written_at * 1000));
        let ledger = EmbeddedLedger::open(&data, "1", clock.clone(), Arc::new(SystemRandom)).unwrap();
        let ledger = Arc::new(ledger);
        let garbage = Garbage {
            views: ledger.clone(),
            blobs: blobs.clone(),
            watch: Arc::new(ClockWatch::new(clock.clone(), 0)),
            share_gate: Arc::new(RwLock::new(())),
        };
        Self {
            _root: root,
            clock,
            clinic: Clinic::new(),
            ledger,
            blobs,
            written_at,
            garbage,
        }
    }

    /// So many seconds after the blobs were written; the test itself may take a minute.
    fn wait_until(&self, seconds: u64) {
        let now = (self.written_at + seconds) * 1000;
        self.clock.set(now, 1_000 + seconds * 1000);
    }

    async fn put(&self, keys: &[BlobKey]) {
        for key in keys {
            self.blobs.put(key, Bytes::from_static(b"ten bytes.")).await.unwrap();
        }
    }

    async fn kept(&self) -> Vec<BlobKey> {
        let entries = self.blobs.list(None, 1_000).await.unwrap();
        entries.into_iter().map(|entry| entry.key).collect()
    }

    /// What a collection removes.
    async fn collected(&self) -> Vec<BlobKey> {
        let before = self.kept().await;
        let collected = self.garbage.once().await.unwrap();
        let after = self.kept().await;
        let gone: Vec<BlobKey> = before.into_iter().filter(|key| !after.contains(key)).collect();
        let expected = Collected {
            blobs: gone.len() as u64,
            bytes: 10 * gone.len() as u64,
        };
        assert_eq!(collected, expected, "it says what it did");
        gone
    }

    async fn record(&self, changes: Vec<Change>) {
        let decide = move |_: &_, _| {
            let (changes, leaves) = (changes.clone(), Vec::new());
            ((), Effects { changes, leaves })
        };
        transact(self.ledger.as_ref(), vec![Key::Transfer(ID)], decide)
            .await
            .unwrap();
    }

    /// Announces a transfer with one part, and returns the keys that it refers to and the change that seals it.
    async fn upload(&mut self) -> (Vec<BlobKey>, Change) {
        self.clinic.sent(ID, 7, None);
        let transfer = self.clinic.transfer(ID).unwrap();
        let (sender, sealed, part) = (transfer.sender, transfer.sealed.clone().unwrap(), transfer.parts[&0]);
        let announced = Change::TransferAnnounced {
            transfer: ID,
            sender,
            bytes: transfer.bytes,
            at: NOW,
        };
        let stored = Change::PartStored {
            transfer: ID,
            number: 0,
            len: part.len,
            root: part.root,
        };
        self.record(vec![announced, stored]).await;
        let mut needed = vec![
            BlobKey::envelope(&ID, &seal_hash(&sealed.seal.0)),
            BlobKey::part(&ID, 0, &part.root),
            BlobKey::part_leaves(&ID, 0, &part.root),
        ];
        needed.sort();
        let seal = Change::TransferSealed {
            transfer: ID,
            sender,
            sealed: Box::new(sealed),
        };
        (needed, seal)
    }
}

fn part(transfer: &TransferId, n: u8) -> BlobKey {
    BlobKey::part(transfer, 0, &Hash::from_bytes([n; 32]))
}

#[tokio::test]
async fn what_no_transfer_refers_to_goes_after_two_days() {
    let house = House::new().await;
    let mut orphans = vec![
        part(&UNKNOWN, 1),
        BlobKey::part_leaves(&UNKNOWN, 0, &Hash::from_bytes([1; 32])),
        BlobKey::envelope(&UNKNOWN, &Hash::from_bytes([2; 32])),
    ];
    orphans.sort();
    house.put(&orphans).await;
    for seconds in [0, GRACE - 60] {
        house.wait_until(seconds);
        assert_eq!(house.collected().await, [], "after {seconds} seconds");
    }
    house.wait_until(GRACE + 60);
    assert_eq!(house.collected().await, orphans);
}

#[tokio::test]
async fn nothing_of_a_live_upload_goes_and_of_a_sealed_transfer_only_what_it_does_not_refer_to() {
    let mut house = House::new().await;
    let (needed, seal) = house.upload().await;
    let without_record = part(&ID, 77);
    house.put(&needed).await;
    house.put(std::slice::from_ref(&without_record)).await;
    house.wait_until(GRACE + 60);
    assert_eq!(house.collected().await, [], "its sender may still bring that part");

    house.record(vec![seal]).await;
    assert_eq!(house.collected().await, [without_record]);
    assert_eq!(house.kept().await, needed);

    let shredded = Change::TransferShredded {
        transfer: ID,
        cause: ShredCause::Expired,
        at: NOW,
    };
    let destroyed = Change::ShareDestroyed { transfer: ID, at: NOW };
    house.record(vec![shredded, destroyed]).await;
    assert_eq!(house.collected().await, [], "ciphertext has a grace time of its own");
    house.record(vec![Change::CiphertextSwept { transfer: ID }]).await;
    assert_eq!(house.collected().await, needed, "a removal that a power cut undid");
}

#[tokio::test]
async fn what_has_come_to_be_needed_since_it_was_marked_stays() {
    let house = House::new().await;
    let orphan = part(&ID, 1);
    house.put(std::slice::from_ref(&orphan)).await;
    house.wait_until(GRACE + 60);
    let (marked, last) = house.garbage.mark(None).await.unwrap();
    assert_eq!((marked.len(), last), (1, None));
    let announced = Change::TransferAnnounced {
        transfer: ID,
        sender: house.clinic.admin.label,
        bytes: 10,
        at: NOW,
    };
    house.record(vec![announced]).await;
    assert!(!house.garbage.remove(&orphan).await.unwrap());
    assert_eq!(house.kept().await, [orphan]);
}

#[tokio::test]
async fn a_clock_in_doubt_removes_nothing() {
    let house = House::new().await;
    house.put(&[part(&UNKNOWN, 1)]).await;
    house.clock.set_now((house.written_at + 10 * GRACE) * 1000);
    assert_eq!(house.garbage.watch.state(), ClockState::Stepped(1_728_000));
    assert_eq!(house.collected().await, []);
}
