//! Taking transfers back over the routes, re-arming them, and the races of both with those who open. N98.

use futures_util::StreamExt;
use sealpost_proto::api::StateResponse;
use sealpost_proto::encoding::Base64;
use serde_json::json;

use super::links::{redeem, sent_with};
use super::*;
use crate::domain::fixture::links::{auth, link, visitor};
use crate::domain::{Requester, holding};

fn numbered(n: u64) -> TransferId {
    let mut id = [0xee; 16];
    id[..8].copy_from_slice(&n.to_be_bytes());
    TransferId::from_bytes(id)
}

fn revoke(id: TransferId) -> Ask {
    Ask {
        method: "DELETE",
        ..get(format!("/v1/transfers/{id}"))
    }
}

fn open(command: &SealCommand) -> Ask {
    let header = &command.envelope.header;
    let body = json!({ "hh": Hash::from_bytes(header.hash()), "opening": "07".repeat(16) });
    post(format!("/v1/transfers/{}/open", header.transfer_id), body.to_string())
}

fn state_of((status, body): (StatusCode, Bytes)) -> TransferState {
    assert_eq!(status, StatusCode::OK, "{body:?}");
    serde_json::from_slice::<StateResponse>(&body).unwrap().state
}

#[tokio::test]
async fn the_sender_and_a_registrar_take_a_transfer_back_and_its_share_is_gone() {
    let house = house().await;
    let command = sent_with(&house, ID, &[], true).await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    assert_eq!(
        house.refusal(provider, revoke(ID)).await,
        ProblemKind::NotFound,
        "not a recipient"
    );
    assert_eq!(house.refusal(&house.third, revoke(ID)).await, ProblemKind::NotFound);
    assert_eq!(
        house.refusal(provider, revoke(numbered(1))).await,
        ProblemKind::NotFound
    );
    assert_eq!(house.shares.list().await.unwrap().len(), 1);
    assert_eq!(house.ask(provider, open(&command)).await.0, StatusCode::OK);
    let records = house.leaves().await.len();
    for _ in 0..3 {
        assert_eq!(state_of(house.ask(admin, revoke(ID)).await), TransferState::Revoked);
    }
    assert!(house.shares.list().await.unwrap().is_empty(), "before it was answered");
    assert_eq!(house.refusal(provider, open(&command)).await, ProblemKind::Revoked);
    let events: Vec<_> = house.leaves().await[records..]
        .iter()
        .map(|l| (l.event, l.outcome == LeafOutcome::Ok))
        .collect();
    let expected = [
        (EventType::TransferRevoked, true),
        (EventType::TransferShredded, true),
        (EventType::TransferOpened, false),
    ];
    assert_eq!(events, expected, "once, however often it is asked");

    // The provider sends something, and the administrator, who is a registrar, takes it back before it is sealed.
    let announced = json!({ "transfer": numbered(2), "bytes": 16_432 }).to_string();
    house.ask(provider, post("/v1/transfers", announced)).await;
    for _ in 0..2 {
        assert_eq!(
            state_of(house.ask(admin, revoke(numbered(2))).await),
            TransferState::Revoked
        );
    }
    let parts = get(format!("/v1/transfers/{}/parts", numbered(2)));
    assert_eq!(house.refusal(provider, parts).await, ProblemKind::NotFound);
}

/// A share that is gone as after a restore, and a record that says so.
pub(super) async fn lose_share(house: &House, id: TransferId) {
    let lost = house.shares.list().await.unwrap();
    house.shares.destroy(&lost[0]).await.unwrap();
    let by: Requester = house.clinic.admin.requester();
    let decide = move |loaded: &_, at| {
        let ((), effects) = holding::hold(loaded, at, &id, &by).unwrap();
        ((), effects)
    };
    transact(house.ledger.as_ref(), vec![Key::Transfer(id)], decide)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_held_transfer_waits_for_its_sender() {
    let house = house().await;
    let command = sent_with(&house, ID, &[(1, 2)], true).await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    lose_share(&house, ID).await;
    let path = of("/rearm");
    let rearm = |share: &[u8]| post(&path, json!({ "share": Base64(share.to_vec()) }).to_string());
    assert_eq!(house.refusal(provider, open(&command)).await, ProblemKind::Held);
    assert_eq!(
        kind_of(house.visit(&visitor(1), redeem(1, auth(1), 1)).await),
        ProblemKind::Held
    );
    assert_eq!(house.refusal(provider, rearm(&SHARE)).await, ProblemKind::NotFound);
    assert_eq!(house.refusal(admin, rearm(&[1; 32])).await, ProblemKind::SealRefused);
    assert_eq!(house.refusal(admin, rearm(&[1; 31])).await, ProblemKind::BadRequest);
    assert!(
        house.shares.list().await.unwrap().is_empty(),
        "nothing was kept of those"
    );
    for _ in 0..2 {
        assert_eq!(
            state_of(house.ask(admin, rearm(&SHARE)).await),
            TransferState::Available
        );
    }
    let leaves = house.leaves().await;
    let rearmed = |leaf: &&Leaf| leaf.event == EventType::TransferRearmed && leaf.outcome == LeafOutcome::Ok;
    assert_eq!(leaves.iter().filter(rearmed).count(), 1);
    assert_eq!(house.ask(provider, open(&command)).await.0, StatusCode::OK);
    house.ask(admin, revoke(ID)).await;
    assert_eq!(house.refusal(admin, rearm(&SHARE)).await, ProblemKind::Revoked);
    assert!(house.shares.list().await.unwrap().is_empty(), "revoked stays revoked");
}

/// Leaves of one transfer, in order, as (event, whether it was done).
fn story(leaves: &[Leaf], of: &[String]) -> Vec<(EventType, bool)> {
    let own = leaves.iter().filter(|leaf| of.contains(&leaf.object.id));
    own.map(|leaf| (leaf.event, leaf.outcome == LeafOutcome::Ok)).collect()
}

async fn all_leaves(house: &House) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    loop {
        let page = house.ledger.audit_leaves(leaves.len() as u64, 1000).await.unwrap();
        if page.is_empty() {
            return leaves;
        }
        leaves.extend(page.iter().map(|line| line.parse::<Leaf>().unwrap()));
    }
}

/// One transfer, and whoever takes it against its revocation: whether the share was got. After the revocation's answer nobody
/// gets it.
async fn round(house: Arc<House>, n: u64, event: EventType, taker: Taker) -> bool {
    let links: &[(u8, u32)] = match event {
        EventType::LinkRedeemed => &[(link_of(n), 2)],
        _ => &[],
    };
    let command = sent_with(&house, numbered(n), links, true).await;
    let (by, ask) = taker(n, &command);
    let run = |by: &SigningKey, ask: Ask| {
        let (house, by) = (Arc::clone(&house), by.clone());
        tokio::spawn(async move { house.visit(&by, ask).await })
    };
    let admin = house.clinic.admin.device.clone();
    let (revoked, taken) = if n.is_multiple_of(2) {
        let taken = run(&by, ask.clone());
        (run(&admin, revoke(numbered(n))), taken)
    } else {
        let revoked = run(&admin, revoke(numbered(n)));
        (revoked, run(&by, ask.clone()))
    };
    assert_eq!(state_of(revoked.await.unwrap()), TransferState::Revoked);
    let after = house.visit(&by, ask).await;
    assert_eq!(kind_of(after), ProblemKind::Revoked, "after the answer, round {n}");
    let taken = taken.await.unwrap();
    let has_got = taken.0.is_success();
    if has_got {
        assert!(String::from_utf8_lossy(&taken.1).contains("\"share\""));
    } else {
        assert_eq!(kind_of(taken), ProblemKind::Revoked);
    }
    has_got
}

type Taker = fn(u64, &SealCommand) -> (SigningKey, Ask);

/// The link of round `n`; no two rounds have the same.
fn link_of(n: u64) -> u8 {
    u8::try_from(n).unwrap()
}

/// Rounds, eight at a time, and then their stories in the audit log: whoever got the share has a leaf before that of the
/// revocation.
async fn race(rounds: u64, event: EventType, taker: Taker) {
    let house = Arc::new(house().await);
    let played =
        futures_util::stream::iter(0..rounds).map(|n| tokio::spawn(round(Arc::clone(&house), n, event, taker)));
    let got: Vec<bool> = played.buffered(8).map(Result::unwrap).collect().await;
    assert!(house.shares.list().await.unwrap().is_empty(), "every share is gone");
    let leaves = all_leaves(&house).await;
    for (n, has_got) in (0..rounds).zip(&got) {
        let mut ids = vec![numbered(n).to_string()];
        if event == EventType::LinkRedeemed {
            ids.push(link(link_of(n)).to_string());
        }
        let story = story(&leaves, &ids);
        let place = |wanted| story.iter().position(|found| *found == wanted);
        let count = |wanted| story.iter().filter(|found| **found == wanted).count();
        assert_eq!(count((EventType::TransferRevoked, true)), 1);
        assert_eq!(count((EventType::TransferShredded, true)), 1);
        if *has_got {
            assert_eq!(count((event, true)), 1, "round {n}");
            assert!(
                place((event, true)) < place((EventType::TransferRevoked, true)),
                "round {n}"
            );
        }
    }
    let won = got.iter().filter(|got| **got).count() as u64;
    assert!(
        0 < won && won < rounds,
        "a race that one side always wins is none: {won} of {rounds}"
    );
}

/// N98.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn n98_open_against_revoke_a_thousand_times() {
    race(1_000, EventType::TransferOpened, |_, command| {
        (Person::new(2).device, open(command))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn redeem_against_revoke_two_hundred_times() {
    race(200, EventType::LinkRedeemed, |n, _| {
        let link = link_of(n);
        (visitor(link), redeem(link, auth(link), u128::from(n)))
    })
    .await;
}
