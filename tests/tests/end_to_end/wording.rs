//! What people are told: nothing is passed over in silence, hints can be typed as they stand, and nobody is sent in a circle.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use sealpost_client::Env;
use sealpost_client::records::SentRecord;
use sealpost_proto::id::{Hash, TransferId};
use sealpost_tests::person::{Person, Words};
use serde_json::Value;

use super::resuming::{LEN, killed_receiving, killed_sending};
use crate::support::inside::session_of;
use crate::support::links::{Linked, Visitor, link_of, send_link};
use crate::support::{PROVIDER, World, ask, delivery, names_in, run, send, text};

const USAGE: i32 = 2;
const WRONG_GATEWAY: i32 = 4;
const NOT_VALID: i32 = 5;
const NOT_FOUND: i32 = 6;
const OVER: i32 = 7;
const FILE: i32 = 9;
const DECLINED: i32 = 16;

fn said(person: &Person, words: &Words<'_>) -> String {
    let outcome = run(person, words);
    String::from_utf8_lossy(&outcome.stdout).into_owned() + &outcome.stderr
}

/// Remembers, as a client does that sent it, a transfer that the gateway has accepted and does not show.
fn remember(person: &Person, number: u8) -> String {
    let session = session_of(person);
    let record = SentRecord {
        transfer: TransferId::from_bytes([number; 16]),
        hh: Hash::from_bytes([number; 32]),
        recipients: Vec::new(),
        directory_size: 0,
        files: Vec::new(),
        expires_at: Env::system().now() + 86_400,
        accepted: Some("a receipt".to_owned()),
        verified: BTreeMap::new(),
        links: Vec::new(),
        share: None,
    };
    record.put(&session.state, &session.env).expect("a record");
    record.transfer.to_string()
}

#[test]
fn what_the_gateway_does_not_show_any_more_is_found_and_can_be_put_aside() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let sent = send(&desk, PROVIDER, &[&world.file("letter.txt", b"dear colleague")], &[]);
    let (one, other) = (remember(&desk, 0x11), remember(&desk, 0x22));
    let all = run(&desk, &[&"status"]);
    let told = String::from_utf8_lossy(&all.stdout);
    assert_eq!(all.code, NOT_VALID, "{told}");
    assert!(told.contains("send it again if it was not delivered"), "{told}");
    let home = desk.home().display();
    assert!(
        told.contains(&format!("sealpost status --forget 11111111 --home {home}`")),
        "{told}"
    );

    let limited = run(&desk, &[&"--json", &"status", &"--limit", &"1"]);
    let document: Value = serde_json::from_slice(&limited.stdout).expect("JSON");
    assert_eq!(limited.code, NOT_VALID, "what is left out is not passed over");
    assert_eq!(document["missing"].as_array().map(Vec::len), Some(1), "{document}");

    for id in [&one, &one[..8].to_owned()] {
        let named = run(&desk, &[&"--json", &"status", id]);
        let document: Value = serde_json::from_slice(&named.stdout).expect("JSON");
        assert_eq!(
            (named.code, text(&document, "/missing/0/transfer")),
            (NOT_VALID, one.clone())
        );
        let revoked = run(&desk, &[&"revoke", id, &"--yes"]);
        assert_eq!(revoked.code, NOT_FOUND, "{}", revoked.stderr);
        assert!(revoked.stderr.contains("does not show"), "{}", revoked.stderr);
    }

    assert_eq!(run(&desk, &[&"status", &"--forget", &one]).code, DECLINED);
    let shown = run(&desk, &[&"status", &"--forget", &sent, &"--yes"]);
    assert_eq!(shown.code, USAGE, "{}", shown.stderr);
    for id in [&one, &other] {
        ask(&desk, &[&"status", &"--forget", id, &"--yes"]);
    }
    assert_eq!(run(&desk, &[&"status"]).code, 0);
    assert_eq!(delivery(&desk, &sent), "sealed");
}

#[test]
fn unfinished_transfers_are_told_apart_and_a_file_that_is_gone_is_no_dead_end() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let noise = sealpost_tests::samples::noise(LEN);
    let file = world.file("series.bin", &noise);
    let transfer = killed_sending(&desk, &file, 1);
    let short = &transfer[..8];
    let hint = format!("sealpost resume {short} --home {}`", desk.home().display());
    let status = run(&desk, &[&"status"]);
    assert!(status.stderr.contains(&hint), "{}", status.stderr);
    assert!(
        status
            .stderr
            .contains(&format!("{short}  sending 1 file (96 MiB) to {PROVIDER}")),
        "{}",
        status.stderr
    );
    let listed = ask(&desk, &[&"status"]);
    assert_eq!(text(&listed, "/unfinished/0/transfer"), transfer);
    assert_eq!(listed.pointer("/unfinished/0/files"), Some(&Value::from(1)));

    let elsewhere = file.with_extension("moved");
    fs::rename(&file, &elsewhere).expect("a move");
    let gone = run(&desk, &[&"resume"]);
    let told = String::from_utf8_lossy(&gone.stdout);
    assert_eq!(gone.code, FILE, "{told}");
    assert!(told.contains("put it back") && told.contains("--discard"), "{told}");
    fs::rename(&elsewhere, &file).expect("a move");
    ask(&desk, &[&"resume", &transfer]);

    let target = world.empty("provider");
    killed_receiving(&provider, &transfer, &target, 1);
    let inbox = said(&provider, &[&"inbox"]);
    assert!(
        inbox.contains(&format!("begun here: `sealpost resume {short} --home")),
        "{inbox}"
    );
    ask(&provider, &[&"resume", &transfer]);
    let inbox = said(&provider, &[&"inbox"]);
    assert!(inbox.contains("  received") && !inbox.contains("begun here"), "{inbox}");
}

#[test]
fn wrong_arguments_are_a_document_too() {
    let world = World::new();
    let desk = world.desk();
    let wrong = run(&desk, &[&"--json", &"send", &"f"]);
    let document: Value = serde_json::from_slice(&wrong.stdout).expect("JSON");
    assert_eq!(wrong.code, USAGE, "{document}");
    assert_eq!(text(&document, "/error/kind"), "usage");
    assert!(text(&document, "/error/message").contains("--to"), "{document}");
    assert!(wrong.stderr.contains("Usage"), "{}", wrong.stderr);
    assert!(run(&desk, &[&"send", &"f"]).stdout.is_empty());
    assert_eq!(run(&desk, &[&"--json", &"send", &"--help"]).code, 0);
}

#[test]
fn folders_and_key_files_are_their_owners_business() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("Smith John.pdf", b"dear colleague");
    let with_file = send(&desk, PROVIDER, &[&file], &[]);
    let note_only = send(&desk, PROVIDER, &[], &["--note", "call me"]);
    let (made, empty) = (world.folder.path().join("new/made"), world.folder.path().join("empty"));
    ask(&provider, &[&"receive", &with_file, &"--into", &made]);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    assert_eq!((mode(&made), mode(made.parent().expect("a parent"))), (0o700, 0o700));
    ask(&provider, &[&"receive", &note_only, &"--into", &empty]);
    assert!(!empty.exists(), "{:?}", names_in(&empty));

    let keys = provider.home().join("keys.spk");
    fs::set_permissions(&keys, fs::Permissions::from_mode(0o644)).expect("a mode");
    let refused = run(&provider, &[&"whoami"]);
    assert_eq!(refused.code, 10, "{}", refused.stderr);
    assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
}

#[test]
fn a_visitor_and_a_links_sender_are_told_what_helps_them() {
    let linked = Linked::letter(&["--link-secret"]);
    let (made, visitor, desk) = (&linked.made, &linked.visitor, &linked.desk);
    let nothing = visitor.command(&[&"get"], &made.words, None);
    let nothing = sealpost_tests::person::finish(nothing, b"").expect("a run");
    assert_eq!(nothing.code, USAGE, "{}", nothing.stderr);
    assert!(nothing.stderr.contains("--link-file"), "{}", nothing.stderr);
    let plain = send_link(desk, &[&linked.world.file("b.txt", b"b")], &[]);
    let wrong_pin = visitor.get(&plain.text, &plain.words, &"0".repeat(64));
    assert_eq!(wrong_pin.code, WRONG_GATEWAY, "{}", wrong_pin.stderr);
    assert!(
        wrong_pin.stderr.contains("compare the pin with the sender"),
        "{}",
        wrong_pin.stderr
    );

    let got = linked.get();
    assert_eq!(got.code, 0, "{}", got.stderr);
    assert!(
        got.stderr.contains("From Example Clinic") && !got.stderr.contains("Verified"),
        "{}",
        got.stderr
    );
    assert!(String::from_utf8_lossy(&got.stdout).contains("Verified: from Example Clinic"));

    ask(desk, &[&"link", &"burn", &plain.link, &"--yes"]);
    let burned = run(desk, &[&"link", &"rearm", &plain.link]);
    assert_eq!(burned.code, OVER, "{}", burned.stderr);
    let own = burned.stderr.contains("Your link") && !burned.stderr.contains("ask the sender");
    assert!(own, "{}", burned.stderr);
}

#[test]
fn the_last_opening_is_told_as_going_on_until_it_ends() {
    let world = World::new();
    let desk = world.desk();
    let big = world.file("series.bin", &sealpost_tests::samples::noise(LEN));
    let made = send_link(&desk, &[&big], &["--openings", "1"]);
    let visitor = Visitor::new(&world, "patient");
    let child = visitor.opening(&made, &made.words).spawn().expect("a process");
    let receiving = visitor.guest.state().join("receiving");
    crate::support::children::kill_when(child, || super::resuming::records_in(&receiving) >= 1);
    let link = link_of(&desk, &made.transfer);
    assert_eq!(text(&link, "/state"), "used");
    let told = said(&desk, &[&"status", &made.transfer]);
    assert!(
        told.contains("not verified yet") && !told.contains("all openings used"),
        "{told}"
    );
    assert!(
        told.contains(made.id().get(..8).expect("digits")),
        "its text is found again: {told}"
    );
    assert_eq!(visitor.open(&made, &made.words).code, 0);
    let told = said(&desk, &[&"link", &"list"]);
    assert!(
        told.contains("all openings used") && told.contains("verified"),
        "{told}"
    );
}
