//! What every [`ShareStore`] must do.

use std::collections::BTreeSet;

use sealpost_proto::id::Hash;
use zeroize::Zeroizing;

use super::Outcome;
use super::sample::id;
use crate::domain::Stamp;
use crate::store::StoreError;
use crate::store::ledger::Committed;
use crate::store::share::{Day, Share, ShareRef, ShareStore};

const TODAY: Day = Day(20_000);

fn share(n: u8, day: Day) -> ShareRef {
    ShareRef {
        transfer: id(n),
        commit: Hash::from_bytes([n; 32]),
        day,
    }
}

fn value(n: u8) -> Share {
    Zeroizing::new([n ^ 0x5a; 32])
}

/// A witness as a ledger gives it for an opening, or, without leaves, for a refusal.
fn witness(leaves: u64) -> Committed {
    Committed::new(Stamp { millis: 1 }, 0..leaves)
}

async fn is_gone(store: &dyn ShareStore, share: &ShareRef) -> bool {
    matches!(store.take(share, &witness(1)).await, Err(StoreError::NotFound))
}

/// Runs the suite on an empty store.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn shares(store: &dyn ShareStore) -> Outcome {
    put_and_take(store).await?;
    destroyed(store).await?;
    days_end(store).await?;
    keys_are_replaced(store).await?;
    many(store).await
}

async fn put_and_take(store: &dyn ShareStore) -> Outcome {
    let one = share(1, TODAY);
    assert!(is_gone(store, &one).await);
    store.put(&one, &value(1)).await?;
    store.put(&one, &value(1)).await?;
    assert!(matches!(store.put(&one, &value(2)).await, Err(StoreError::Conflict)));
    assert_eq!(store.take(&one, &witness(1)).await?, value(1));
    assert_eq!(store.take(&one, &witness(1)).await?, value(1), "repeatable");
    assert!(
        store.take(&one, &witness(0)).await.is_err(),
        "a refusal is no witness of a release"
    );
    let other_header = ShareRef {
        commit: Hash::from_bytes([9; 32]),
        ..one.clone()
    };
    assert!(is_gone(store, &other_header).await);
    assert!(is_gone(store, &share(1, Day(TODAY.0 + 1))).await);
    assert_eq!(store.list().await?, [one]);
    Ok(())
}

async fn destroyed(store: &dyn ShareStore) -> Outcome {
    let (one, two) = (share(1, TODAY), share(2, TODAY));
    store.put(&two, &value(2)).await?;
    store.destroy(&one).await?;
    store.destroy(&one).await?;
    assert!(is_gone(store, &one).await);
    assert_eq!(store.take(&two, &witness(1)).await?, value(2), "others stay");
    store.destroy(&share(3, Day(1))).await?;
    store.put(&one, &value(7)).await?;
    assert_eq!(store.take(&one, &witness(1)).await?, value(7), "sent again");
    Ok(())
}

async fn days_end(store: &dyn ShareStore) -> Outcome {
    let yesterday = share(4, Day(TODAY.0 - 1));
    let tomorrow = share(5, Day(TODAY.0 + 1));
    store.put(&yesterday, &value(4)).await?;
    store.put(&tomorrow, &value(5)).await?;
    let kept = BTreeSet::from([yesterday.day]);
    store.end_days_before(TODAY, &kept).await?;
    assert_eq!(store.take(&yesterday, &witness(1)).await?, value(4), "its day is kept");
    store.end_days_before(TODAY, &BTreeSet::new()).await?;
    store.end_days_before(TODAY, &BTreeSet::new()).await?;
    assert!(is_gone(store, &yesterday).await);
    assert!(!store.list().await?.contains(&yesterday));
    assert_eq!(store.take(&share(2, TODAY), &witness(1)).await?, value(2));
    assert_eq!(store.take(&tomorrow, &witness(1)).await?, value(5));
    Ok(())
}

async fn keys_are_replaced(store: &dyn ShareStore) -> Outcome {
    for _ in 0..3 {
        store.replace_key(TODAY).await?;
        assert_eq!(store.take(&share(2, TODAY), &witness(1)).await?, value(2));
    }
    store.replace_key(Day(1)).await?;
    store.put(&share(6, TODAY), &value(6)).await?;
    assert_eq!(store.take(&share(6, TODAY), &witness(1)).await?, value(6));
    Ok(())
}

fn first_byte(share: &ShareRef) -> u8 {
    let [first, ..] = share.commit.as_bytes();
    *first
}

async fn many(store: &dyn ShareStore) -> Outcome {
    let day = Day(TODAY.0 + 30);
    let refs: Vec<ShareRef> = (0..=u8::MAX)
        .flat_map(|n| {
            let second = ShareRef {
                commit: Hash::from_bytes([!n; 32]),
                ..share(n, day)
            };
            [share(n, day), second]
        })
        .collect();
    let put = |share: ShareRef| async move { store.put(&share, &value(first_byte(&share))).await };
    futures_util::future::try_join_all(refs.iter().cloned().map(put)).await?;
    store.replace_key(day).await?;
    for share in &refs {
        let expected = value(first_byte(share));
        assert_eq!(store.take(share, &witness(1)).await?, expected);
    }
    assert_eq!(
        store.list().await?.iter().filter(|share| share.day == day).count(),
        refs.len()
    );
    Ok(())
}

/// Shows that what was put is there, and what was destroyed is not, when the store is opened again. `open` opens the same one
/// each time.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn shares_survive<S: ShareStore>(open: impl Fn() -> S) -> Outcome {
    let first = open();
    for n in 0..10 {
        first.put(&share(n, TODAY), &value(n)).await?;
    }
    first.destroy(&share(3, TODAY)).await?;
    first.replace_key(TODAY).await?;
    drop(first);
    let second = open();
    assert_eq!(second.list().await?.len(), 9);
    assert!(is_gone(&second, &share(3, TODAY)).await);
    assert_eq!(second.take(&share(4, TODAY), &witness(1)).await?, value(4));
    second.end_days_before(Day(TODAY.0 + 1), &BTreeSet::new()).await?;
    drop(second);
    assert!(open().list().await?.is_empty());
    Ok(())
}
