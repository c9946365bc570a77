//! What every [`VouchedHeads`] must do.

use sealpost_proto::id::Hash;
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::{Tree, leaf_hash};

use super::Outcome;
use crate::store::StoreError;
use crate::store::ledger::heads::VouchedHeads;

/// A tree over `size` leaves of a kind.
fn tree(size: u64, kind: u8) -> Tree {
    let mut tree = Tree::new();
    for _ in 0..size {
        tree.push(leaf_hash(&[kind]));
    }
    tree
}

fn head(origin: &str, tree: &Tree) -> Checkpoint {
    Checkpoint {
        origin: origin.to_owned(),
        size: tree.size(),
        root: Hash::from_bytes(tree.head()),
    }
}

/// Runs the suite on an empty store; `open` opens the same one each time.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn heads<S: VouchedHeads>(open: impl Fn() -> S) -> Outcome {
    let store = open();
    assert_eq!(store.last("gw/audit").await?, None);
    assert_eq!(store.tree("gw/audit").await?, None);
    store.advance("gw/audit", &tree(0, 1)).await?;
    store.advance("gw/audit", &tree(5, 1)).await?;
    store.advance("gw/directory", &tree(2, 9)).await?;
    drop(store);
    let store = open();
    store.advance("gw/audit", &tree(5, 1)).await?;
    for (refused, why) in [(tree(5, 2), "another head of that size"), (tree(4, 1), "a smaller one")] {
        let refused = store.advance("gw/audit", &refused).await;
        assert!(matches!(refused, Err(StoreError::Conflict)), "{why}");
    }
    assert_eq!(store.last("gw/audit").await?, Some(head("gw/audit", &tree(5, 1))));
    store.advance("gw/audit", &tree(6, 3)).await?;
    drop(store);
    let store = open();
    assert_eq!(store.last("gw/audit").await?, Some(head("gw/audit", &tree(6, 3))));
    assert_eq!(store.tree("gw/audit").await?, Some(tree(6, 3)));
    assert_eq!(
        store.last("gw/directory").await?,
        Some(head("gw/directory", &tree(2, 9)))
    );
    assert_eq!(store.tree("gw/directory").await?, Some(tree(2, 9)));
    Ok(())
}
