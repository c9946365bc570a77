//! Idempotency keys over the routes (security.md 7.3): N93, requests in flight, and that a repetition gives the same answer.

use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::Base64;
use serde_json::json;

use super::*;

fn announce(id: &str, key: u128) -> Ask {
    Ask {
        key: Some(key),
        ..post("/v1/transfers", format!("{{\"transfer\":\"{id}\",\"bytes\":16432}}"))
    }
}

fn keyed(key: u128, ask: Ask) -> Ask {
    Ask { key: Some(key), ..ask }
}

#[tokio::test]
async fn n93_a_key_belongs_to_one_request_of_one_device() {
    let house = house().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    assert_eq!(house.ask(admin, announce(&one, 7)).await.0, StatusCode::CREATED);
    assert_eq!(
        house.refusal(admin, announce(&two, 7)).await,
        ProblemKind::IdempotencyMismatch
    );
    let elsewhere = keyed(7, post(of("/receipts"), announce(&one, 7).body));
    let kind = house.refusal(admin, elsewhere).await;
    assert_eq!(kind, ProblemKind::BadRequest, "its form is looked at first");
    assert_eq!(
        house.refusal(admin, keyed(7, opening(&house, 1))).await,
        ProblemKind::IdempotencyMismatch
    );
    assert_eq!(
        house.ask(admin, announce(&one, 7)).await.0,
        StatusCode::CREATED,
        "the same again"
    );
    assert_eq!(house.ask(admin, announce(&two, 8)).await.0, StatusCode::CREATED);
    let third = announce(&"03".repeat(16), 7);
    assert_eq!(
        house.ask(provider, third).await.0,
        StatusCode::CREATED,
        "another device's key"
    );
}

#[tokio::test]
async fn a_key_of_a_refused_request_is_free() {
    let house = house().await;
    let admin = &house.clinic.admin;
    let (one, two) = ("01".repeat(16), "02".repeat(16));
    let too_long = format!("{{\"transfer\":\"{one}\",\"bytes\":{}}}", 200 << 20);
    let refused = keyed(7, post("/v1/transfers", too_long));
    assert_eq!(house.refusal(admin, refused).await, ProblemKind::TooLarge);
    assert_eq!(house.ask(admin, announce(&two, 7)).await.0, StatusCode::CREATED);
}

#[tokio::test]
async fn the_same_request_in_flight_is_not_worked_on_twice() {
    let house = house().await;
    let admin = &house.clinic.admin;
    let ask = announce(&"01".repeat(16), 7);
    let (sender, body) = tokio::sync::mpsc::channel::<Result<Bytes, std::convert::Infallible>>(1);
    let slow = house.signed(&admin.device, &ask);
    let body = futures_util::stream::unfold(body, |mut body| async { Some((body.recv().await?, body)) });
    let slow = house.send(slow.map(|_| Body::from_stream(body)));
    let meanwhile = async {
        let kind = house.refusal(admin, ask.clone()).await;
        sender.send(Ok(ask.body.clone().into())).await.unwrap();
        drop(sender);
        kind
    };
    let ((status, _), kind) = tokio::join!(slow, meanwhile);
    assert_eq!((status, kind), (StatusCode::CREATED, ProblemKind::InFlight));
    assert_eq!(
        house.ask(admin, ask).await.0,
        StatusCode::CREATED,
        "and then it is free"
    );
}

/// A receipt for the provider's opening number 1 of the transfer that was sealed so.
fn receipt(house: &House, command: &SealCommand, root: [u8; 32]) -> Ask {
    let mut shadow = house.clinic.clone();
    let command = SealCommand {
        inline_root: Some(Hash::from_bytes(root)),
        ..command.clone()
    };
    shadow.seal(&command, 0).unwrap();
    let receipt = shadow.receipt(ID, &house.clinic.provider, 0, None).to_string();
    let opening = "01".repeat(16);
    post(
        of("/receipts"),
        json!({ "opening": opening, "receipt": receipt }).to_string(),
    )
}

/// Every route that changes something for a member or an invitee, each asked twice under one key. Founding has its own test
/// among the rules: a repetition of it answers as the first time.
#[tokio::test]
async fn a_repetition_under_the_same_key_gives_the_same_answer() {
    let house = house().await;
    let (clinic, newcomer) = (&house.clinic, Person::new(9));
    let (admin, provider) = (&clinic.admin, &clinic.provider);
    let payload = vec![7; 16_432];
    let command = clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    let invite = json!({
        "invite": "03".repeat(16),
        "label": newcomer.label,
        "address": newcomer.address,
        "expires_at": NOW + 86_400,
        "auth_sha256": Hash::from_bytes(sha256(&[&[6; 32]])),
        "secret_box": Base64(vec![1; 100]),
    });
    let redeem = json!({
        "invite": "03".repeat(16),
        "auth": Base64(vec![6; 32]),
        "member": newcomer.member(clinic.org).to_string(),
        "device": newcomer.device(clinic.org).to_string(),
        "mac": Base64(vec![2; 32]),
    });
    let confirmed = [
        clinic.countersigned(&newcomer).to_string(),
        newcomer.device(clinic.org).to_string(),
    ];
    let steps = [
        (admin, post("/v1/invites", invite.to_string())),
        (&newcomer, post("/v1/enrol/redeem", redeem.to_string())),
        (
            admin,
            post("/v1/statements", json!({ "statements": confirmed }).to_string()),
        ),
        (admin, announce(&"0a".repeat(16), 0)),
        (admin, seal(&command, &payload, b"{\"openings\":1}")),
        (provider, opening(&house, 1)),
        (provider, receipt(&house, &command, leaf(&payload))),
    ];
    for (key, (by, ask)) in (100..).zip(steps) {
        let ask = keyed(key, ask);
        let first = house.ask(by, ask.clone()).await;
        assert!(first.0.is_success(), "{} {first:?}", ask.path);
        let again = house.ask(by, ask.clone()).await;
        assert_eq!(again, first, "{}", ask.path);
    }
}
