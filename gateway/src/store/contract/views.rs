//! What every [`Views`] must answer beside its [`Ledger`].

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::EventType;

use super::Outcome;
use super::sample::{announced, id, label, leaf, sealed};
use crate::domain::{Change, Effects, Key, LinkTerms, Loaded, ShredCause, Stamp};
use crate::store::ledger::{Ledger, transact};
use crate::store::views::{MostWatches, Page, Places, TooMany, Views};

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
    goes_on_behind_a_position(store).await?;
    moves_what_is_armed_again(store).await?;
    tells_those_who_watch(store).await?;
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

/// All pages of an inbox from `after` on.
async fn all_after<S: Views>(
    store: &S,
    person: u8,
    after: u64,
    limit: usize,
) -> Result<Places, crate::store::StoreError> {
    let mut all = Places::new();
    loop {
        let from = all.last().map_or(after, |(position, _)| *position);
        let page = store.inbox_after(&label(person), from, limit).await?;
        assert!(page.len() <= limit);
        if page.is_empty() {
            return Ok(all);
        }
        all.extend(page);
    }
}

/// After [`pages`]: numbers 2 to 29 were sealed to person 30. More are sealed while they are read.
async fn goes_on_behind_a_position<S: Ledger + Views>(store: &S) -> Outcome {
    let sealing = async {
        for n in 80..140 {
            commit(store, sealed(n, 11, &[if n % 3 == 0 { 31 } else { 30 }], 5_000)).await?;
        }
        Outcome::Ok(())
    };
    let mine = |n: &u8| *n < 30 || !n.is_multiple_of(3);
    let expected: Vec<_> = (2..30).chain(80..140).filter(mine).map(id).collect();
    let reading = async {
        let mut found = Places::new();
        while found.len() < expected.len() {
            let after = found.last().map_or(0, |(position, _)| *position);
            found.extend(all_after(store, 30, after, 3).await?);
            tokio::task::yield_now().await;
        }
        Ok::<_, crate::store::StoreError>(found)
    };
    let (sealed, found) = tokio::join!(sealing, reading);
    sealed?;
    let found = found?;
    let ids: Vec<_> = found.iter().map(|(_, id)| *id).collect();
    assert_eq!(ids, expected, "oldest first, none missed, none doubled, nobody else's");
    assert!(found.iter().is_sorted_by(|(a, _), (b, _)| a < b));
    let newest = store.inbox(&label(30), None, 1).await?;
    assert_eq!(
        newest.first().map(|(position, _)| *position),
        found.last().map(|(position, _)| *position)
    );
    let last = store.position().await?;
    assert!(found.iter().all(|(position, _)| *position <= last));
    for after in [last, last + 1, u64::MAX] {
        assert!(store.inbox_after(&label(30), after, 10).await?.is_empty());
    }
    assert!(store.inbox_after(&label(30), 0, 0).await?.is_empty());
    Ok(())
}

async fn moves_what_is_armed_again<S: Ledger + Views>(store: &S) -> Outcome {
    for n in [150, 151] {
        commit(store, sealed(n, 13, &[50], 5_000)).await?;
    }
    let (transfer, at) = (id(150), 10);
    commit(store, Change::TransferHeld { transfer, at }).await?;
    let before = all_after(store, 50, 0, 10).await?;
    commit(store, Change::TransferRearmed { transfer, at }).await?;
    let after = all_after(store, 50, 0, 10).await?;
    let ids = |places: &Places| places.iter().map(|(_, id)| *id).collect::<Vec<_>>();
    assert_eq!(
        (ids(&before), ids(&after)),
        (vec![id(150), id(151)], vec![id(151), id(150)])
    );
    let last = |places: &Places| places.last().map(|(position, _)| *position);
    assert!(last(&after) > last(&before), "behind all that came before");
    let sent = store.sent(&label(13), None, 10).await?;
    assert_eq!(
        sent.iter().map(|(_, t)| t.id).collect::<Vec<_>>(),
        [id(151), id(150)],
        "where it was for its sender"
    );
    Ok(())
}

async fn tells_those_who_watch<S: Ledger + Views>(store: &S) -> Outcome {
    let most = MostWatches { of_one: 1, of_all: 2 };
    let watch = |n| store.watch(&label(n), most);
    let (recipient, sender) = match (watch(51), watch(14)) {
        (Ok(recipient), Ok(sender)) => (recipient, sender),
        other => return Err(format!("nobody watched before: {other:?}").into()),
    };
    assert_eq!(
        store.watch(&label(51), MostWatches { of_one: 1, of_all: 9 }).err(),
        Some(TooMany::OfOne)
    );
    assert_eq!(watch(52).err(), Some(TooMany::OfAll));
    commit(store, sealed(152, 14, &[51], 5_000)).await?;
    let news = recipient.news().await;
    assert!(news.inbox && news.sent.is_empty());
    assert_eq!(all_after(store, 51, 0, 10).await?.len(), 1, "what was told is there");
    let (transfer, cause, at) = (id(152), ShredCause::Revoked, 10);
    commit(store, Change::TransferShredded { transfer, cause, at }).await?;
    let news = sender.news().await;
    assert!(!news.inbox && news.sent.contains(&id(152)), "{news:?}");
    drop(recipient);
    assert!(watch(51).is_ok(), "a place is free again");
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
    for n in 10..=14 {
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
