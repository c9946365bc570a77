//! Expired means expired: after the gateway's clock has passed the time, nothing on its disk opens the transfer.

use sealpost_tests::search::Needles;

use crate::support::in_process::Clocked;
use crate::support::inside::{DAY_KEY, WRAPPED_SHARE, rows_and_keys};
use crate::support::{DESK, PROVIDER, ask, delivery, names_in, receive, run, send, text};

/// Exit code of docs/cli.md.
const OVER: i32 = 7;
const HOUR: u64 = 3600;

#[test]
fn what_has_expired_opens_no_more_and_its_share_is_gone() {
    let mut world = Clocked::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"open me in time");

    let kept = send(&desk, PROVIDER, &[&file], &["--expires", "100d"]);
    let before = rows_and_keys(world.folder.path());
    let lost = send(&desk, PROVIDER, &[&file], &["--expires", "12h"]);
    let mut secrets = Needles::default();
    let written: Vec<_> = rows_and_keys(world.folder.path())
        .into_iter()
        .filter(|known| !before.contains(known))
        .collect();
    assert_eq!(
        written.iter().map(|(what, _)| *what).collect::<Vec<_>>(),
        [WRAPPED_SHARE, DAY_KEY]
    );
    for (what, bytes) in &written {
        secrets = secrets.contents(what, bytes);
    }
    world.stop();
    let folders = ["data", "data-ring"].map(|name| world.folder.path().join(name));
    let found_before = secrets.search(&[&folders[0], &folders[1]]).expect("a search").findings;
    for (what, _) in &written {
        assert!(
            found_before.iter().any(|finding| finding.what == *what),
            "the search does not find {what}"
        );
    }

    // A start beyond the end of its last day: what is due is destroyed before anybody is served.
    world.restart_ahead(40 * HOUR);
    world.stop();
    let report = secrets.search(&[&folders[0], &folders[1]]).expect("a search");
    assert_eq!(
        report.findings,
        vec![],
        "the wrapped share or its day's key is still there"
    );

    // With the clock put right again it stays closed: what was destroyed does not come back.
    world.restart_ahead(0);
    let target = world.empty("target");
    let outcome = run(&provider, &[&"receive", &lost, &"--into", &target]);
    assert_eq!(outcome.code, OVER, "{}", outcome.stderr);
    assert_eq!(names_in(&target), Vec::<String>::new());
    assert_eq!(delivery(&desk, &lost), "expired");
    receive(&provider, &kept, &target);
    assert_eq!(names_in(&target), ["letter.txt"], "the other one is as it was");

    let audit = ask(&desk, &[&"audit", &"list"]);
    let events = audit
        .pointer("/events")
        .and_then(|events| events.as_array())
        .expect("events");
    let shredded = events
        .iter()
        .find(|event| text(event, "/event/type") == "transfer.shredded");
    assert_eq!(text(shredded.expect("a leaf"), "/event/data/cause"), "expired");
    assert_eq!(text(shredded.expect("a leaf"), "/event/object/id"), lost);
    assert_eq!(text(&ask(&desk, &[&"whoami"]), "/address"), DESK);
    world.stop();
}
