//! What every [`VouchedHeads`] must do.

use sealpost_proto::id::Hash;
use sealpost_proto::log::Checkpoint;

use super::Outcome;
use crate::store::StoreError;
use crate::store::ledger::heads::VouchedHeads;

fn head(origin: &str, size: u64, byte: u8) -> Checkpoint {
    Checkpoint {
        origin: origin.to_owned(),
        size,
        root: Hash::from_bytes([byte; 32]),
    }
}

/// Runs the suite on an empty store; `open` opens the same one each time.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn heads<S: VouchedHeads>(open: impl Fn() -> S) -> Outcome {
    let store = open();
    assert_eq!(store.last("gw/audit").await?, None);
    store.advance(&head("gw/audit", 0, 1)).await?;
    store.advance(&head("gw/audit", 5, 1)).await?;
    store.advance(&head("gw/directory", 2, 9)).await?;
    drop(store);
    let store = open();
    store.advance(&head("gw/audit", 5, 1)).await?;
    for (refused, why) in [
        (head("gw/audit", 5, 2), "another head of that size"),
        (head("gw/audit", 4, 1), "a smaller one"),
    ] {
        assert!(
            matches!(store.advance(&refused).await, Err(StoreError::Conflict)),
            "{why}"
        );
    }
    assert_eq!(store.last("gw/audit").await?, Some(head("gw/audit", 5, 1)));
    store.advance(&head("gw/audit", 6, 3)).await?;
    drop(store);
    let store = open();
    assert_eq!(store.last("gw/audit").await?, Some(head("gw/audit", 6, 3)));
    assert_eq!(store.last("gw/directory").await?, Some(head("gw/directory", 2, 9)));
    Ok(())
}
