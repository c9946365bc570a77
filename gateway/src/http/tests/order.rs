//! The order in which an operation makes things durable, as security.md 9.3 says it: every port writes into one diary what it has
//! done, and an answer is there only when the diary says all of it. That `Ok` of a port means durable is what its contract suite shows.

use std::sync::atomic::AtomicBool;
use std::sync::{Mutex, PoisonError};

use sealpost_proto::encoding::Base64;
use serde_json::json;

use super::links::{redeem, sent_with};
use super::*;
use crate::domain::fixture::links::{auth, visitor};
use crate::domain::holding;
use crate::store::blob::{BlobEntry, BlobKey, BlobWriter};
use crate::store::ledger::{Committed, Decide};
use crate::store::share::{Day, Share, ShareRef};
use crate::worker::Position;

/// What was done, in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Diary(Arc<Mutex<Vec<String>>>, Arc<AtomicBool>);

impl Diary {
    fn note(&self, what: impl Into<String>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(what.into());
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on the ledger cannot write, or can again.
    pub(super) fn fail(&self, is_failing: bool) {
        self.1.store(is_failing, Ordering::SeqCst);
    }

    /// The port with a diary.
    pub(super) fn of<P>(&self, inner: P) -> Noted<P> {
        Noted {
            inner,
            diary: self.clone(),
        }
    }
}

/// A port that writes into the diary: what it has done when it is durable, and what it gives away before it does.
#[derive(Debug)]
pub(super) struct Noted<P> {
    inner: P,
    diary: Diary,
}

fn kind(key: &BlobKey) -> &'static str {
    match key.as_str() {
        key if key.contains("/envelope-") => "envelope",
        key if key.ends_with("-leaves") => "leaves",
        _ => "part",
    }
}

#[async_trait]
impl BlobStore for Noted<Arc<dyn BlobStore>> {
    async fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        let inner = self.inner.writer().await?;
        Ok(Box::new(self.diary.of(inner)))
    }
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put(key, bytes).await?;
        self.diary.note(format!("{} kept", kind(key)));
        Ok(())
    }
    async fn len(&self, key: &BlobKey) -> Result<u64, StoreError> {
        self.inner.len(key).await
    }
    async fn get(&self, key: &BlobKey, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.inner.get(key, offset, len).await
    }
    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        self.inner.delete(key).await
    }
    async fn list(&self, after: Option<&BlobKey>, limit: usize) -> Result<Vec<BlobEntry>, StoreError> {
        self.inner.list(after, limit).await
    }
}

#[async_trait]
impl BlobWriter for Noted<Box<dyn BlobWriter>> {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.write(bytes).await
    }
    async fn leaves(&mut self) -> Result<Vec<[u8; 32]>, StoreError> {
        self.inner.leaves().await
    }
    async fn commit(self: Box<Self>, key: &BlobKey) -> Result<(), StoreError> {
        self.inner.commit(key).await?;
        self.diary.note(format!("{} kept", kind(key)));
        Ok(())
    }
}

#[async_trait]
impl Ledger for Noted<Arc<EmbeddedLedger>> {
    async fn commit(&self, keys: Vec<Key>, mut decide: Decide) -> Result<Committed, StoreError> {
        let (diary, said) = (self.diary.clone(), Arc::new(Mutex::new(None)));
        let is_failing = Arc::clone(&self.diary.1);
        let saying = Arc::clone(&said);
        let decide: Decide = Box::new(move |loaded, at| {
            let mut effects = decide(loaded, at);
            if is_failing.load(Ordering::SeqCst) && !effects.leaves.is_empty() {
                // More than any record may hold: it cannot be made.
                effects.leaves = effects.leaves.iter().cycle().take(2_000).cloned().collect();
            }
            let first = effects.changes.first().map(|change| format!("{change:?}"));
            let name = first.and_then(|shown| shown.split([' ', '{', '(']).next().map(str::to_owned));
            if let Some(name) = &name {
                diary.note(format!("{name} decided"));
            }
            *saying.lock().unwrap_or_else(PoisonError::into_inner) = name;
            effects
        });
        let committed = self.inner.commit(keys, decide).await?;
        if let Some(name) = said.lock().unwrap_or_else(PoisonError::into_inner).take() {
            self.diary.note(format!("{name} recorded"));
        }
        Ok(committed)
    }
    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.inner.audit_leaves(from, limit).await
    }
    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.inner.audit_head().await
    }
}

#[async_trait]
impl ShareStore for Noted<Arc<EmbeddedShares>> {
    async fn put(&self, share: &ShareRef, value: &Share) -> Result<(), StoreError> {
        self.inner.put(share, value).await?;
        self.diary.note("share kept");
        Ok(())
    }
    async fn take(&self, share: &ShareRef, witness: &Committed) -> Result<Share, StoreError> {
        self.diary.note("share given away");
        self.inner.take(share, witness).await
    }
    async fn destroy(&self, share: &ShareRef) -> Result<(), StoreError> {
        self.inner.destroy(share).await?;
        self.diary.note("share destroyed");
        Ok(())
    }
    async fn end_days_before(&self, day: Day, kept: &std::collections::BTreeSet<Day>) -> Result<(), StoreError> {
        self.inner.end_days_before(day, kept).await
    }
    async fn replace_key(&self, day: Day) -> Result<(), StoreError> {
        self.inner.replace_key(day).await
    }
    async fn list(&self) -> Result<Vec<ShareRef>, StoreError> {
        self.inner.list().await
    }
    async fn unusable(&self) -> Result<Vec<ShareRef>, StoreError> {
        self.inner.unusable().await
    }
}

/// A position that is noted nowhere but in the diary.
#[derive(Debug)]
pub(super) struct NotNoted;

#[async_trait]
impl Position for Noted<NotNoted> {
    async fn note(&self) -> Result<(), StoreError> {
        self.diary.note("position noted");
        Ok(())
    }
}

impl House {
    /// What was done when the answer to a request that succeeds was there.
    async fn diary_of(&self, by: &SigningKey, ask: Ask) -> Vec<String> {
        self.diary.take();
        let (status, body) = self.visit(by, ask).await;
        assert!(status.is_success(), "{status} {body:?}");
        self.diary.take()
    }
}

fn announced(len: usize) -> Ask {
    post("/v1/transfers", json!({ "transfer": ID, "bytes": len }).to_string())
}

fn part(payload: &[u8]) -> Ask {
    Ask {
        method: "PUT",
        media_type: "application/octet-stream",
        body: payload.to_vec(),
        part_root: Some(Hash::from_bytes(leaf(payload))),
        ..get(of("/parts/0"))
    }
}

#[tokio::test]
async fn a_part_is_answered_when_bytes_leaves_and_then_the_record_are_durable() {
    let house = house().await;
    let (admin, payload) = (house.clinic.admin.device.clone(), vec![7; 16_432]);
    let done = house.diary_of(&admin, announced(payload.len())).await;
    assert_eq!(done, ["TransferAnnounced decided", "TransferAnnounced recorded"]);
    let done = house.diary_of(&admin, part(&payload)).await;
    assert_eq!(
        done,
        ["part kept", "leaves kept", "PartStored decided", "PartStored recorded"]
    );
}

#[tokio::test]
async fn a_seal_is_answered_when_envelope_then_share_then_the_record_are_durable() {
    let house = house().await;
    let payload = vec![7; 16_432];
    let command = house.clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    let done = house
        .diary_of(&house.clinic.admin.device, seal(&command, &payload, b""))
        .await;
    let expected = [
        "envelope kept",
        "share kept",
        "TransferSealed decided",
        "TransferSealed recorded",
    ];
    assert_eq!(done, expected);
    let again = house
        .diary_of(&house.clinic.admin.device, seal(&command, &payload, b""))
        .await;
    assert_eq!(again, Vec::<String>::new(), "a repetition writes nothing");
}

#[tokio::test]
async fn a_share_leaves_when_its_opening_is_durable() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 1)], false).await;
    let done = house.diary_of(&visitor(1), redeem(1, auth(1), 1)).await;
    assert_eq!(
        done,
        ["LinkRedeemed decided", "LinkRedeemed recorded", "share given away"]
    );

    let house = self::house().await;
    house.sent().await;
    let done = house.diary_of(&house.clinic.provider.device, opening(&house, 1)).await;
    assert_eq!(
        done,
        ["TransferOpened decided", "TransferOpened recorded", "share given away"]
    );
}

#[tokio::test]
async fn a_revocation_is_answered_when_record_then_destruction_then_its_record_are_durable() {
    let house = house().await;
    house.sent().await;
    let ask = Ask {
        method: "DELETE",
        ..get(of(""))
    };
    let done = house.diary_of(&house.clinic.admin.device, ask).await;
    let expected = [
        "TransferShredded decided",
        "TransferShredded recorded",
        "share destroyed",
        "position noted",
        "ShareDestroyed decided",
        "ShareDestroyed recorded",
    ];
    assert_eq!(done, expected);
}

#[tokio::test]
async fn a_transfer_is_armed_again_when_its_share_is_durable() {
    let house = house().await;
    house.sent().await;
    let by = house.clinic.admin.requester();
    let hold = move |loaded: &_, at| {
        let ((), effects) = holding::hold(loaded, at, &ID, &by).unwrap();
        ((), effects)
    };
    transact(house.ledger.as_ref(), vec![Key::Transfer(ID)], hold)
        .await
        .unwrap();
    let ask = post(of("/rearm"), json!({ "share": Base64(SHARE.to_vec()) }).to_string());
    let done = house.diary_of(&house.clinic.admin.device, ask).await;
    assert_eq!(
        done,
        ["share kept", "TransferRearmed decided", "TransferRearmed recorded"]
    );
}
