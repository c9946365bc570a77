//! The whole life of transfers, from an empty folder to *verified* and an intact audit log.

use serde_json::Value;

use crate::support::{DESK, PROVIDER, World, ask, delivery, names_in, receive, send, text};
use sealpost_tests::samples;

#[test]
fn a_transfer_lives_from_founding_to_verified() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let samples = samples::referral("Ann Example");
    let paths: Vec<_> = samples
        .iter()
        .map(|sample| world.file(&sample.name, &sample.bytes))
        .collect();
    let paths: Vec<_> = paths.iter().map(AsRef::as_ref).collect();

    let options = [
        "--note",
        "please advise",
        "--patient",
        "urn:oid:2.999|SYN-000417",
        "--expires",
        "7d",
        "--openings",
        "3",
    ];
    let transfer = send(&desk, PROVIDER, &paths, &options);
    assert_eq!(delivery(&desk, &transfer), "sealed");

    let inbox = ask(&provider, &[&"inbox"]);
    assert_eq!(text(&inbox, "/transfers/0/sender"), DESK);
    assert_eq!(text(&inbox, "/transfers/0/state"), "available");
    assert_eq!(inbox.pointer("/transfers/0/openings"), Some(&Value::from(3)));
    assert_eq!(inbox.pointer("/transfers/0/received"), Some(&Value::from(false)));

    let target = world.empty("provider");
    let received = receive(&provider, &transfer, &target);
    assert_eq!(text(&received, "/sender"), DESK);
    assert_eq!(text(&received, "/note"), "please advise");
    assert_eq!(text(&received, "/patients/0/system"), "urn:oid:2.999");
    assert_eq!(text(&received, "/patients/0/value"), "SYN-000417");
    assert_eq!(text(&received, "/purpose"), "TREAT");
    assert_eq!(received.pointer("/receipt_sent"), Some(&Value::from(true)));
    assert_eq!(names_in(&target).len(), samples.len());
    for sample in &samples {
        assert_eq!(
            std::fs::read(target.join(&sample.name)).expect("the file"),
            sample.bytes,
            "{}",
            sample.name
        );
    }

    assert_eq!(delivery(&desk, &transfer), "verified");
    assert_eq!(
        ask(&desk, &[&"audit", &"verify"]).pointer("/valid"),
        Some(&Value::from(true))
    );
    let events = events(&ask(&desk, &[&"audit", &"list"]));
    let story = [
        "org.created",
        "key.invited",
        "key.enrolled",
        "transfer.sealed",
        "transfer.opened",
        "transfer.verified",
    ];
    let mut places = story.map(|event| {
        events
            .iter()
            .position(|seen| seen == event)
            .unwrap_or_else(|| panic!("{event}: {events:?}"))
    });
    assert!(places.is_sorted(), "{events:?}");
    places.sort_unstable();
    world.gateway.stop().expect("a clean end");
}

fn events(audit: &Value) -> Vec<String> {
    let events = audit.pointer("/events").and_then(Value::as_array).expect("events");
    events.iter().map(|event| text(event, "/event/type")).collect()
}

#[test]
fn nothing_is_lost_when_the_gateway_restarts_between_all_steps() {
    let mut world = World::new();
    world.gateway.restart().expect("a restart");
    let provider = world.organisation.newcomer("provider", PROVIDER).expect("a newcomer");
    world.gateway.restart().expect("a restart");
    world.organisation.confirm(PROVIDER).expect("a confirmation");
    world.gateway.restart().expect("a restart");
    let bytes = samples::noise(300_000);
    let file = world.file("scan.dcm", &bytes);
    let transfer = send(&world.desk(), PROVIDER, &[&file], &[]);
    world.gateway.restart().expect("a restart");
    let target = world.empty("provider");
    receive(&provider, &transfer, &target);
    assert_eq!(std::fs::read(target.join("scan.dcm")).expect("the file"), bytes);
    world.gateway.restart().expect("a restart");
    assert_eq!(delivery(&world.desk(), &transfer), "verified");
    assert_eq!(
        ask(&world.desk(), &[&"audit", &"verify"]).pointer("/valid"),
        Some(&Value::from(true))
    );
}
