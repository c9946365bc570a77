//! N115: a clock that is set back an hour brings nothing back to life, and shuts nobody out for an hour.

use super::*;

/// Sets the clock to so many seconds after the beginning of the tests.
fn set(house: &House, seconds: u64) {
    house.clock.set_now((NOW + seconds) * 1000);
}

fn open(command: &SealCommand, n: u8) -> Ask {
    let header = &command.envelope.header;
    let hh = Hash::from_bytes(header.hash());
    let opening = format!("{n:02x}").repeat(16);
    post(
        format!("/v1/transfers/{}/open", header.transfer_id),
        format!("{{\"hh\":\"{hh}\",\"opening\":\"{opening}\"}}"),
    )
}

#[tokio::test]
async fn n115_a_clock_that_was_an_hour_ahead_shuts_nobody_out_once_it_is_right() {
    let house = house().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let payload = house.sent().await;
    let root = leaf(&payload);
    let first = SealCommand {
        inline_root: Some(Hash::from_bytes(root)),
        ..house.clinic.seal_command(ID, &[root], payload.len() as u64, 7)
    };
    set(&house, 3_600);
    assert_eq!(house.ask(provider, opening(&house, 1)).await.0, StatusCode::OK);

    set(&house, 0);
    let mut shadow = house.clinic.clone();
    shadow.seal(&first, 0).unwrap();
    let receipt = shadow.receipt(ID, provider, 0, None).to_string();
    let opening = "01".repeat(16);
    let body = serde_json::json!({ "opening": opening, "receipt": receipt });
    let (status, answer) = house.ask(provider, post(of("/receipts"), body.to_string())).await;
    assert_eq!(status, StatusCode::OK, "{answer:?}");

    let other = TransferId::from_bytes([2; 16]);
    let second = house.clinic.seal_command(other, &[root], payload.len() as u64, 7);
    let mut ask = seal(&second, &payload, b"");
    ask.path = format!("/v1/transfers/{other}/seal");
    let (status, answer) = house.ask(admin, ask).await;
    assert_eq!(status, StatusCode::OK, "{answer:?}");
    let times: Vec<u64> = house.leaves().await.iter().map(|leaf| leaf.t).collect();
    assert!(times.len() >= 4 && times.is_sorted(), "{times:?}");
    assert!(times.last().is_some_and(|t| *t >= (NOW + 3_600) * 1000));
}

#[tokio::test]
async fn n115_what_has_expired_stays_so_when_the_clock_is_set_back() {
    let house = house().await;
    let (admin, provider) = (&house.clinic.admin, &house.clinic.provider);
    let payload = vec![7; 16_432];
    let command = house.clinic.seal_command(ID, &[leaf(&payload)], 16_432, 7);
    assert_eq!(house.ask(admin, seal(&command, &payload, b"")).await.0, StatusCode::OK);
    let week = 7 * 86_400;
    house.clock.pass(week - 10);
    assert_eq!(house.ask(provider, open(&command, 1)).await.0, StatusCode::OK);
    house.clock.pass(10);
    assert_eq!(house.refusal(provider, open(&command, 2)).await, ProblemKind::Expired);
    set(&house, week - 3_600);
    assert_eq!(
        house.refusal(provider, open(&command, 3)).await,
        ProblemKind::Expired,
        "by the stamp of the ledger"
    );
    assert_eq!(
        house.refusal(provider, open(&command, 1)).await,
        ProblemKind::Expired,
        "a live opening as well"
    );
}
