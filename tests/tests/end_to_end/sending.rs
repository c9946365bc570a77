//! What can be sent, to whom, with what beside it.

use std::fs;

use sealpost_tests::samples;
use serde_json::Value;

use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, send, text};

#[test]
fn several_recipients_receive_the_same_and_learn_nothing_of_each_other() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let other = world.member("other", "other@lab.example");
    let file = world.file("results.txt", b"hemoglobin 13.9 g/dL");
    let options = ["--to", "other@lab.example"];
    let transfer = send(&desk, PROVIDER, &[&file], &options);

    for (person, name, hidden) in [(&provider, "provider", "other@lab"), (&other, "other", PROVIDER)] {
        let inbox = ask(person, &[&"inbox"]).to_string();
        assert!(inbox.contains(&transfer) && !inbox.contains(hidden), "{inbox}");
        let target = world.empty(name);
        receive(person, &transfer, &target);
        assert_eq!(
            fs::read(target.join("results.txt")).expect("the file"),
            b"hemoglobin 13.9 g/dL"
        );
    }
    let status = ask(&desk, &[&"status", &transfer]);
    let recipients = status
        .pointer("/transfers/0/recipients")
        .and_then(Value::as_array)
        .expect("recipients");
    assert_eq!(recipients.len(), 2);
    assert!(
        recipients
            .iter()
            .all(|recipient| text(recipient, "/state") == "verified"),
        "{status}"
    );
}

#[test]
fn folders_and_the_standard_input_arrive_under_flat_names() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let image = samples::dicom("Ann Example", 64);
    world.file("scans/2026/ct.dcm", &image);
    world.file("scans/empty.txt", b"");
    let folder = world.folder.path().join("files/scans");
    let words: [&dyn AsRef<std::ffi::OsStr>; 8] = [
        &"--json",
        &"send",
        &"--to",
        &PROVIDER,
        &"--name",
        &"from-the-lab.txt",
        &folder,
        &"-",
    ];
    let sent = desk
        .run_with_input(&words, b"typed at the desk")
        .expect("a run")
        .json("send")
        .expect("accepted");

    let target = world.empty("provider");
    receive(&provider, &text(&sent, "/transfer"), &target);
    assert_eq!(names_in(&target), ["2026 - ct.dcm", "empty.txt", "from-the-lab.txt"]);
    assert_eq!(fs::read(target.join("2026 - ct.dcm")).expect("the image"), image);
    assert_eq!(fs::read(target.join("empty.txt")).expect("the empty file"), b"");
    assert_eq!(
        fs::read(target.join("from-the-lab.txt")).expect("the input"),
        b"typed at the desk"
    );
}

#[test]
fn what_is_said_beside_the_files_arrives_with_them() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("claim.txt", b"claim 837");
    let note = world.file("note.txt", "zweite Zeile: Grüße\nfrom the desk\n".as_bytes());
    let note = note.to_str().expect("a path in UTF-8");
    let options = [
        "--note-file",
        note,
        "--subject",
        "Claim of May",
        "--patient",
        "urn:oid:2.999|1",
        "--patient",
        "2",
        "--purpose",
        "HPAYMT",
        "--expires",
        "12h",
        "--openings",
        "2",
        "--label",
        "claims",
        "--no-forward",
    ];
    let transfer = send(&desk, PROVIDER, &[&file], &options);

    let inbox = ask(&provider, &[&"inbox"]);
    let number = |pointer: &str| inbox.pointer(pointer).and_then(Value::as_u64).expect("a number");
    assert_eq!(
        number("/transfers/0/expires_at") - number("/transfers/0/sealed_at"),
        12 * 3600
    );
    assert_eq!(
        (number("/transfers/0/openings"), number("/transfers/0/openings_used")),
        (2, 0)
    );
    assert_eq!(text(&inbox, "/transfers/0/public_label"), "claims");
    assert!(!inbox.to_string().contains("claim.txt"), "an inbox names no file");

    let received = receive(&provider, &transfer, &world.empty("provider"));
    assert_eq!(text(&received, "/note"), "zweite Zeile: Grüße\nfrom the desk");
    assert_eq!(text(&received, "/subject"), "Claim of May");
    assert_eq!(text(&received, "/purpose"), "HPAYMT");
    assert_eq!(text(&received, "/patients/0/system"), "urn:oid:2.999");
    assert_eq!(text(&received, "/patients/1/value"), "2");
}

#[test]
fn a_message_needs_no_file() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let transfer = send(&desk, PROVIDER, &[], &["--note", "call me back"]);
    let target = world.empty("provider");
    assert_eq!(text(&receive(&provider, &transfer, &target), "/note"), "call me back");
    assert_eq!(names_in(&target), Vec::<String>::new());
    assert_eq!(delivery(&desk, &transfer), "verified");
}

#[test]
fn a_transfer_of_several_parts_arrives_whole() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(20_000_003);
    let file = world.file("series.bin", &bytes);
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let target = world.empty("provider");
    receive(&provider, &transfer, &target);
    assert!(
        fs::read(target.join("series.bin")).expect("the file") == bytes,
        "the bytes differ"
    );
    assert_eq!(delivery(&desk, &transfer), "verified");
}
