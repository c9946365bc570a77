use std::path::Path;

use bytes::Bytes;
use sealpost_proto::id::{Hash, TransferId};

use super::*;
use crate::store::contract;

fn open(path: &Path) -> FsBlobs {
    FsBlobs::open(&PrivateFolder::open(&path.join("data")).unwrap()).unwrap()
}

fn files_in(path: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files_in(&path));
        } else {
            found.push(path);
        }
    }
    found
}

#[tokio::test]
async fn keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    contract::blobs(&open(folder.path())).await.unwrap();
}

#[tokio::test]
async fn survives_a_restart_and_forgets_unfinished_uploads() {
    let folder = tempfile::tempdir().unwrap();
    let key = BlobKey::part(&TransferId::from_bytes([1; 16]), 0, &Hash::from_bytes([2; 32]));
    let store = open(folder.path());
    store.put(&key, Bytes::from_static(b"kept")).await.unwrap();
    drop(store);
    let temporary = folder.path().join("data").join(TEMPORARY);
    fs::write(temporary.join("0"), b"left by a crash").unwrap();
    let store = open(folder.path());
    assert!(files_in(&temporary).is_empty());
    assert_eq!(store.get(&key, 0, 10).await.unwrap(), "kept");
    store.put(&key, Bytes::from_static(b"kept")).await.unwrap();
}

#[tokio::test]
async fn a_dropped_upload_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let mut writer = store.writer().await.unwrap();
    writer.write(Bytes::from(vec![1; 5 * 1024 * 1024])).await.unwrap();
    drop(writer);
    // The write that was under way ends by itself; its file goes with it.
    let temporary = folder.path().join("data").join(TEMPORARY);
    while !files_in(&temporary).is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn keys_spread_over_256_folders_and_stay_inside() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let transfer = TransferId::from_bytes([0xab; 16]);
    let path = store
        .places
        .path_of(&BlobKey::part(&transfer, 3, &Hash::from_bytes([1; 32])));
    let relative = path.strip_prefix(&store.places.blobs).unwrap().to_str().unwrap();
    let expected = format!("transfers/ab/{transfer}.part-3-{}", Hash::from_bytes([1; 32]));
    assert_eq!(relative, expected);
}
