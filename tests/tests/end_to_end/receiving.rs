//! Receiving twice, into folders that hold something already, within the openings that were allowed, and for good.

use std::fs;

use sealpost_tests::samples;

use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, receive_kept, run, send, text};

/// Exit codes of docs/cli.md.
const OVER: i32 = 7;
const ALREADY_RECEIVED: i32 = 15;

#[test]
fn what_was_received_is_not_received_again_unasked() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"dear colleague");
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let target = world.empty("provider");
    receive(&provider, &transfer, &target);

    let again = run(&provider, &[&"receive", &transfer, &"--into", &target]);
    assert_eq!(again.code, ALREADY_RECEIVED, "{}", again.stderr);
    assert_eq!(names_in(&target), ["letter.txt"]);
    let all = ask(&provider, &[&"receive", &"--all", &"--into", &target]);
    assert_eq!(
        all.pointer("/received").and_then(|list| list.as_array()).map(Vec::len),
        Some(0)
    );

    let asked = run(&provider, &[&"receive", &transfer, &"--again", &"--into", &target]);
    assert_eq!(asked.code, 0, "{}", asked.stderr);
    assert_eq!(names_in(&target).len(), 2);
}

#[test]
fn nothing_that_lies_in_the_folder_is_overwritten() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"the new one");
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let target = world.empty("provider");
    fs::write(target.join("letter.txt"), b"the old one").expect("a file");
    let received = receive(&provider, &transfer, &target);

    assert_eq!(
        fs::read(target.join("letter.txt")).expect("the old file"),
        b"the old one"
    );
    assert_eq!(names_in(&target).len(), 2);
    let path = text(&received, "/files/0/path");
    assert_eq!(text(&received, "/files/0/name"), "letter.txt");
    assert_eq!(fs::read(path).expect("the new file"), b"the new one");
}

#[test]
fn a_used_up_transfer_opens_no_more() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("once.txt", b"for your eyes, once");
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    receive(&provider, &transfer, &world.empty("first"));
    assert_eq!(delivery(&desk, &transfer), "verified");

    let target = world.empty("second");
    let again = run(&provider, &[&"receive", &transfer, &"--again", &"--into", &target]);
    assert_eq!(again.code, OVER, "{}", again.stderr);
    assert_eq!(names_in(&target), Vec::<String>::new());
    assert_eq!(
        delivery(&desk, &transfer),
        "verified",
        "what was verified stays verified"
    );
}

#[test]
fn a_kept_container_opens_without_the_gateway() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::dicom("Ann Example", 300);
    let file = world.file("ct.dcm", &bytes);
    let transfer = send(&desk, PROVIDER, &[&file], &["--note", "kept"]);
    let target = world.empty("provider");
    let (kept, _) = receive_kept(&provider, &transfer, &target);
    let seed = target.join("own-key.hex");
    ask(&provider, &[&"keys", &"export", &"--out", &seed]);
    let digits = fs::read_to_string(&seed).expect("the exported key");
    assert_eq!(digits.trim().len(), 64);
    assert!(digits.trim().bytes().all(|digit| digit.is_ascii_hexdigit()));

    world.gateway.restart().expect("a restart");
    let share = target.join("kept.sealed.share");
    let inspected = ask(&provider, &[&"inspect", &kept, &"--share", &share]);
    assert_eq!(text(&inspected, "/manifest/note"), "kept");
    assert_eq!(text(&inspected, "/manifest/files/0/name"), "ct.dcm");
    let without = run(&provider, &[&"inspect", &kept, &"--open"]);
    assert_ne!(without.code, 0, "the share is needed");
}
