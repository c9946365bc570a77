//! Expired means expired: after the gateway's clock has passed the time, nothing on its disk opens the transfer.

use std::fs;
use std::ops::Range;
use std::path::Path;

use sealpost_tests::search::Needles;

use crate::support::in_process::InProcess;
use crate::support::{DESK, PROVIDER, ask, delivery, files_below, found, names_in, receive, run, send, text};

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
        ["a wrapped share", "the key of a day"]
    );
    for (what, bytes) in &written {
        secrets = secrets.contents(what, bytes);
    }
    gateway.stop();

    // A start beyond the end of its last day: what is due is destroyed before anybody is served.
    InProcess::start(folder.path(), port, 40 * HOUR).stop();
    let folders = [folder.path().join("data"), folder.path().join("data-ring")];
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

/// Wrapped shares and keys of days, as `gateway/src/store/embedded/shares` lays them out: slots behind a header of 64 bytes.
fn rows_and_keys(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let mut found = Vec::new();
    let mut take = |what, file: &[u8], slot: usize, secret: Range<usize>| {
        let slots = file[64..]
            .chunks(slot)
            .filter(|slot| slot.iter().any(|byte| *byte != 0));
        found.extend(slots.map(|slot| (what, slot[secret.clone()].to_vec())));
    };
    for (_, file) in files_below(&folder.join("data/shares")) {
        take("a wrapped share", &file, 128, 56..116);
    }
    let ring = fs::read(folder.join("data-ring/ring")).expect("the ring");
    take("the key of a day", &ring, 64, 16..48);
    found
}
