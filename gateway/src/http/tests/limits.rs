//! What callers cannot make the gateway hold.

use std::convert::Infallible;

use futures_util::stream;

use super::*;
use crate::store::views::Views;

#[tokio::test]
async fn bodies_of_strangers_and_openings_are_short() {
    let house = house().await;
    let stranger = Person::new(77);
    for path in ["/v1/enrol/redeem", "/v1/org"] {
        let long = post(path, vec![b' '; (32 << 10) + 1]);
        assert_eq!(house.refusal(&stranger, long).await, ProblemKind::TooLarge, "{path}");
        let short = post(path, vec![b' '; 32 << 10]);
        assert_eq!(house.refusal(&stranger, short).await, ProblemKind::BadRequest, "{path}");
    }
    house.sent().await;
    let before = house.leaves().await.len();
    let mut padded = opening(&house, 1);
    padded.body.resize(513, b' ');
    let provider = &house.clinic.provider;
    assert_eq!(house.refusal(provider, padded.clone()).await, ProblemKind::TooLarge);
    let query = Ask {
        query: "padding=1",
        ..opening(&house, 1)
    };
    assert_eq!(house.refusal(provider, query).await, ProblemKind::BadRequest);
    assert_eq!(house.leaves().await.len(), before);
    padded.body.truncate(512);
    assert_eq!(house.ask(provider, padded).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_long_body_has_a_deadline_however_steadily_it_comes() {
    let house = house().await;
    let body = vec![0; 20 << 20];
    let ask = Ask {
        media_type: "application/octet-stream",
        ..post(of("/seal"), body)
    };
    let signed = house.signed(&house.clinic.admin.device, &ask);
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let steady = stream::unfold((), |()| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Some((Ok::<_, Infallible>(vec![0_u8; 16 << 10]), ()))
    });
    let request = signed.map(|_| Body::from_stream(steady));
    assert_eq!(kind_of(house.send(request).await), ProblemKind::Timeout);
    assert!(begun.elapsed() <= Duration::from_secs(121));
}

#[tokio::test]
async fn a_sender_whose_seal_is_from_another_time_is_told_the_time() {
    let house = house().await;
    let payload = vec![7; 16_432];
    let mut command = house.clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    let mut body = command.envelope.seal.body;
    body.sealed_at += 601;
    command.envelope.seal = body.sign(&house.clinic.admin.device);
    let (_, answer) = house.ask(&house.clinic.admin, seal(&command, &payload, b"")).await;
    let problem: Problem = serde_json::from_slice(&answer).unwrap();
    assert_eq!(
        (problem.kind(), problem.time),
        (Some(ProblemKind::ClockSkew), Some(NOW))
    );
}

#[tokio::test]
async fn a_person_who_asks_too_often_is_told_when_to_ask_again() {
    let bounds = Bounds {
        account_rate: Rate::per_second(1, 3),
        ..Bounds::default()
    };
    let house = house_of(|blobs| blobs, bounds).await;
    house.sent().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    assert_eq!(house.ask(provider, opening(&house, 1)).await.0, StatusCode::OK);
    for _ in 0..50 {
        assert_eq!(house.ask(provider, get(of("/payload"))).await.0, StatusCode::OK, "bulk");
    }
    assert_eq!(house.ask(provider, get("/v1/inbox")).await.0, StatusCode::OK);
    assert_eq!(house.ask(provider, get("/v1/inbox")).await.0, StatusCode::OK);
    let signed = house.signed(&provider.device, &get("/v1/audit/leaves"));
    let before = house.leaves().await.len();
    let refused = house.router.clone().oneshot(signed).await.unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.headers()["retry-after"], "1");
    assert_eq!(
        house.leaves().await.len(),
        before,
        "what is refused so is not written down"
    );
    assert_eq!(
        house.ask(admin, get("/v1/inbox")).await.0,
        StatusCode::OK,
        "another person"
    );
}

#[tokio::test]
async fn an_address_that_asks_too_often_is_refused_before_its_signature_is_looked_at() {
    let bounds = Bounds {
        addresses: AddressRates {
            all: Rate::per_second(1, 40),
            newcomers: Rate::per_hour(2),
            ..AddressRates::default()
        },
        ..Bounds::default()
    };
    let house = house_of(|blobs| blobs, bounds).await;
    let from = |address: &str, path: &str| {
        let mut request = Request::post(path).body(Body::empty()).unwrap();
        let peer = middleware::Peer(address.parse().unwrap());
        request.extensions_mut().insert(peer);
        request
    };
    for _ in 0..2 {
        let (status, _) = house.send(from("192.0.2.1", "/v1/enrol/redeem")).await;
        assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    let answer = house
        .router
        .clone()
        .oneshot(from("192.0.2.1", "/v1/enrol/redeem"))
        .await
        .unwrap();
    assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(answer.headers()["retry-after"], "1800");
    let elsewhere = house.send(from("192.0.2.2", "/v1/enrol/redeem")).await;
    assert_eq!(kind_of(elsewhere), ProblemKind::UnsupportedMediaType);
    let other = house.send(from("192.0.2.1", "/v1/transfers")).await;
    assert_eq!(kind_of(other), ProblemKind::UnsupportedMediaType);
}

/// What the defaults let through at once, on the smallest machine: the pull of a night.
#[tokio::test]
async fn a_nightly_pull_of_two_thousand_files_meets_no_limit() {
    let defaults = crate::config::Limits::default();
    let rate = Rate::per_second(
        defaults.requests_per_second_per_account,
        defaults.request_burst_per_account,
    );
    let buckets = crate::access::rates::Buckets::new(rate.unwrap());
    let now = Duration::from_secs(1);
    // A look at the inbox, opening, metadata and receipt; stored bytes are not counted.
    for _ in 0..2_000 * 4 {
        assert_eq!(buckets.take(1, crate::access::rates::Cost::Whole, now), Ok(()));
    }
}

/// A transfer of one part, by this id, and its part.
fn one_part(id: &str) -> (Ask, Ask) {
    let payload = vec![7; 16_432];
    let root = Hash::from_bytes(leaf(&payload));
    let announced = post("/v1/transfers", format!("{{\"transfer\":\"{id}\",\"bytes\":16432}}"));
    let part = Ask {
        method: "PUT",
        media_type: "application/octet-stream",
        body: payload,
        part_root: Some(root),
        ..get(format!("/v1/transfers/{id}/parts/0"))
    };
    (announced, part)
}

#[tokio::test]
async fn a_disk_that_fills_refuses_transfers_then_parts_and_never_what_is_stored() {
    let disk = Arc::new(Disk(AtomicU64::new(84)));
    let bounds = Bounds {
        disk: disk.clone(),
        ..Bounds::default()
    };
    let house = house_of(|blobs| blobs, bounds).await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    house.sent().await;
    let (first, first_part) = one_part(&"0a".repeat(16));
    let (second, _) = one_part(&"0b".repeat(16));
    assert_eq!(house.ask(admin, first.clone()).await.0, StatusCode::CREATED);

    disk.0.store(85, Ordering::SeqCst);
    let before = house.leaves().await.len();
    assert_eq!(house.refusal(admin, second.clone()).await, ProblemKind::StorageFull);
    assert_eq!(house.leaves().await.len(), before, "nobody's doing");
    let whole = vec![9; 16_432];
    let other = TransferId::from_bytes([0x0c; 16]);
    let command = house.clinic.seal_command(other, &[leaf(&whole)], 16_432, 7);
    let mut unannounced = seal(&command, &whole, b"");
    unannounced.path = format!("/v1/transfers/{other}/seal");
    assert_eq!(
        house.refusal(admin, unannounced.clone()).await,
        ProblemKind::StorageFull
    );
    assert_eq!(house.ask(admin, first).await.0, StatusCode::CREATED, "announced before");
    assert_eq!(house.ask(admin, first_part.clone()).await.0, StatusCode::CREATED);

    disk.0.store(92, Ordering::SeqCst);
    assert_eq!(house.refusal(admin, first_part).await, ProblemKind::StorageFull);
    assert_eq!(house.ask(provider, opening(&house, 1)).await.0, StatusCode::OK);
    assert_eq!(house.ask(provider, get(of("/payload"))).await.0, StatusCode::OK);

    disk.0.store(10, Ordering::SeqCst);
    assert_eq!(house.ask(admin, second).await.0, StatusCode::CREATED);
    assert_eq!(house.ask(admin, unannounced).await.0, StatusCode::OK);
}

#[tokio::test]
async fn quotas_count_what_is_announced_and_what_comes_at_once() {
    let bounds = Bounds {
        stored_bytes: 4 * 16_432,
        stored_bytes_per_member: 3 * 16_432,
        ..Bounds::default()
    };
    let house = house_of(|blobs| blobs, bounds).await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let announced = |n: u8| one_part(&format!("{n:02x}").repeat(16)).0;
    let all = (10..20).map(|n| house.ask(admin, announced(n)));
    let answers = futures_util::future::join_all(all).await;
    let taken = answers
        .iter()
        .filter(|(status, _)| *status == StatusCode::CREATED)
        .count();
    assert!(taken <= 3, "{taken} of three were taken");
    for n in 20..24 {
        house.ask(admin, announced(n)).await;
    }
    assert_eq!(house.ledger.stored_bytes(None).await.unwrap(), 3 * 16_432);
    assert_eq!(house.refusal(admin, announced(30)).await, ProblemKind::StorageFull);
    let denied = LeafOutcome::Denied("storage_full".to_owned());
    assert_eq!(house.leaves().await.last().unwrap().outcome, denied);
    assert_eq!(house.ask(provider, announced(31)).await.0, StatusCode::CREATED);
    assert_eq!(
        house.refusal(provider, announced(32)).await,
        ProblemKind::StorageFull,
        "all together"
    );
    assert_eq!(
        house.ask(provider, announced(31)).await.0,
        StatusCode::CREATED,
        "the same again"
    );
}

/// Another part 0 of the transfer with this id.
fn another_part(id: &str, n: u8) -> Ask {
    let payload = vec![n; 16_432];
    Ask {
        part_root: Some(Hash::from_bytes(leaf(&payload))),
        body: payload,
        ..one_part(id).1
    }
}

#[tokio::test]
async fn parts_that_were_replaced_count_against_the_quota_and_have_an_end() {
    let id = "0a".repeat(16);
    for (quota, taken, refusal) in [
        (3 * 16_432, 3, ProblemKind::StorageFull),
        (0, 17, ProblemKind::Conflict),
    ] {
        let bounds = Bounds {
            stored_bytes_per_member: quota,
            ..Bounds::default()
        };
        let house = house_of(|blobs| blobs, bounds).await;
        let admin = &house.clinic.admin;
        assert_eq!(house.ask(admin, one_part(&id).0).await.0, StatusCode::CREATED);
        for n in 0..taken {
            assert_eq!(
                house.ask(admin, another_part(&id, n)).await.0,
                StatusCode::CREATED,
                "{n}"
            );
        }
        for n in 100..150 {
            assert_eq!(house.refusal(admin, another_part(&id, n)).await, refusal, "{n}");
        }
        let used = house.ledger.stored_bytes(None).await.unwrap();
        assert_eq!(used, u64::from(taken) * 16_432);
    }
}

#[tokio::test]
async fn an_envelope_needs_room_as_well() {
    let disk = Arc::new(Disk(AtomicU64::new(10)));
    let bounds = Bounds {
        disk: disk.clone(),
        stored_bytes: 2 * 16_432 + 8_000,
        ..Bounds::default()
    };
    let house = house_of(|blobs| blobs, bounds).await;
    let admin = &house.clinic.admin;
    let payload = vec![7; 16_432];
    let announced = |id: TransferId| {
        let (announced, part) = one_part(&id.to_string());
        let command = house.clinic.seal_command(id, &[leaf(&payload)], 16_432, 7);
        let path = format!("/v1/transfers/{id}/seal");
        (
            announced,
            part,
            Ask {
                path,
                ..seal(&command, b"", b"")
            },
        )
    };
    let (first, second) = (announced(ID), announced(TransferId::from_bytes([2; 16])));
    for ask in [first.0, first.1, second.0, second.1] {
        assert_eq!(house.ask(admin, ask).await.0, StatusCode::CREATED);
    }
    disk.0.store(92, Ordering::SeqCst);
    assert_eq!(
        house.refusal(admin, first.2.clone()).await,
        ProblemKind::StorageFull,
        "disk"
    );
    disk.0.store(91, Ordering::SeqCst);
    assert_eq!(house.ask(admin, first.2.clone()).await.0, StatusCode::OK);
    let transfer = house.ledger.transfer(&ID).await.unwrap().unwrap();
    let envelope = transfer.sealed.as_ref().unwrap().envelope_len();
    assert!(envelope > 4_096 + 48, "the manifest box is in it");
    assert_eq!(house.ledger.stored_bytes(None).await.unwrap(), 2 * 16_432 + envelope);
    assert_eq!(house.refusal(admin, second.2).await, ProblemKind::StorageFull, "quota");
    disk.0.store(92, Ordering::SeqCst);
    assert_eq!(house.ask(admin, first.2).await.0, StatusCode::OK, "the same again");
}

/// Parts that are on their way count before they are there.
#[tokio::test]
async fn parts_that_come_at_once_do_not_pass_the_watermark_together() {
    let disk = Arc::new(Disk(AtomicU64::new(10)));
    let bounds = Bounds {
        disk: disk.clone(),
        ..Bounds::default()
    };
    let house = Arc::new(house_of(|blobs| blobs, bounds).await);
    let admin = house.clinic.admin.clone();
    let (announced, part) = one_part(&ID.to_string());
    assert_eq!(house.ask(&admin, announced).await.0, StatusCode::CREATED);
    disk.0.store(91, Ordering::SeqCst);
    let begun = Arc::new(Notify::new());
    let slow = house.signed(&admin.device, &part).map(|_| {
        let begun = Arc::clone(&begun);
        Body::from_stream(stream::poll_fn(move |_| {
            begun.notify_one();
            std::task::Poll::<Option<Result<Vec<u8>, Infallible>>>::Pending
        }))
    });
    let first = tokio::spawn({
        let house = Arc::clone(&house);
        async move { house.send(slow).await }
    });
    begun.notified().await;
    assert_eq!(house.refusal(&admin, part.clone()).await, ProblemKind::StorageFull);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    assert_eq!(house.ask(&admin, part).await.0, StatusCode::CREATED, "it was given up");
}
