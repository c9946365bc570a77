//! Expired means expired: after the gateway's clock has passed the time, nothing on its disk opens the transfer.

use std::fs;

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
    let places = [folder.path().join("data/shares"), folder.path().join("data-ring")];
    let before: Vec<_> = places.iter().flat_map(|place| files_below(place)).collect();
    let lost = send(&desk, PROVIDER, &[&file], &["--expires", "12h"]);
    let secrets = written_since(&before, &places);
    assert!(secrets.windows() > 32, "a row and a day's key were written");
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
    assert_eq!(delivery(&desk, &kept), "verified", "the other one is as it was");

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

/// Needles for the stretches that differ between then and now, file by file.
fn written_since(before: &[(std::path::PathBuf, Vec<u8>)], places: &[std::path::PathBuf]) -> Needles {
    let mut needles = Needles::default();
    for (path, now) in places.iter().flat_map(|place| files_below(place)) {
        let then = before
            .iter()
            .find(|(known, _)| *known == path)
            .map(|(_, bytes)| bytes.as_slice())
            .unwrap_or_default();
        let differs = |at: &usize| now.get(*at) != then.get(*at);
        let places: Vec<usize> = (0..now.len()).filter(differs).collect();
        for stretch in places.chunk_by(|a, b| b - a < 4) {
            let bytes = &now[stretch[0]..=stretch[stretch.len() - 1]];
            if bytes.len() >= 32 {
                needles = needles.contents(&format!("{} at {}", path.display(), stretch[0]), bytes);
            }
        }
    }
    needles
}
