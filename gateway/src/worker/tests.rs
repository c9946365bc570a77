//! The sweep on the real stores, stopped between any two of its steps.

mod model;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::log::{ActorKind, EventType, Leaf};
use tokio::sync::{Notify, RwLock};
use zeroize::Zeroizing;

use super::clock::{ClockState, ClockWatch};
use super::shredder::Position;
use super::sweep::{Sweep, SweepPorts};
use crate::clock::Clock;
use crate::clock::fixture::TestClock;
use crate::domain::fixture::{Clinic, NOW, SHARE, at};
use crate::domain::{Change, Effects, Key, object};
use crate::random::SystemRandom;
use crate::store::StoreError;
use crate::store::blob::{BlobKey, BlobStore};
use crate::store::embedded::{EmbeddedLedger, EmbeddedShares};
use crate::store::folder::PrivateFolder;
use crate::store::fs::FsBlobs;
use crate::store::ledger::{Committed, Decide, Ledger, transact};
use crate::store::share::{Day, ShareRef, ShareStore};
use crate::store::views::Views;

const ID: TransferId = TransferId::from_bytes([1; 16]);

struct Noted(AtomicU64);

#[async_trait]
impl Position for Noted {
    async fn note(&self) -> Result<(), StoreError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

/// A gateway's stores in a folder, with one sealed transfer of the clinic's.
struct House {
    root: tempfile::TempDir,
    clock: Arc<TestClock>,
    clinic: Clinic,
}

struct Stores {
    ledger: Arc<EmbeddedLedger>,
    shares: Arc<EmbeddedShares>,
    blobs: Arc<FsBlobs>,
    sweep: Sweep,
    noted: Arc<Noted>,
}

impl House {
    fn new() -> Self {
        Self {
            root: tempfile::tempdir().unwrap(),
            clock: Arc::new(TestClock::new(NOW * 1000)),
            clinic: Clinic::new(),
        }
    }

    fn open(&self) -> Stores {
        let data = PrivateFolder::open(&self.root.path().join("data")).unwrap();
        let ring = PrivateFolder::open(&self.root.path().join("ring")).unwrap();
        let random = Arc::new(SystemRandom);
        let ledger = EmbeddedLedger::open(&data, "1", self.clock.clone(), random.clone()).unwrap();
        let ledger = Arc::new(ledger);
        let shares = Arc::new(EmbeddedShares::open(&data, &ring, random).unwrap());
        let blobs = Arc::new(FsBlobs::open(&data).unwrap());
        let noted = Arc::new(Noted(AtomicU64::new(0)));
        let sweep = Sweep::new(SweepPorts {
            ledger: ledger.clone(),
            views: ledger.clone(),
            blobs: blobs.clone(),
            shares: shares.clone(),
            position: noted.clone(),
            clock: self.clock.clone(),
            watch: Arc::new(ClockWatch::new(self.clock.clone(), 0)),
            status: Arc::default(),
            gateway: self.clinic.gateway.clone(),
            wake: Arc::new(Notify::new()),
            share_gate: Arc::new(RwLock::new(())),
        });
        Stores {
            ledger,
            shares,
            blobs,
            sweep,
            noted,
        }
    }

    fn wait_until(&self, seconds: u64) {
        self.clock.pass(NOW + seconds - self.clock.now_millis() / 1000);
    }

    /// Sets the time of day without any time passing.
    fn set_clock(&self, seconds: u64) {
        self.clock.set_now((NOW + seconds) * 1000);
    }

    fn share(&self) -> ShareRef {
        let sealed = self.clinic.sealed(ID);
        ShareRef {
            transfer: ID,
            commit: sealed.share_commit.unwrap(),
            day: Day::of(sealed.expires_at),
        }
    }

    /// A record with a leaf, without which no share leaves.
    async fn witness(&self, stores: &Stores) -> Committed {
        let log = object::log("gw/audit");
        let leaf = self.clinic.admin.requester().did(EventType::AuditRead, log, None);
        let decide = move |_: &_, _| {
            let leaves = vec![leaf.clone()];
            (
                (),
                Effects {
                    changes: Vec::new(),
                    leaves,
                },
            )
        };
        transact(stores.ledger.as_ref(), Vec::new(), decide).await.unwrap().1
    }

    /// Seals as the service does: share, then record. The part's bytes are made up, as nobody reads them.
    async fn seal(&mut self, stores: &Stores, days: u64, openings: Option<u32>) {
        self.clinic.sent(ID, days, openings);
        stores.shares.put(&self.share(), &Zeroizing::new(SHARE)).await.unwrap();
        let transfer = self.clinic.transfer(ID).unwrap();
        let part = transfer.parts[&0];
        for key in [
            BlobKey::part(&ID, 0, &part.root),
            BlobKey::part_leaves(&ID, 0, &part.root),
        ] {
            stores.blobs.put(&key, vec![1; 10].into()).await.unwrap();
        }
        let (sender, bytes, sealed) = (transfer.sender, transfer.bytes, transfer.sealed.clone().unwrap());
        let changes = vec![
            Change::TransferAnnounced {
                transfer: ID,
                sender,
                bytes,
                at: NOW,
            },
            Change::PartStored {
                transfer: ID,
                number: 0,
                len: part.len,
                root: part.root,
            },
            Change::TransferSealed {
                transfer: ID,
                sender,
                sealed: Box::new(sealed),
            },
        ];
        record(stores, changes).await;
    }
}

async fn record(stores: &Stores, changes: Vec<Change>) {
    let decide = move |_: &_, _| {
        (
            (),
            Effects {
                changes: changes.clone(),
                leaves: Vec::new(),
            },
        )
    };
    transact(stores.ledger.as_ref(), vec![Key::Transfer(ID)], decide)
        .await
        .unwrap();
}

async fn shredded_leaves(stores: &Stores) -> Vec<Leaf> {
    let lines = stores.ledger.audit_leaves(0, 100).await.unwrap();
    let leaves = lines.iter().map(|line| line.parse::<Leaf>().unwrap());
    leaves
        .filter(|leaf| leaf.event == EventType::TransferShredded)
        .collect()
}

#[tokio::test]
async fn an_expired_share_is_gone_with_its_leaf_and_later_its_ciphertext() {
    let mut house = House::new();
    let stores = house.open();
    house.seal(&stores, 1, None).await;
    let witness = house.witness(&stores).await;
    stores.sweep.once().await.unwrap();
    assert_eq!(
        *stores.shares.take(&house.share(), &witness).await.unwrap(),
        SHARE,
        "not yet"
    );

    house.wait_until(86_400);
    stores.sweep.once().await.unwrap();
    assert!(stores.shares.take(&house.share(), &witness).await.is_err());
    assert!(stores.shares.list().await.unwrap().is_empty());
    assert_eq!(stores.noted.0.load(Ordering::SeqCst), 1);
    let leaves = shredded_leaves(&stores).await;
    assert_eq!(leaves.len(), 1);
    assert_eq!(leaves[0].actor.kind, ActorKind::Gateway);
    stores.sweep.once().await.unwrap();
    assert_eq!(shredded_leaves(&stores).await.len(), 1, "once");

    let root = house.clinic.transfer(ID).unwrap().parts[&0].root;
    let part = BlobKey::part(&ID, 0, &root);
    assert!(stores.blobs.len(&part).await.is_ok());
    house.wait_until(4 * 86_400);
    stores.sweep.once().await.unwrap();
    assert!(matches!(stores.blobs.len(&part).await, Err(StoreError::NotFound)));
    assert_eq!(stores.ledger.due(u64::MAX, 10).await.unwrap(), Vec::new());
}

#[tokio::test]
async fn a_gateway_that_stopped_after_the_leaf_destroys_at_its_start() {
    let mut house = House::new();
    let stores = house.open();
    house.seal(&stores, 7, Some(1)).await;
    let (label, device) = (house.clinic.provider.label, house.clinic.provider.device.public());
    let opened = Change::TransferOpened {
        transfer: ID,
        opening: OpeningId::from_bytes([1; 16]),
        label,
        device,
        at: NOW,
        counted: true,
        request: String::new(),
    };
    record(&stores, vec![opened]).await;
    house.wait_until(86_400);
    let by = house.clinic.admin.requester();
    let decide = move |loaded: &_, at| {
        let (outcome, effects) = crate::domain::shredding::shred(loaded, at, &ID, &by).unwrap();
        (outcome, effects)
    };
    transact(stores.ledger.as_ref(), vec![Key::Transfer(ID)], decide)
        .await
        .unwrap();
    assert_eq!(stores.shares.list().await.unwrap(), vec![house.share()]);
    drop(stores);

    let stores = house.open();
    stores.sweep.once().await.unwrap();
    assert!(stores.shares.list().await.unwrap().is_empty());
    assert_eq!(shredded_leaves(&stores).await.len(), 1);
    let transfer = stores.ledger.transfer(&ID).await.unwrap().unwrap();
    assert!(
        transfer
            .shredded
            .is_some_and(|s| s.destroyed_at.is_some() && !s.is_key_replaced)
    );
    house.wait_until(2 * 86_400);
    stores.sweep.once().await.unwrap();
    let transfer = stores.ledger.transfer(&ID).await.unwrap().unwrap();
    assert!(transfer.shredded.is_some_and(|s| s.is_key_replaced));
}

#[tokio::test]
async fn a_share_without_a_seal_goes_after_an_hour() {
    let house = House::new();
    let stores = house.open();
    let orphan = ShareRef {
        transfer: TransferId::from_bytes([5; 16]),
        commit: Hash::from_bytes([6; 32]),
        day: Day::of(at(7 * 86_400).seconds()),
    };
    stores.shares.put(&orphan, &Zeroizing::new(SHARE)).await.unwrap();
    let kept = || async {
        stores
            .shares
            .list()
            .await
            .unwrap()
            .into_iter()
            .map(|s| s.transfer)
            .collect::<HashSet<_>>()
    };
    for seconds in [0, 1_800, 3_500] {
        house.wait_until(seconds);
        stores.sweep.once().await.unwrap();
        assert_eq!(kept().await.len(), 1, "after {seconds} seconds");
    }
    house.wait_until(4_200);
    stores.sweep.once().await.unwrap();
    assert!(kept().await.is_empty());
}

/// A ledger that cannot write about one transfer, as long as it is told so.
struct Stuck {
    inner: Arc<EmbeddedLedger>,
    is_stuck: AtomicBool,
}

#[async_trait]
impl Ledger for Stuck {
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError> {
        if self.is_stuck.load(Ordering::SeqCst) && keys.contains(&Key::Transfer(ID)) {
            return Err(StoreError::Unavailable(std::io::Error::other("stuck")));
        }
        self.inner.commit(keys, decide).await
    }
    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.audit_leaves(from, limit).await
    }
    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.inner.audit_head().await
    }
}

#[tokio::test]
async fn a_transfer_that_is_stuck_stops_nothing_else() {
    let mut house = House::new();
    let stores = house.open();
    house.seal(&stores, 2, None).await;
    let of_an_earlier_day = ShareRef {
        transfer: TransferId::from_bytes([5; 16]),
        commit: Hash::from_bytes([6; 32]),
        day: Day::of(at(86_400).seconds()),
    };
    stores
        .shares
        .put(&of_an_earlier_day, &Zeroizing::new(SHARE))
        .await
        .unwrap();
    let ledger = Arc::new(Stuck {
        inner: stores.ledger.clone(),
        is_stuck: AtomicBool::new(true),
    });
    let sweep = Sweep::new(SweepPorts {
        ledger: ledger.clone(),
        views: stores.ledger.clone(),
        blobs: stores.blobs.clone(),
        shares: stores.shares.clone(),
        position: stores.noted.clone(),
        clock: house.clock.clone(),
        watch: Arc::new(ClockWatch::new(house.clock.clone(), 0)),
        status: Arc::default(),
        gateway: house.clinic.gateway.clone(),
        wake: Arc::new(Notify::new()),
        share_gate: Arc::new(RwLock::new(())),
    });
    house.wait_until(4 * 86_400);
    assert!(sweep.once().await.is_err(), "it is told");
    assert_eq!(
        stores.shares.list().await.unwrap(),
        vec![house.share()],
        "the other day has ended; this one waits for its leaf"
    );
    let transfer = stores.ledger.transfer(&ID).await.unwrap().unwrap();
    assert_eq!(
        transfer.state(house.clock.now_millis() / 1000),
        sealpost_proto::api::TransferState::Expired,
        "nothing is released"
    );
    ledger.is_stuck.store(false, Ordering::SeqCst);
    sweep.once().await.unwrap();
    assert!(stores.shares.list().await.unwrap().is_empty());
    assert_eq!(shredded_leaves(&stores).await.len(), 1);
}

/// N115, with the clock forward as well: nothing that expired is destroyed by a clock that stepped, and what was used up is.
#[tokio::test]
async fn n115_a_clock_that_stepped_destroys_nothing_that_expires() {
    let mut house = House::new();
    let stores = house.open();
    house.seal(&stores, 1, None).await;
    let orphan = ShareRef {
        transfer: TransferId::from_bytes([5; 16]),
        commit: Hash::from_bytes([6; 32]),
        day: Day::of(at(0).seconds()),
    };
    stores.shares.put(&orphan, &Zeroizing::new(SHARE)).await.unwrap();
    for wrong in [365 * 86_400, 20 * 3_600] {
        house.set_clock(wrong);
        stores.sweep.once().await.unwrap();
        assert_eq!(stores.shares.list().await.unwrap().len(), 2, "{wrong} seconds ahead");
    }
    assert!(shredded_leaves(&stores).await.is_empty());
    let revoked = Change::TransferShredded {
        transfer: ID,
        cause: crate::domain::ShredCause::Revoked,
        at: NOW,
    };
    record(&stores, vec![revoked]).await;
    stores.sweep.once().await.unwrap();
    assert_eq!(
        stores.shares.list().await.unwrap(),
        vec![orphan],
        "revocation needs no clock"
    );
    // Nor does the new key of its day, which is due within a day by the clock that cannot step.
    house.clock.pass(7 * 3_600);
    house.set_clock(27 * 3_600);
    stores.sweep.once().await.unwrap();
    let transfer = stores.ledger.transfer(&ID).await.unwrap().unwrap();
    assert!(transfer.shredded.is_some_and(|s| s.is_key_replaced));

    // The ledger was told of days that have not come: after a restart the clock is behind it.
    house.set_clock(0);
    stores.sweep.once().await.unwrap();
    let witness = house.witness(&stores).await;
    assert!(witness.at().seconds() >= NOW + 20 * 3_600, "times never decrease");
    let watch = ClockWatch::new(house.clock.clone(), witness.at().millis);
    assert!(matches!(watch.state(), ClockState::Behind(_)));
}
