//! What callers cannot make the gateway hold.

use std::convert::Infallible;

use futures_util::stream;

use super::*;

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
