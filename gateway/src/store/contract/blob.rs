//! What every [`BlobStore`] must do.

use std::collections::BTreeMap;

use bytes::Bytes;
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use sealpost_proto::tree::leaf_hash;

use super::Outcome;
use crate::store::StoreError;
use crate::store::blob::{BlobEntry, BlobKey, BlobStore};

fn key(number: u32) -> BlobKey {
    BlobKey::part(&TransferId::from_bytes([7; 16]), number, &Hash::from_bytes([9; 32]))
}

/// Runs the suite on an empty store.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn blobs(store: &dyn BlobStore) -> Outcome {
    missing(store).await?;
    put_and_get(store).await?;
    streamed(store).await?;
    replaced_whole(store).await?;
    invisible_until_committed(store).await?;
    concurrent(store).await?;
    deleted(store).await?;
    listed(store).await
}

async fn missing(store: &dyn BlobStore) -> Outcome {
    assert!(matches!(store.get(&key(0), 0, 1).await, Err(StoreError::NotFound)));
    assert!(matches!(store.len(&key(0)).await, Err(StoreError::NotFound)));
    store.delete(&key(0)).await?;
    Ok(())
}

async fn put_and_get(store: &dyn BlobStore) -> Outcome {
    store.put(&key(1), Bytes::from_static(b"0123456789")).await?;
    assert_eq!(store.len(&key(1)).await?, 10);
    assert_eq!(store.get(&key(1), 0, 10).await?, "0123456789");
    assert_eq!(store.get(&key(1), 3, 4).await?, "3456");
    assert_eq!(store.get(&key(1), 8, 100).await?, "89", "fewer where the blob ends");
    assert_eq!(store.get(&key(1), 10, 1).await?, "");
    assert_eq!(store.get(&key(1), u64::MAX, u64::MAX).await?, "");
    store.put(&key(2), Bytes::new()).await?;
    assert_eq!(store.len(&key(2)).await?, 0, "an empty blob is a blob");
    Ok(())
}

async fn streamed(store: &dyn BlobStore) -> Outcome {
    let pieces: Vec<Bytes> = (0..100_u8)
        .map(|n| Bytes::from(vec![n; 1 + 331 * usize::from(n)]))
        .chain([Bytes::from(vec![0xaa; 3 * 1024 * 1024 + 5]), Bytes::new()])
        .collect();
    let mut writer = store.writer().await?;
    for piece in &pieces {
        writer.write(piece.clone()).await?;
    }
    let leaves = writer.leaves().await?;
    writer.commit(&key(3)).await?;
    let whole: Vec<u8> = pieces.concat();
    let expected: Vec<[u8; 32]> = whole.chunks(STORED_SEGMENT_LEN).map(leaf_hash).collect();
    assert_eq!(leaves, expected);
    assert_eq!(store.len(&key(3)).await?, whole.len() as u64);
    assert_eq!(store.get(&key(3), 0, u64::MAX).await?, whole, "bytes in order");
    Ok(())
}

async fn replaced_whole(store: &dyn BlobStore) -> Outcome {
    store.put(&key(4), Bytes::from_static(b"long content")).await?;
    store.put(&key(4), Bytes::from_static(b"long content")).await?;
    assert_eq!(
        store.get(&key(4), 0, 100).await?,
        "long content",
        "an equal re-put succeeds"
    );
    store.put(&key(4), Bytes::from_static(b"short")).await?;
    assert_eq!(store.get(&key(4), 0, 100).await?, "short", "no mixture");
    Ok(())
}

async fn invisible_until_committed(store: &dyn BlobStore) -> Outcome {
    let mut writer = store.writer().await?;
    writer.write(Bytes::from(vec![1; 2 * 1024 * 1024])).await?;
    assert!(matches!(store.len(&key(5)).await, Err(StoreError::NotFound)));
    drop(writer);
    assert!(matches!(store.len(&key(5)).await, Err(StoreError::NotFound)));
    Ok(())
}

/// More writers at once than any pool has buffers, each half-way when the others begin.
async fn concurrent(store: &dyn BlobStore) -> Outcome {
    const WRITERS: u32 = 64;
    let half = |n: u32| Bytes::from(n.to_be_bytes().repeat(150_000));
    let mut writers = Vec::new();
    for n in 0..WRITERS {
        let mut writer = store.writer().await?;
        writer.write(half(n)).await?;
        writers.push(writer);
    }
    for (n, mut writer) in (0..WRITERS).zip(writers) {
        writer.write(half(n)).await?;
        writer.commit(&key(100 + n)).await?;
    }
    for n in 0..WRITERS {
        let whole = [half(n), half(n)].concat();
        assert_eq!(store.get(&key(100 + n), 0, u64::MAX).await?, whole, "writer {n}");
    }
    Ok(())
}

async fn deleted(store: &dyn BlobStore) -> Outcome {
    store.put(&key(6), Bytes::from_static(b"x")).await?;
    store.delete(&key(6)).await?;
    assert!(matches!(store.get(&key(6), 0, 1).await, Err(StoreError::NotFound)));
    store.delete(&key(6)).await?;
    assert_eq!(store.len(&key(1)).await?, 10, "others stay");
    Ok(())
}

async fn listed(store: &dyn BlobStore) -> Outcome {
    let mut expected: BTreeMap<BlobKey, u64> = BTreeMap::new();
    for entry in store.list(None, usize::MAX).await? {
        expected.insert(entry.key, entry.len);
    }
    assert!(expected.contains_key(&key(1)), "what was put before");
    assert!(!expected.contains_key(&key(6)), "not what was deleted");
    for n in 0..20_u8 {
        let transfer = TransferId::from_bytes([n.wrapping_mul(13); 16]);
        let hash = Hash::from_bytes([n; 32]);
        for (len, key) in [
            (n, BlobKey::part(&transfer, u32::from(n), &hash)),
            (32, BlobKey::part_leaves(&transfer, u32::from(n), &hash)),
            (7, BlobKey::envelope(&transfer, &hash)),
        ] {
            store.put(&key, Bytes::from(vec![n; usize::from(len)])).await?;
            expected.insert(key, u64::from(len));
        }
    }
    let mut unfinished = store.writer().await?;
    unfinished.write(Bytes::from_static(b"not there yet")).await?;
    for limit in [1, 7, 1_000] {
        let mut found: Vec<BlobEntry> = Vec::new();
        loop {
            let page = store.list(found.last().map(|entry| &entry.key), limit).await?;
            assert!(page.len() <= limit);
            if page.is_empty() {
                break;
            }
            found.extend(page);
        }
        let found: Vec<(BlobKey, u64)> = found.into_iter().map(|entry| (entry.key, entry.len)).collect();
        let expected: Vec<(BlobKey, u64)> = expected.clone().into_iter().collect();
        assert_eq!(found, expected, "each once, in order, {limit} at a time");
    }
    let first = |page: Vec<BlobEntry>| page.into_iter().next().ok_or(StoreError::NotFound);
    let before = first(store.list(None, 1).await?)?;
    store.put(&before.key, Bytes::from_static(b"again")).await?;
    let after = first(store.list(None, 1).await?)?;
    assert!(after.written_at >= before.written_at && after.len == 5, "written anew");
    Ok(())
}
