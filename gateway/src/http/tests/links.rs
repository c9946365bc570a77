//! Links over the routes: what a visitor gets, and what nobody learns who does not know the words. N99 to N102.

use sealpost_proto::api::{LinkLookupResponse, LinkRedeemResponse, ReceiptResponse, StateResponse};
use sealpost_proto::encoding::Base64;
use sealpost_proto::key::{Directory, SignedStatement};
use sealpost_proto::sealed::Block;
use serde_json::json;

use super::*;
use crate::domain::fixture::links::{auth, link, link_id, visitor};
use crate::store::views::Views as _;

/// A transfer with link 1, which may be opened so often, and perhaps with the provider as its recipient.
pub(super) async fn sent_with(house: &House, id: TransferId, links: &[(u8, u32)], has_recipient: bool) -> SealCommand {
    let payload = vec![7; 16_432];
    let command = house.clinic.seal_command(id, &[leaf(&payload)], 16_432, 7);
    let command = house.clinic.with_links(command, links, has_recipient);
    let options = serde_json::to_vec(&command.options).unwrap();
    let ask = Ask {
        path: format!("/v1/transfers/{id}/seal"),
        ..seal(&command, &payload, &options)
    };
    let (status, body) = house.ask(&house.clinic.admin, ask).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    command
}

pub(super) fn redeem(n: u8, proof: [u8; 32], opening: u128) -> Ask {
    let opening = format!("{opening:032x}");
    let body = json!({ "link": link_id(n), "auth": Base64(proof.to_vec()), "opening": opening });
    post("/v1/links/redeem", body.to_string())
}

fn lookup(n: u8) -> Ask {
    post("/v1/links/lookup", json!({ "link": link_id(n) }).to_string())
}

impl House {
    pub(super) async fn visit(&self, by: &SigningKey, ask: Ask) -> (StatusCode, Bytes) {
        self.send(self.signed(by, &ask)).await
    }

    async fn records(&self) -> u64 {
        self.ledger.audit_head().await.unwrap().0
    }
}

#[tokio::test]
async fn a_visitor_who_knows_the_words_gets_one_stanza_the_share_and_the_senders_chain() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 1), (2, 5)], true).await;
    let (someone, other) = (visitor(1), visitor(2));
    let (status, body) = house.visit(&someone, redeem(1, auth(1), 1)).await;
    assert_eq!(status, StatusCode::OK, "{body:?}");
    let answer: LinkRedeemResponse = serde_json::from_slice(&body).unwrap();
    assert_eq!(answer.opened.share.as_ref().unwrap().0, SHARE.to_vec());
    assert_eq!(answer.sender, house.clinic.admin.address);
    assert!(answer.transfer.recipients.is_empty() && answer.transfer.links.is_empty());
    let block = Block::parse(&answer.opened.block.0).unwrap();
    assert!(block.for_link(&link_id(1)).is_some());
    assert_eq!(block.stanzas().iter().filter(|s| !s.is_elided()).count(), 1);

    // The chain alone makes the sender's device trustworthy, and shows nobody else.
    let mut directory = Directory::new(house.clinic.org);
    for text in &answer.statements {
        directory.apply(&text.parse::<SignedStatement>().unwrap()).unwrap();
    }
    let device = directory.device(&house.clinic.admin.device.public(), NOW);
    assert_eq!(device, Some(house.clinic.admin.trusted()));
    assert_eq!(directory.members().count(), 1, "not the recipients");

    for (tail, len) in [("/payload", 16_432), ("/leaves", 32), ("/manifest", 4096 + 48)] {
        let (status, body) = house.visit(&someone, get(of(tail))).await;
        assert_eq!((status, body.len()), (StatusCode::OK, len), "{tail}");
        let kind = kind_of(house.visit(&other, get(of(tail))).await);
        assert_eq!(kind, ProblemKind::Unauthenticated, "{tail}");
    }
    for ask in [get(of("")), get("/v1/inbox"), get("/v1/me"), opening(&house, 1)] {
        let path = ask.path.clone();
        assert_eq!(
            kind_of(house.visit(&someone, ask).await),
            ProblemKind::Unauthenticated,
            "{path}"
        );
    }
    let (_, again) = house.visit(&someone, redeem(1, auth(1), 1)).await;
    assert_eq!(again, body, "the same opening again, not counted");
    assert_eq!(
        kind_of(house.visit(&other, redeem(1, auth(1), 1)).await),
        ProblemKind::Conflict,
        "another's opening"
    );
    assert_eq!(
        kind_of(house.visit(&other, redeem(1, auth(1), 2)).await),
        ProblemKind::LimitReached
    );
    assert_eq!(
        kind_of(house.visit(&someone, redeem(2, auth(2), 3)).await),
        ProblemKind::Conflict,
        "a key is drawn for one link"
    );
}

/// Nobody takes over the id of another's link, also not by sealing at the same moment.
#[tokio::test]
async fn a_link_id_belongs_to_whoever_sealed_it_first() {
    let house = house().await;
    let first = sent_with(&house, ID, &[(1, 1)], false).await;
    let by = &house.clinic.admin;
    let payload = vec![7; 16_432];
    let asked = |id: TransferId, links: &[(u8, u32)]| {
        let command = house.clinic.seal_command(id, &[leaf(&payload)], 16_432, 7);
        let command = house.clinic.with_links(command, links, true);
        let options = serde_json::to_vec(&command.options).unwrap();
        Ask {
            path: format!("/v1/transfers/{id}/seal"),
            ..seal(&command, &payload, &options)
        }
    };
    let [second, third, fourth] = [21, 22, 23].map(|n| TransferId::from_bytes([n; 16]));
    assert_eq!(
        house.refusal(by, asked(second, &[(2, 1), (1, 5)])).await,
        ProblemKind::Conflict
    );
    let again = serde_json::to_vec(&first.options).unwrap();
    assert_eq!(
        house.ask(by, seal(&first, &payload, &again)).await.0,
        StatusCode::OK,
        "the same seal again"
    );
    let at_once = tokio::join!(
        house.ask(by, asked(third, &[(3, 1)])),
        house.ask(by, asked(fourth, &[(3, 1)]))
    );
    let sealed = [at_once.0.0, at_once.1.0];
    assert!(sealed.contains(&StatusCode::OK), "{sealed:?}");
    let owner = house.ledger.link(&link(3)).await.unwrap().unwrap();
    let positions = house.ledger.sent(&by.label, None, 10).await.unwrap();
    let first = positions
        .iter()
        .rev()
        .find(|(_, t)| t.links.contains_key(&link(3)))
        .unwrap();
    assert_eq!(owner, first.1.id, "whoever was sealed first");
}

#[tokio::test]
async fn a_visitors_receipt_is_countersigned_and_the_sender_sees_it() {
    let house = house().await;
    let command = sent_with(&house, ID, &[(1, 1)], false).await;
    let someone = visitor(1);
    let receipt = |by: &SigningKey| {
        let mut shadow = house.clinic.clone();
        let inline_root = Some(Hash::from_bytes(leaf(&[7; 16_432])));
        let command = SealCommand {
            inline_root,
            ..command.clone()
        };
        shadow.seal(&command, 0).unwrap();
        let receipt = shadow.visitors_receipt(ID, by, 0).to_string();
        let body = json!({ "opening": format!("{:032x}", 1), "receipt": receipt });
        post(of("/receipts"), body.to_string())
    };
    assert_eq!(
        kind_of(house.visit(&someone, receipt(&someone)).await),
        ProblemKind::Unauthenticated,
        "nothing was opened yet"
    );
    house.visit(&someone, redeem(1, auth(1), 1)).await;
    assert_eq!(
        kind_of(house.visit(&someone, receipt(&visitor(2))).await),
        ProblemKind::ReceiptRefused,
        "another's"
    );
    let first = house.visit(&someone, receipt(&someone)).await;
    assert_eq!(first.0, StatusCode::OK, "{first:?}");
    let taken: ReceiptResponse = serde_json::from_slice(&first.1).unwrap();
    assert!(taken.receipt.contains("assurance link") && taken.receipt.contains("/receipts "));
    assert_eq!(house.visit(&someone, receipt(&someone)).await, first, "the same again");
    assert_eq!(
        kind_of(house.visit(&someone, get(of("/payload"))).await),
        ProblemKind::NotFound,
        "the opening has ended"
    );
    let (_, body) = house.ask(&house.clinic.admin, get(of(""))).await;
    let summary: TransferSummary = serde_json::from_slice(&body).unwrap();
    assert_eq!(summary.state, TransferState::Used, "it was the last opening");
    assert_eq!(summary.links[0].receipt.as_ref(), Some(&taken.receipt));
    let leaves = house.leaves().await;
    let verified = leaves
        .iter()
        .find(|leaf| leaf.event == EventType::TransferVerified)
        .unwrap();
    assert_eq!(verified.actor.id, link(1).to_string());
    assert_eq!(verified.actor.dk, Some(someone.public()));
}

/// N99.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn n99_of_a_hundred_who_redeem_at_once_exactly_one_wins() {
    let house = Arc::new(house().await);
    sent_with(&house, ID, &[(1, 1)], false).await;
    let tasks = (0..100_u8).map(|n| {
        let house = Arc::clone(&house);
        tokio::spawn(async move { house.visit(&visitor(n), redeem(1, auth(1), u128::from(n))).await })
    });
    let answers = futures_util::future::join_all(tasks).await;
    let answers: Vec<_> = answers.into_iter().map(Result::unwrap).collect();
    let (won, lost): (Vec<_>, Vec<_>) = answers.into_iter().partition(|(status, _)| status.is_success());
    assert_eq!((won.len(), lost.len()), (1, 99));
    for answer in lost {
        assert_eq!(kind_of(answer), ProblemKind::LimitReached);
    }
    let leaves = house.leaves().await;
    let ok = |leaf: &&Leaf| leaf.event == EventType::LinkRedeemed && leaf.outcome == LeafOutcome::Ok;
    assert_eq!(leaves.iter().filter(ok).count(), 1);
}

/// N100.
#[tokio::test]
async fn n100_looking_at_a_link_changes_nothing() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 1)], false).await;
    let before = house.records().await;
    let id = link_id(1);
    let mut page = None;
    let pages = [
        "/l".to_owned(),
        format!("/l/{id}"),
        format!("/l%23{id}"),
        format!("/l/{}", link_id(9)),
    ];
    for path in &pages {
        for agent in ["Mozilla/5.0", "SafeLinks", "curl/8", ""] {
            let request = Request::get(path)
                .header("user-agent", agent)
                .body(Body::empty())
                .unwrap();
            let response = house.router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let headers = response.headers().clone();
            assert_eq!(headers["referrer-policy"], "no-referrer");
            assert_eq!(headers["cache-control"], "no-store");
            assert!(
                headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .starts_with("default-src 'none'; style-src 'sha256-")
            );
            let text = response.into_body().collect().await.unwrap().to_bytes();
            assert!(!String::from_utf8_lossy(&text).contains("<script"));
            let same = page.get_or_insert_with(|| (headers.clone(), text.clone()));
            assert_eq!(*same, (headers, text), "{path} for {agent}");
        }
    }
    let routes = [
        "/v1/links/lookup",
        "/v1/links/redeem",
        &format!("/v1/links/{}", link(1)),
    ]
    .map(str::to_owned);
    for path in pages.iter().chain(&routes) {
        for method in ["HEAD", "OPTIONS", "GET", "TRACE"] {
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let status = house.router.clone().oneshot(request).await.unwrap().status();
            let is_page = pages.contains(path) && matches!(method, "GET" | "HEAD");
            let expected = if is_page {
                StatusCode::OK
            } else {
                StatusCode::METHOD_NOT_ALLOWED
            };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    for n in [1, 9] {
        assert_eq!(house.visit(&visitor(1), lookup(n)).await.0, StatusCode::OK);
    }
    assert_eq!(house.records().await, before);
    assert_eq!(house.visit(&visitor(1), redeem(1, auth(1), 1)).await.0, StatusCode::OK);
}

/// N101.
#[tokio::test]
async fn n101_ten_wrong_tries_lock_until_the_sender_unlocks() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 1)], false).await;
    let someone = visitor(1);
    for n in 0..10 {
        let kind = kind_of(house.visit(&someone, redeem(1, [0; 32], 1)).await);
        assert_eq!(kind, ProblemKind::LinkRefused, "{n}");
        house.clock.pass(30 << 5);
    }
    for proof in [[0; 32], auth(1)] {
        let kind = kind_of(house.visit(&someone, redeem(1, proof, 1)).await);
        assert_eq!(kind, ProblemKind::LinkLocked, "the eleventh, right or wrong");
    }
    let path = format!("/v1/links/{}", link(1));
    let patch = |locked: bool| Ask {
        method: "PATCH",
        ..post(&path, json!({ "locked": locked }).to_string())
    };
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    assert_eq!(house.refusal(provider, patch(false)).await, ProblemKind::NotFound);
    assert_eq!(house.refusal(admin, patch(true)).await, ProblemKind::BadRequest);
    for _ in 0..2 {
        let (status, body) = house.ask(admin, patch(false)).await;
        let answer: StateResponse = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, answer.state), (StatusCode::OK, TransferState::Available));
    }
    assert_eq!(house.visit(&someone, redeem(1, auth(1), 1)).await.0, StatusCode::OK);
}

/// N102: over a whole sequence of tries a link that does not exist answers as one that does.
#[tokio::test]
async fn n102_a_link_that_does_not_exist_looks_as_one_that_does() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 3)], false).await;
    let someone = visitor(1);
    let parameters = |body: &Bytes| serde_json::from_slice::<LinkLookupResponse>(body).unwrap();
    let (known, unknown) = (
        house.visit(&someone, lookup(1)).await,
        house.visit(&someone, lookup(9)).await,
    );
    let (real, made_up) = (parameters(&known.1), parameters(&unknown.1));
    assert_eq!((known.0, known.1.len()), (unknown.0, unknown.1.len()));
    assert_eq!(
        (real.m_kib, real.t, real.salt.0.len()),
        (made_up.m_kib, made_up.t, made_up.salt.0.len())
    );
    assert_eq!(real.salt.0, vec![1; 16]);
    assert_eq!(
        house.visit(&visitor(2), lookup(9)).await.1,
        unknown.1,
        "the same each time, for everybody"
    );
    assert_ne!(parameters(&house.visit(&someone, lookup(8)).await.1).salt, made_up.salt);

    for step in 0..40_u64 {
        let mut answers = Vec::new();
        for n in [1, 9] {
            let request = house.signed(&someone, &redeem(n, [0; 32], 1));
            let response = house.router.clone().oneshot(request).await.unwrap();
            let (head, body) = response.into_parts();
            answers.push((head.status, head.headers, body.collect().await.unwrap().to_bytes()));
        }
        assert_eq!(answers[0], answers[1], "step {step}");
        house
            .clock
            .pass([0, 1, 29, 60, 600][usize::try_from(step % 5).unwrap()]);
    }
    let locked = kind_of(house.visit(&someone, redeem(9, [0; 32], 1)).await);
    assert_eq!(locked, ProblemKind::LinkLocked);
}

#[tokio::test]
async fn who_must_wait_is_told_how_long() {
    let house = house().await;
    let someone = visitor(1);
    for _ in 0..5 {
        house.visit(&someone, redeem(9, [0; 32], 1)).await;
    }
    house.clock.pass(10);
    let request = house.signed(&someone, &redeem(9, [0; 32], 1));
    let response = house.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "20");
}

/// The answer to `ask` leaves so long after it came, by tokio's clock. The clock moves in steps while nothing is waited for but
/// time: what the ledger has to write is written by then.
async fn answered_after(house: &Arc<House>, ask: Ask) -> Duration {
    let begun = tokio::time::Instant::now();
    let answer = tokio::spawn({
        let house = Arc::clone(house);
        async move { house.visit(&visitor(1), ask).await }
    });
    loop {
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        let barrier = transact(house.ledger.as_ref(), Vec::new(), |_, _| ((), Effects::none()));
        barrier.await.unwrap();
        for _ in 0..64 {
            tokio::task::yield_now().await;
        }
        if answer.is_finished() {
            return begun.elapsed();
        }
        tokio::time::advance(Duration::from_millis(10)).await;
    }
}

/// N102, the time.
#[tokio::test(start_paused = true)]
async fn n102_refusals_take_the_same_time_whatever_was_written() {
    // While this waits the paused clock does not run on by itself.
    let (end, ended) = std::sync::mpsc::channel::<()>();
    let still = tokio::task::spawn_blocking(move || ended.recv());
    let house = Arc::new(house().await);
    sent_with(&house, ID, &[(1, 3)], false).await;
    let floor = Duration::from_millis(300);
    for n in [1, 9] {
        assert_eq!(answered_after(&house, lookup(n)).await, floor);
        for try_number in 0..7 {
            let after = answered_after(&house, redeem(n, [0; 32], 1)).await;
            assert_eq!(after, floor, "link {n}, try {try_number}");
        }
    }
    drop(end);
    assert!(still.await.unwrap().is_err());
}

#[tokio::test]
async fn burning_the_only_way_ends_the_transfer_and_destroys_the_share() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 3), (2, 3)], false).await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let burn = |n| Ask {
        method: "DELETE",
        ..get(format!("/v1/links/{}", link(n)))
    };
    let state = |(status, body): (StatusCode, Bytes)| {
        assert_eq!(status, StatusCode::OK);
        serde_json::from_slice::<StateResponse>(&body).unwrap().state
    };
    let theirs = house.refusal(provider, burn(1)).await;
    assert_eq!(
        (theirs, house.refusal(provider, burn(9)).await),
        (ProblemKind::NotFound, ProblemKind::NotFound)
    );
    assert_eq!(house.visit(&visitor(1), redeem(1, auth(1), 1)).await.0, StatusCode::OK);
    for _ in 0..2 {
        assert_eq!(state(house.ask(admin, burn(1)).await), TransferState::Available);
    }
    assert_eq!(
        kind_of(house.visit(&visitor(1), redeem(1, auth(1), 1)).await),
        ProblemKind::Revoked,
        "not even its opening again"
    );
    assert_eq!(house.shares.list().await.unwrap().len(), 1, "the other link is left");
    for _ in 0..2 {
        assert_eq!(state(house.ask(admin, burn(2)).await), TransferState::Revoked);
    }
    assert!(house.shares.list().await.unwrap().is_empty());
    assert_eq!(
        kind_of(house.visit(&visitor(2), redeem(2, auth(2), 2)).await),
        ProblemKind::Revoked
    );
}

/// Whether there is such a link shows neither when the ledger cannot write nor after that, and what counts for nothing is written
/// down once an hour.
#[tokio::test]
async fn tries_are_recorded_alike_whether_or_not_there_is_such_a_link() {
    let house = house().await;
    sent_with(&house, ID, &[(1, 3)], false).await;
    let someone = visitor(1);
    let before = house.leaves().await.len();
    house.diary.fail(true);
    for n in [1, 9] {
        for _ in 0..11 {
            let kind = kind_of(house.visit(&someone, redeem(n, [0; 32], 1)).await);
            assert_eq!(kind, ProblemKind::AuditUnavailable, "link {n}");
        }
    }
    house.diary.fail(false);
    assert_eq!(house.leaves().await.len(), before);
    for n in [1, 9] {
        let written = || async {
            let leaves = house.leaves().await;
            let own = leaves.iter().filter(|leaf| {
                let is_failed = leaf.event == EventType::LinkFailed && leaf.actor.dk == Some(someone.public());
                is_failed && leaf.object.id == link(n).to_string()
            });
            own.count()
        };
        for _ in 0..5 {
            let kind = kind_of(house.visit(&someone, redeem(n, [0; 32], 1)).await);
            assert_eq!(kind, ProblemKind::LinkRefused, "link {n}");
        }
        assert_eq!(written().await, 5, "link {n}");
        for _ in 0..20 {
            let kind = kind_of(house.visit(&someone, redeem(n, [0; 32], 1)).await);
            assert_eq!(kind, ProblemKind::LinkDelayed, "link {n}");
        }
        assert_eq!(written().await, 6, "link {n}");
    }
}
