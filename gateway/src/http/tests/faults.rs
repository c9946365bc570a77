//! A disk that is full in the middle: the caller is told, nothing is half there, and it goes on when there is room.

use std::io;
use std::sync::atomic::AtomicBool;

use super::*;
use crate::store::blob::{BlobEntry, BlobKey, BlobWriter};
use crate::store::views::Views;

/// The real store, on a disk that can be full.
struct Filling {
    inner: Arc<dyn BlobStore>,
    is_full: Arc<AtomicBool>,
}

impl Filling {
    fn check(&self) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(io::ErrorKind::StorageFull.into()));
        }
        Ok(())
    }
}

#[async_trait]
impl BlobStore for Filling {
    async fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        let writer = self.inner.writer().await?;
        Ok(Box::new(FillingWriter(writer, Arc::clone(&self.is_full))))
    }
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError> {
        self.check()?;
        self.inner.put(key, bytes).await
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

/// A write that finds the disk full when it is to be made durable.
struct FillingWriter(Box<dyn BlobWriter>, Arc<AtomicBool>);

#[async_trait]
impl BlobWriter for FillingWriter {
    async fn write(&mut self, bytes: Bytes) -> Result<(), StoreError> {
        self.0.write(bytes).await
    }
    async fn leaves(&mut self) -> Result<Vec<[u8; 32]>, StoreError> {
        self.0.leaves().await
    }
    async fn commit(self: Box<Self>, key: &BlobKey) -> Result<(), StoreError> {
        if self.1.load(Ordering::SeqCst) {
            return Err(StoreError::Unavailable(io::ErrorKind::StorageFull.into()));
        }
        self.0.commit(key).await
    }
}

#[tokio::test]
async fn a_write_that_finds_the_disk_full_leaves_nothing_behind() {
    let is_full = Arc::new(AtomicBool::new(true));
    let full = Arc::clone(&is_full);
    let house = house_over(move |inner| Arc::new(Filling { inner, is_full: full })).await;
    let admin = &house.clinic.admin;
    let payload = vec![7; 16_432];
    let command = house.clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    let whole = seal(&command, &payload, b"");
    assert_eq!(house.refusal(admin, whole.clone()).await, ProblemKind::StorageFull);
    assert!(house.ledger.transfer(&ID).await.unwrap().is_none());
    assert!(house.leaves().await.is_empty());

    let announced = format!("{{\"transfer\":\"{}\",\"bytes\":16432}}", "0a".repeat(16));
    assert_eq!(
        house.ask(admin, post("/v1/transfers", announced)).await.0,
        StatusCode::CREATED
    );
    let part = Ask {
        method: "PUT",
        media_type: "application/octet-stream",
        part_root: Some(Hash::from_bytes(leaf(&payload))),
        body: payload,
        ..get(format!("/v1/transfers/{}/parts/0", "0a".repeat(16)))
    };
    assert_eq!(house.refusal(admin, part.clone()).await, ProblemKind::StorageFull);
    let (_, parts) = house
        .ask(admin, get(format!("/v1/transfers/{}/parts", "0a".repeat(16))))
        .await;
    assert_eq!(&parts[..], b"{\"parts\":[]}");

    is_full.store(false, Ordering::SeqCst);
    assert_eq!(house.ask(admin, part).await.0, StatusCode::CREATED);
    assert_eq!(house.ask(admin, whole).await.0, StatusCode::OK, "there is room again");
    assert_eq!(
        house.ask(&house.clinic.provider, opening(&house, 1)).await.0,
        StatusCode::OK
    );
}

/// What the store lost is told before the body begins, whichever object and range it concerns.
#[tokio::test]
async fn stored_bytes_that_are_missing_or_cut_short_are_a_problem_and_not_a_broken_answer() {
    let kept = Arc::new(std::sync::Mutex::new(None));
    let store = Arc::clone(&kept);
    let house = house_over(move |inner| {
        *store.lock().unwrap() = Some(Arc::clone(&inner));
        inner
    })
    .await;
    let blobs: Arc<dyn BlobStore> = kept.lock().unwrap().take().unwrap();
    let admin = &house.clinic.admin;
    let payload = vec![7; 16_432];
    let command = house.clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    assert_eq!(house.ask(admin, seal(&command, &payload, b"")).await.0, StatusCode::OK);
    let provider = &house.clinic.provider;
    assert_eq!(house.ask(provider, opening(&house, 1)).await.0, StatusCode::OK);
    let range = |tail: &str, range: Option<&'static str>| Ask { range, ..get(of(tail)) };
    let key = BlobKey::envelope(&ID, &command.seal_hash());
    let whole = blobs.get(&key, 0, u64::MAX).await.unwrap();
    // The part is the last field of the envelope.
    blobs.put(&key, whole.slice(..whole.len() - 100)).await.unwrap();
    for (tail, asked, is_there) in [
        ("/manifest", None, true),
        ("/leaves", None, true),
        ("/payload", None, false),
        ("/payload", Some("bytes=0-99"), false),
    ] {
        let answer = house.ask(provider, range(tail, asked)).await;
        if is_there {
            assert_eq!(answer.0, StatusCode::OK, "{tail}");
        } else {
            assert_eq!(kind_of(answer), ProblemKind::Internal, "{tail} {asked:?}");
        }
    }
    blobs.delete(&key).await.unwrap();
    for tail in ["/manifest", "/leaves", "/payload"] {
        let answer = house.ask(provider, get(of(tail))).await;
        assert_eq!(kind_of(answer), ProblemKind::Internal, "{tail}");
    }
}
