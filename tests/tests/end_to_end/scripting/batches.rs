//! `send --batch` and `send --dry-run`.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{FILE, RECIPIENT, USAGE, inbox, lines, refused};
use crate::support::{PROVIDER, World, names_in, receive, text};

fn batch(values: &[Value]) -> Vec<u8> {
    let lines: Vec<String> = values.iter().map(Value::to_string).collect();
    lines.join("\n").into_bytes()
}

fn summary(documents: &[Value]) -> [u64; 4] {
    let last = documents.last().expect("a summary");
    ["sent", "already", "failed", "not_begun"].map(|name| last["summary"][name].as_u64().expect("a number"))
}

/// Line numbers, in the order in which they were told.
fn numbers(documents: &[Value]) -> Vec<u64> {
    documents
        .iter()
        .filter_map(|document| document["line"].as_u64())
        .collect()
}

fn claim(folder: &Path, number: usize) -> Value {
    let path = folder.join(format!("claim {number}.837"));
    fs::write(&path, format!("ISA*{number}")).expect("a file");
    json!({"to": PROVIDER, "paths": path, "once": format!("claim {number}"), "purpose": "payment", "label": "claims"})
}

#[test]
fn many_are_sent_in_one_process_and_one_failure_stops_none() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let folder = world.empty("claims");
    let mut all: Vec<Value> = (1..=40).map(|number| claim(&folder, number)).collect();
    all[6]["to"] = json!("nobody@nowhere.example");
    let (code, documents) = lines(&desk, &[&"send", &"--batch", &"-"], &batch(&all));
    assert_eq!(code, RECIPIENT, "{documents:?}");
    assert_eq!(summary(&documents), [39, 0, 1, 0]);
    assert_eq!(numbers(&documents), (1..=40).collect::<Vec<u64>>());
    assert_eq!(text(&documents[6], "/error/kind"), "recipient");
    assert!(documents.iter().all(|document| document["schema"] == json!(1)));
    let there = inbox(&provider);
    assert_eq!(there.len(), 39);
    for document in documents.iter().filter(|document| document.get("transfer").is_some()) {
        assert!(there.contains(&text(document, "/transfer")), "{document}");
    }
    let target = world.empty("provider");
    receive(&provider, &text(&documents[39], "/transfer"), &target);
    assert_eq!(fs::read(target.join("claim 40.837")).expect("the file"), b"ISA*40");

    // The whole file again, once it is put right: what was sent is not sent again.
    all[6] = claim(&folder, 7);
    let (code, again) = lines(&desk, &[&"send", &"--batch", &"-"], &batch(&all));
    assert_eq!((code, summary(&again)), (0, [1, 39, 0, 0]));
    assert_eq!(text(&again[0], "/transfer"), text(&documents[0], "/transfer"));
    assert_eq!(inbox(&provider).len(), 40);
}

#[test]
fn none_is_begun_after_a_failure_when_asked() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let folder = world.empty("claims");
    let mut all: Vec<Value> = (1..=60).map(|number| claim(&folder, number)).collect();
    all[0]["to"] = json!("nobody@nowhere.example");
    let file = world.file("batch.jsonl", &batch(&all));
    let (code, documents) = lines(&desk, &[&"send", &"--batch", &file, &"--stop-on-error"], b"");
    let [sent, _, failed, not_begun] = summary(&documents);
    assert_eq!((code, failed, sent + not_begun), (RECIPIENT, 1, 59));
    assert!(not_begun > 30, "the first failure ends it: {not_begun}");
    assert_eq!(inbox(&provider).len() as u64, sent);
    assert_eq!(numbers(&documents).len(), 60);
}

#[test]
fn a_bad_line_is_refused_before_anything_is_sent() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let folder = world.empty("claims");
    let good = claim(&folder, 1);
    for bad in [
        json!({"to": PROVIDER, "note": "x", "colour": "red"}),
        json!({"to": PROVIDER}),
        json!({"to": PROVIDER, "paths": "no such file"}),
        good.clone(),
    ] {
        let file = world.file("batch.jsonl", &batch(&[good.clone(), bad]));
        let (code, said) = refused(&desk, &[&"send", &"--batch", &file]);
        assert_eq!(code, USAGE, "{said}");
        assert!(said.contains("line 2") && said.contains("nothing was sent"), "{said}");
    }
    assert!(inbox(&provider).is_empty());
}

#[test]
fn a_dry_run_finds_what_is_wrong_and_leaves_nothing() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("a:b.837", b"ISA*00");
    let (code, documents) = lines(
        &desk,
        &[&"send", &"--dry-run", &"--to", &PROVIDER, &"--once", &"k", &file],
        b"",
    );
    assert_eq!(code, 0, "{documents:?}");
    assert_eq!(
        (&documents[0]["dry_run"], &documents[0]["already"]),
        (&json!(true), &json!(false))
    );
    assert_eq!(
        (&documents[0]["bytes"], &documents[0]["transfer"]),
        (&json!(6), &Value::Null)
    );
    assert_eq!(text(&documents[0], "/renamed/0/name"), "a_b.837");
    assert_eq!(text(&documents[0], "/recipients/0"), PROVIDER);
    let (code, _) = refused(
        &desk,
        &[&"send", &"--dry-run", &"--to", &"nobody@nowhere.example", &file],
    );
    assert_eq!(code, RECIPIENT);
    let (code, _) = refused(&desk, &[&"send", &"--dry-run", &"--to", &PROVIDER, &"no such file"]);
    assert_eq!(code, FILE);
    let folder = world.empty("claims");
    let mut all = [claim(&folder, 1), claim(&folder, 2)];
    all[1]["to"] = json!("nobody@nowhere.example");
    let lines_of = world.file("batch.jsonl", &batch(&all));
    let (code, documents) = lines(&desk, &[&"send", &"--dry-run", &"--batch", &lines_of], b"");
    assert_eq!((code, summary(&documents)), (RECIPIENT, [1, 0, 1, 0]));
    assert_eq!(documents[0]["dry_run"], json!(true));

    assert!(inbox(&provider).is_empty());
    for kind in ["sent", "sending"] {
        assert!(!desk.home().join(kind).exists(), "{kind}");
    }
    let keys = names_in(&desk.home().join("once"));
    assert!(keys.iter().all(|name| name.ends_with(".lock")), "{keys:?}");
    // And then for real.
    let (_, documents) = lines(&desk, &[&"send", &"--to", &PROVIDER, &"--once", &"k", &file], b"");
    assert_eq!(documents[0]["already"], json!(false));
    let (_, documents) = lines(
        &desk,
        &[&"send", &"--dry-run", &"--to", &PROVIDER, &"--once", &"k", &file],
        b"",
    );
    assert_eq!(documents[0]["already"], json!(true));
}
