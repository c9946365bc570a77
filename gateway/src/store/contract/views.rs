//! What every [`Views`] must answer beside its [`Ledger`].

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::EventType;

use super::Outcome;
use super::sample::{announced, id, label, leaf, sealed};
use crate::domain::{Change, Effects, Key, LinkTerms, Loaded, ShredCause, Stamp};
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
    tells_what_is_due(store).await?;
    counts_what_is_stored(store).await?;
    finds_links(store).await
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

/// After [`tells_what_is_due`]: number 61 is swept, 60 is not.
async fn counts_what_is_stored<S: Ledger + Views>(store: &S) -> Outcome {
    // Payload, header, seal, and a byte each of block and manifest box.
    let sealed = 1024 + 248 + 224 + 2;
    assert_eq!(store.stored_bytes(Some(&label(12))).await?, sealed);
    commit(store, announced(62, 12, 1_000)).await?;
    assert_eq!(
        store.stored_bytes(Some(&label(12))).await?,
        sealed + 1024,
        "announced bytes count already"
    );
    assert_eq!(store.stored_bytes(Some(&label(99))).await?, 0);
    let (mut all, mut of_all) = (0, Vec::new());
    for n in 10..=12 {
        all += store.stored_bytes(Some(&label(n))).await?;
    }
    assert_eq!(store.stored_bytes(None).await?, all);
    loop {
        let page = store.sealed_unended(of_all.last().copied(), 7).await?;
        if page.is_empty() {
            break;
        }
        of_all.extend(page);
    }
    assert!(of_all.is_sorted(), "in the order of ids, each once");
    let is_there = |n: u8| of_all.contains(&id(n));
    assert!(is_there(60) && !is_there(61) && !is_there(62));
    Ok(())
}

async fn finds_links<S: Ledger + Views>(store: &S) -> Outcome {
    let link = Hash::from_bytes([70; 32]);
    assert_eq!(store.link(&link).await?, None);
    for n in [71, 70] {
        let mut change = sealed(n, 12, &[40], 9_000);
        if let Change::TransferSealed { sealed, .. } = &mut change {
            sealed.links.push(LinkTerms {
                link,
                auth_sha256: link,
                m_kib: 1,
                t: 1,
                salt: [0; 16],
                openings: 1,
            });
        }
        commit(store, change).await?;
    }
    assert_eq!(
        store.link(&link).await?,
        Some(id(71)),
        "whoever registers an id that somebody has gets no link by it"
    );
    Ok(())
}
