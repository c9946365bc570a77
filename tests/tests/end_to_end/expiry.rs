//! Expired means expired: after the gateway's clock has passed the time, nothing on its disk opens the transfer.

use std::fs;

use sealpost_tests::search::Needles;

use crate::support::in_process::InProcess;
use crate::support::inside::{DAY_KEY, WRAPPED_SHARE, rows_and_keys};
use crate::support::{DESK, PROVIDER, ask, delivery, found, names_in, receive, run, send, text};

/// Exit code of docs/cli.md.
const OVER: i32 = 7;
const HOUR: u64 = 3600;

#[test]
fn what_has_expired_opens_no_more_and_its_share_is_gone() {
    let folder = tempfile::tempdir().expect("a folder");
    let gateway = InProcess::start(folder.path(), 0, 0);
    let port = gateway.port;
    let organisation = found(&folder.path().join("data/setup-string"), folder.path());
    let provider = organisation.member("provider", PROVIDER).expect("a member");
    let desk = organisation.admin.clone();
    let file = folder.path().join("letter.txt");
    fs::write(&file, b"open me in time").expect("a file");

    let kept = send(&desk, PROVIDER, &[&file], &["--expires", "100d"]);
    let before = rows_and_keys(folder.path());
    let lost = send(&desk, PROVIDER, &[&file], &["--expires", "12h"]);
    let mut secrets = Needles::default();
    let written: Vec<_> = rows_and_keys(folder.path())
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
    gateway.stop();
    let folders = [folder.path().join("data"), folder.path().join("data-ring")];
    let found_before = secrets.search(&[&folders[0], &folders[1]]).expect("a search").findings;
    for (what, _) in &written {
        assert!(
            found_before.iter().any(|finding| finding.what == *what),
            "the search does not find {what}"
        );
    }

    // A start beyond the end of its last day: what is due is destroyed before anybody is served.
    InProcess::start(folder.path(), port, 40 * HOUR).stop();
    let report = secrets.search(&[&folders[0], &folders[1]]).expect("a search");
    assert_eq!(
        report.findings,
        vec![],
        "the wrapped share or its day's key is still there"
    );

    // With the clock put right again it stays closed: what was destroyed does not come back.
    let gateway = InProcess::start(folder.path(), port, 0);
    let target = folder.path().join("target");
    fs::create_dir_all(&target).expect("a folder");
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
    gateway.stop();
}
