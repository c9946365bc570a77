//! What every [`Views`] must answer beside its [`Ledger`].

use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;

use super::Outcome;
use super::sample::{announced, id, label, leaf, sealed};
use crate::domain::{Change, Effects, Key, Loaded, ShredCause, Stamp};
use crate::store::ledger::{Ledger, transact};
use crate::store::views::{Page, Views};

async fn commit(ledger: &dyn Ledger, change: Change) -> Outcome {
    let key = change.key();
    transact(ledger, vec![key], move |_: &Loaded, _: Stamp| {
        let leaf = leaf(1, EventType::TransferSealed);
        ((), Effects::one(change.clone(), leaf))
    })
    .await?;
    Ok(())
}

fn ids(page: &Page) -> Vec<TransferId> {
    page.iter().map(|(_, transfer)| transfer.id).collect()
}

/// Runs the suite on a ledger without records.
///
/// # Errors
/// Where the store fails although it must not.
pub async fn views<S: Ledger + Views>(store: &S) -> Outcome {
    lists_what_is_sealed(store).await?;
    pages(store).await?;
    tells_what_is_due(store).await
}

async fn lists_what_is_sealed<S: Ledger + Views>(store: &S) -> Outcome {
    assert!(store.transfer(&id(1)).await?.is_none());
    assert!(store.organisation().await?.directory.is_none());
    assert!(store.invites().await?.is_empty());
    commit(store, announced(1, 10, 1_000)).await?;
    assert!(store.transfer(&id(1)).await?.is_some());
    assert!(
        store.sent(&label(10), None, 10).await?.is_empty(),
        "not before it is sealed"
    );
    commit(store, sealed(1, 10, &[20, 21], 5_000)).await?;
    assert_eq!(ids(&store.sent(&label(10), None, 10).await?), [id(1)]);
    assert_eq!(ids(&store.inbox(&label(20), None, 10).await?), [id(1)]);
    assert_eq!(ids(&store.inbox(&label(21), None, 10).await?), [id(1)]);
    assert!(store.inbox(&label(10), None, 10).await?.is_empty());
    let keys = vec![Key::Transfer(id(1))];
    let (loaded, _) = transact(store, keys, |loaded: &Loaded, _| (loaded.clone(), Effects::default())).await?;
    assert_eq!(store.transfer(&id(1)).await?.as_deref(), loaded.transfer(&id(1)));
    Ok(())
}

async fn pages<S: Ledger + Views>(store: &S) -> Outcome {
    for n in 2..30 {
        // Announced in the other order: the order of a list is that of sealing.
        commit(store, announced(31 - n, 11, 1_000)).await?;
    }
    for n in 2..30 {
        commit(store, sealed(n, 11, &[30], 5_000)).await?;
    }
    let newest_first: Vec<_> = (2..30).rev().map(id).collect();
    assert_eq!(ids(&store.inbox(&label(30), None, 100).await?), newest_first);
    let mut paged = Vec::new();
    let mut before = None;
    loop {
        let page = store.inbox(&label(30), before, 5).await?;
        assert!(page.len() <= 5);
        let Some((position, _)) = page.last() else {
            break;
        };
        before = Some(*position);
        paged.extend(ids(&page));
    }
    assert_eq!(paged, newest_first, "pages neither overlap nor miss");
    assert!(store.inbox(&label(30), Some(0), 5).await?.is_empty());
    Ok(())
}

async fn tells_what_is_due<S: Ledger + Views>(store: &S) -> Outcome {
    commit(store, sealed(60, 12, &[40], 9_000)).await?;
    commit(store, sealed(61, 12, &[40], 8_000)).await?;
    assert!(!store.due(7_999, 100).await?.contains(&id(61)));
    let due = store.due(9_000, 100).await?;
    let place = |n: u8| due.iter().position(|found| *found == id(n));
    assert!(
        place(61).is_some() && place(61) < place(60),
        "those that wait longest first"
    );
    assert_eq!(store.due(9_000, 1).await?.len(), 1);
    let at = 8_000;
    let cause = ShredCause::Expired;
    commit(
        store,
        Change::TransferShredded {
            transfer: id(61),
            cause,
            at,
        },
    )
    .await?;
    assert!(
        store.due(0, 100).await?.contains(&id(61)),
        "a share to be destroyed waits for nothing"
    );
    commit(store, Change::ShareDestroyed { transfer: id(61), at }).await?;
    assert!(
        !store.due(9_000, 100).await?.contains(&id(61)),
        "ciphertext is swept later"
    );
    commit(store, Change::CiphertextSwept { transfer: id(61) }).await?;
    assert!(!store.due(u64::MAX, 100).await?.contains(&id(61)), "done");
    Ok(())
}
