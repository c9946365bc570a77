//! A sender who swaps parts while sealing: what was acknowledged is there.

use std::sync::OnceLock;

use super::*;
use crate::store::blob::{BlobEntry, BlobKey, BlobWriter};

type Hook = Box<dyn FnOnce() -> futures_util::future::BoxFuture<'static, ()> + Send>;

/// The real store, which lets something happen the first time that an envelope is put, and that one is deleted.
struct Meddling {
    inner: Arc<dyn BlobStore>,
    on_put: OnceLock<std::sync::Mutex<Option<Hook>>>,
    on_delete: OnceLock<std::sync::Mutex<Option<Hook>>>,
}

async fn happen(hook: &OnceLock<std::sync::Mutex<Option<Hook>>>, key: &BlobKey) {
    let is_envelope = key.as_str().contains("/envelope-");
    let hook = hook
        .get()
        .filter(|_| is_envelope)
        .and_then(|hook| hook.lock().unwrap().take());
    if let Some(hook) = hook {
        hook().await;
    }
}

#[async_trait]
impl BlobStore for Meddling {
    async fn writer(&self) -> Result<Box<dyn BlobWriter>, StoreError> {
        self.inner.writer().await
    }
    async fn put(&self, key: &BlobKey, bytes: Bytes) -> Result<(), StoreError> {
        self.inner.put(key, bytes).await?;
        happen(&self.on_put, key).await;
        Ok(())
    }
    async fn len(&self, key: &BlobKey) -> Result<u64, StoreError> {
        self.inner.len(key).await
    }
    async fn get(&self, key: &BlobKey, offset: u64, len: u64) -> Result<Bytes, StoreError> {
        self.inner.get(key, offset, len).await
    }
    async fn delete(&self, key: &BlobKey) -> Result<(), StoreError> {
        happen(&self.on_delete, key).await;
        self.inner.delete(key).await
    }
    async fn list(&self, after: Option<&BlobKey>, limit: usize) -> Result<Vec<BlobEntry>, StoreError> {
        self.inner.list(after, limit).await
    }
}

fn hook(hook: Hook) -> std::sync::Mutex<Option<Hook>> {
    std::sync::Mutex::new(Some(hook))
}

/// Records a part as its upload does, for bytes that are there.
async fn swap(ledger: &EmbeddedLedger, root: Hash) {
    let change = Change::PartStored {
        transfer: ID,
        number: 0,
        len: 16_432,
        root,
    };
    let decide = move |_: &_, _| {
        let (changes, leaves) = (vec![change.clone()], Vec::new());
        ((), Effects { changes, leaves })
    };
    transact(ledger, vec![Key::Transfer(ID)], decide).await.unwrap();
}

#[tokio::test]
async fn a_part_swapped_under_a_seal_refuses_it_and_loses_nothing() {
    let mut meddling = None;
    let house = house_over(|inner| {
        let store = Arc::new(Meddling {
            inner,
            on_put: OnceLock::new(),
            on_delete: OnceLock::new(),
        });
        meddling = Some(store.clone());
        store
    })
    .await;
    let (house, meddling) = (Arc::new(house), meddling.unwrap());
    let admin = house.clinic.admin.clone();
    let payload = vec![7; 16_432];
    let root = Hash::from_bytes(leaf(&payload));
    let announced = format!("{{\"transfer\":\"{ID}\",\"bytes\":16432}}");
    house.ask(&admin, post("/v1/transfers", announced)).await;
    let part = Ask {
        method: "PUT",
        media_type: "application/octet-stream",
        body: payload.clone(),
        part_root: Some(root),
        ..get(of("/parts/0"))
    };
    assert_eq!(house.ask(&admin, part).await.0, StatusCode::CREATED);
    let command = house.clinic.seal_command(ID, &[*root.as_bytes()], 16_432, 7);
    let ask = seal(&command, &[], b"");

    let ledger = house.ledger.clone();
    let swapped_away = hook(Box::new(move || {
        Box::pin(async move { swap(&ledger, Hash::from_bytes([3; 32])).await })
    }));
    assert!(meddling.on_put.set(swapped_away).is_ok());
    // While the refused seal clears up, the part comes back and the same seal is tried again.
    let (again, mut answers) = tokio::sync::mpsc::unbounded_channel();
    let (other, same) = (house.clone(), ask.clone());
    let swapped_back = hook(Box::new(move || {
        Box::pin(async move {
            swap(&other.ledger, root).await;
            let trying = tokio::spawn(async move {
                let answer = other.ask(&other.clinic.admin, same).await;
                again.send(answer.0).unwrap();
            });
            drop(tokio::time::timeout(Duration::from_millis(500), trying).await);
        })
    }));
    assert!(meddling.on_delete.set(swapped_back).is_ok());
    assert_eq!(house.refusal(&admin, ask).await, ProblemKind::RootMismatch);
    assert_eq!(answers.recv().await, Some(StatusCode::OK), "sealed the second time");

    let provider = &house.clinic.provider;
    assert_eq!(house.ask(provider, opening(&house, 1)).await.0, StatusCode::OK);
    assert_eq!(house.ask(provider, get(of("/manifest"))).await.0, StatusCode::OK);
    assert_eq!(
        house.ask(provider, get(of("/leaves"))).await.1,
        root.as_bytes().to_vec()
    );
    assert_eq!(house.ask(provider, get(of("/payload"))).await.1, payload);
}
