//! `send --wait`: until receipts are there that prove it, or it is known that none will come.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::Child;

use sealpost_tests::person::Person;
use sealpost_tests::samples;
use serde_json::{Value, json};

use super::{NOT_VALID, OVER, TIMED_OUT, end, inbox, lines, start};
use crate::support::{PROVIDER, World, ask, delivery, files_below, receive, run, text};

const OTHER: &str = "other@practice.example";

/// Starts to send and wait; returns once it waits, with the transfer's id.
fn waiting(desk: &Person, to: &[&str], options: &[&str], file: &Path) -> (Child, String) {
    let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"send", &"--wait", &"verified", &file];
    for to in to {
        words.extend([&"--to" as &dyn AsRef<std::ffi::OsStr>, to]);
    }
    words.extend(options.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
    let mut child = start(desk, &words);
    let mut line = String::new();
    let stderr = child.stderr.take().expect("its standard error");
    BufReader::new(stderr).read_line(&mut line).expect("a line");
    let id = line.strip_prefix("Sealed as ").and_then(|rest| rest.split(';').next());
    let id = id.unwrap_or_else(|| panic!("it does not wait: {line}")).to_owned();
    (child, id)
}

fn outcome(report: &Value) -> String {
    text(report, "/waited/outcome")
}

#[test]
fn returns_when_everybody_has_verified() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let other = world.member("other", OTHER);
    let file = world.file("scan.dcm", b"pixels");
    let (mut child, transfer) = waiting(&desk, &[PROVIDER, OTHER], &[], &file);
    receive(&provider, &transfer, &world.empty("provider"));
    assert_eq!(delivery(&desk, &transfer), "verified", "one of two has it");
    assert!(child.try_wait().expect("a process").is_none(), "it waits for the other");
    receive(&other, &transfer, &world.empty("other"));
    let (code, report) = end(child);
    assert_eq!((code, outcome(&report).as_str()), (0, "verified"), "{report}");
    assert_eq!(text(&report, "/transfer"), transfer);
    for recipient in report["waited"]["recipients"].as_array().expect("a list") {
        assert_eq!(recipient["state"], json!("verified"));
    }
    // Sent before and verified before: a rerun returns at once.
    let sealed = ask(&desk, &[&"send", &"--to", &PROVIDER, &"--wait", &"sealed", &file]);
    assert!(sealed.get("waited").is_none(), "{sealed}");
}

#[test]
fn the_end_of_the_time_is_not_the_end_of_the_transfer() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("scan.dcm", b"pixels");
    let words: [&dyn AsRef<std::ffi::OsStr>; 8] = [
        &"send",
        &"--to",
        &PROVIDER,
        &"--wait",
        &"verified",
        &"--timeout",
        &"1s",
        &file,
    ];
    let (code, reports) = lines(&desk, &words, b"");
    assert_eq!(
        (code, outcome(&reports[0]).as_str()),
        (TIMED_OUT, "timed_out"),
        "{reports:?}"
    );
    assert_eq!(text(&reports[0], "/waited/recipients/0/state"), "sealed");
    let transfer = text(&reports[0], "/transfer");
    assert_eq!(inbox(&provider), std::slice::from_ref(&transfer));
    receive(&provider, &transfer, &world.empty("provider"));
    assert_eq!(delivery(&desk, &transfer), "verified");
}

#[test]
fn a_transfer_that_is_withdrawn_is_not_waited_for() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let file = world.file("scan.dcm", b"pixels");
    let (child, transfer) = waiting(&desk, &[PROVIDER], &["--timeout", "1h"], &file);
    ask(&desk, &[&"revoke", &transfer, &"--yes"]);
    let (code, report) = end(child);
    assert_eq!((code, outcome(&report).as_str()), (OVER, "revoked"), "{report}");
}

#[test]
fn a_transfer_that_is_rejected_is_not_waited_for() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("scan.dcm", &samples::noise(600_000));
    let (child, transfer) = waiting(&desk, &[PROVIDER], &[], &file);
    let stored = files_below(&world.gateway.data().join("blobs"));
    let is_part = |path: &Path| {
        let path = path.to_string_lossy();
        path.contains(&transfer) && path.contains("part-0") && !path.ends_with("-leaves")
    };
    let (part, mut bytes) = stored.into_iter().find(|(path, _)| is_part(path)).expect("a part");
    bytes[300_000] ^= 1;
    fs::write(part, bytes).expect("a part");
    let received = run(&provider, &[&"receive", &transfer, &"--into", &world.empty("provider")]);
    assert_eq!(received.code, NOT_VALID, "{}", received.stderr);
    let (code, report) = end(child);
    assert_eq!((code, outcome(&report).as_str()), (NOT_VALID, "rejected"), "{report}");
    assert_eq!(text(&report, "/waited/recipients/0/reason"), "segment");
}

#[test]
fn a_gateway_that_restarts_is_waited_for() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("scan.dcm", b"pixels");
    let (child, transfer) = waiting(&desk, &[PROVIDER], &[], &file);
    world.gateway.restart().expect("a restart");
    receive(&provider, &transfer, &world.empty("provider"));
    let (code, report) = end(child);
    assert_eq!((code, outcome(&report).as_str()), (0, "verified"), "{report}");
}
