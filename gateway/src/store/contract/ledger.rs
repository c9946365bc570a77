//! What every [`Ledger`] must do.

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::{EventType, Leaf};
use sealpost_proto::tree::{leaf_hash, tree_head};

use super::Outcome;
use super::sample::{announced, id, leaf, part};
use crate::domain::{Effects, Key, Loaded};
use crate::store::StoreError;
use crate::store::ledger::{Committed, Ledger, transact};

fn key(n: u8) -> Vec<Key> {
    vec![Key::Transfer(id(n))]
}

/// Runs the suite on a ledger without records.
///
/// # Errors
/// Where the ledger fails although it must not.
pub async fn ledger(ledger: &dyn Ledger) -> Outcome {
    empty(ledger).await?;
    decides_on_what_was_committed(ledger).await?;
    refusals_cost_nothing(ledger).await?;
    leaves_are_linked(ledger).await?;
    strays_and_giants_are_refused(ledger).await?;
    reads_ranges(ledger).await?;
    concurrent(ledger).await
}

async fn announce(ledger: &dyn Ledger, n: u8) -> Result<(bool, Committed), StoreError> {
    transact(ledger, key(n), move |loaded: &Loaded, stamp| {
        if loaded.transfer(&id(n)).is_some() {
            return (false, Effects::default());
        }
        let change = announced(n, 1, stamp.seconds());
        (true, Effects::one(change, leaf(n, EventType::TransferCreated)))
    })
    .await
}

async fn add_part(ledger: &dyn Ledger, n: u8, number: u32) -> Result<(usize, Committed), StoreError> {
    transact(ledger, key(n), move |loaded: &Loaded, _| {
        let seen = loaded.transfer(&id(n)).map_or(0, |transfer| transfer.parts.len());
        let leaves = vec![
            leaf(n, EventType::TransferReopened),
            leaf(n, EventType::TransferReopened),
        ];
        let changes = vec![part(n, number)];
        (seen, Effects { changes, leaves })
    })
    .await
}

async fn empty(ledger: &dyn Ledger) -> Outcome {
    assert_eq!(ledger.audit_head().await?, (0, tree_head(&[])));
    assert!(ledger.audit_leaves(0, 10).await?.is_empty());
    Ok(())
}

async fn decides_on_what_was_committed(ledger: &dyn Ledger) -> Outcome {
    let (is_new, first) = announce(ledger, 1).await?;
    assert!(is_new);
    assert_eq!(first.leaves(), 0..1);
    let (is_new, second) = announce(ledger, 1).await?;
    assert!(!is_new, "the second decision sees the first");
    assert!(second.leaves().is_empty());
    assert!(second.at().millis >= first.at().millis, "times never decrease");
    let (seen, third) = add_part(ledger, 1, 0).await?;
    assert_eq!(seen, 0);
    assert_eq!(third.leaves(), 1..3, "indices are consecutive");
    assert_eq!(add_part(ledger, 1, 1).await?.0, 1);
    Ok(())
}

async fn refusals_cost_nothing(ledger: &dyn Ledger) -> Outcome {
    let before = ledger.audit_head().await?;
    let (seen, _) = transact(ledger, key(99), |loaded: &Loaded, _| {
        (loaded.transfer(&id(99)).is_some(), Effects::default())
    })
    .await?;
    assert!(!seen, "what nobody announced is not there");
    assert_eq!(ledger.audit_head().await?, before);
    Ok(())
}

async fn leaves_are_linked(ledger: &dyn Ledger) -> Outcome {
    let lines = ledger.audit_leaves(0, 100).await?;
    let leaves: Vec<Leaf> = lines.iter().map(|line| line.parse()).collect::<Result<_, _>>()?;
    let mut last: std::collections::HashMap<_, Hash> = std::collections::HashMap::new();
    for (leaf, line) in leaves.iter().zip(&lines) {
        assert_eq!(leaf.prev_obj, last.get(&leaf.object).copied(), "{line}");
        last.insert(leaf.object.clone(), Leaf::hash_of(line));
    }
    assert!(leaves.is_sorted_by_key(|leaf| leaf.t));
    let ids: std::collections::BTreeSet<_> = leaves.iter().map(|leaf| &leaf.id).collect();
    assert_eq!(ids.len(), leaves.len(), "every leaf has an id of its own");
    Ok(())
}

/// A change that was not named, and a leaf longer than a leaf may be: refused whole, and the ledger goes on.
async fn strays_and_giants_are_refused(ledger: &dyn Ledger) -> Outcome {
    let before = ledger.audit_head().await?;
    let stray = transact(ledger, key(50), |_: &Loaded, _| {
        let changes = vec![announced(50, 1, 1), announced(51, 1, 1)];
        let leaves = vec![leaf(50, EventType::TransferCreated)];
        ((), Effects { changes, leaves })
    });
    assert!(stray.await.is_err());
    let giant = transact(ledger, key(50), |_: &Loaded, _| {
        let mut draft = leaf(50, EventType::TransferCreated);
        draft.req_id = Some("x".repeat(5_000));
        ((), Effects::one(announced(50, 1, 1), draft))
    });
    assert!(giant.await.is_err());
    assert_eq!(ledger.audit_head().await?, before);
    assert!(announce(ledger, 50).await?.0, "nothing of them was applied");
    Ok(())
}

async fn reads_ranges(ledger: &dyn Ledger) -> Outcome {
    for number in 2..120 {
        add_part(ledger, 1, number).await?;
    }
    let (size, head) = ledger.audit_head().await?;
    let all = ledger.audit_leaves(0, usize::MAX).await?;
    assert_eq!(all.len() as u64, size);
    let hashes: Vec<[u8; 32]> = all.iter().map(|line| leaf_hash(line.as_bytes())).collect();
    assert_eq!(tree_head(&hashes), head, "the head is that of the lines");
    for from in 0..=size + 1 {
        for limit in [0, 1, 7, 100] {
            let expected: Vec<_> = all.iter().skip(usize::try_from(from)?).take(limit).cloned().collect();
            assert_eq!(
                ledger.audit_leaves(from, limit).await?,
                expected,
                "from {from}, {limit} lines"
            );
        }
    }
    Ok(())
}

/// Many at once, half of them on one aggregate: each sees all that came before it, and none is lost.
async fn concurrent(ledger: &dyn Ledger) -> Outcome {
    let (size, _) = ledger.audit_head().await?;
    let shared = (0..50).map(|number| async move { add_part(ledger, 50, number).await });
    let own = (100..150).map(|n| async move { announce(ledger, n).await });
    let (shared, own) = futures_util::future::join(
        futures_util::future::try_join_all(shared),
        futures_util::future::try_join_all(own),
    )
    .await;
    let mut seen: Vec<usize> = shared?.into_iter().map(|(seen, _)| seen).collect();
    seen.sort_unstable();
    assert_eq!(
        seen,
        (0..50).collect::<Vec<_>>(),
        "decisions on one aggregate are in a row"
    );
    let mut indices: Vec<u64> = own?.into_iter().flat_map(|(_, committed)| committed.leaves()).collect();
    indices.sort_unstable();
    indices.dedup();
    assert_eq!(indices.len(), 50);
    assert_eq!(ledger.audit_head().await?.0, size + 150);
    Ok(())
}

/// Shows that all which was acknowledged is there when the ledger is opened again. `open` opens the same one each time.
///
/// # Errors
/// Where the ledger fails although it must not.
pub async fn ledger_survives<L: Ledger>(open: impl Fn() -> L) -> Outcome {
    let first = open();
    for n in 1..40 {
        announce(&first, n).await?;
        add_part(&first, n, 0).await?;
    }
    let head = first.audit_head().await?;
    let lines = first.audit_leaves(0, usize::MAX).await?;
    drop(first);
    let second = open();
    assert_eq!(second.audit_head().await?, head);
    assert_eq!(second.audit_leaves(0, usize::MAX).await?, lines);
    assert!(!announce(&second, 1).await?.0, "the state is as before");
    let (seen, after) = add_part(&second, 39, 1).await?;
    assert_eq!((seen, after.leaves().start), (1, head.0));
    drop(second);
    let third = open();
    linked_across_restarts(&third, &id(39)).await
}

async fn linked_across_restarts(ledger: &dyn Ledger, transfer: &TransferId) -> Outcome {
    let mut last = None;
    for line in ledger.audit_leaves(0, usize::MAX).await? {
        let leaf: Leaf = line.parse()?;
        if leaf.object.id == transfer.to_string() {
            assert_eq!(leaf.prev_obj, last);
            last = Some(Leaf::hash_of(&line));
        }
    }
    assert!(last.is_some());
    Ok(())
}
