//! What the client does not take at its word, from files, senders and gateways.

use std::fs;

use serde_json::Value;

use crate::support::{PROVIDER, World, ask, run, send, text};

/// Exit code of docs/cli.md.
const KEY_FILE: i32 = 10;

/// A character of each kind that ends lines, steers, turns or hides.
const DECEPTIVE: [char; 8] = [
    '\u{1b}', '\u{85}', '\u{9b}', '\u{2028}', '\u{202e}', '\u{2066}', '\u{200b}', '\u{61c}',
];

#[test]
#[cfg(unix)]
fn a_passphrase_file_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new();
    let desk = world.desk();
    let set = |mode| fs::set_permissions(desk.passphrase_file(), fs::Permissions::from_mode(mode)).expect("a mode");
    for mode in [0o640, 0o604, 0o644] {
        set(mode);
        let refused = run(&desk, &[&"whoami"]);
        assert_eq!(refused.code, KEY_FILE, "{mode:o}: {}", refused.stderr);
        assert!(refused.stderr.contains("chmod 600"), "{}", refused.stderr);
    }
    set(0o600);
    assert_eq!(run(&desk, &[&"whoami"]).code, 0);
}

#[test]
fn what_a_sender_writes_stays_in_its_line() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let deceptive: String = DECEPTIVE.iter().collect();
    let subject = world.file("subject.txt", format!("all well{deceptive}\n").as_bytes());
    let note = world.file(
        "note.txt",
        format!("see\n  saved    forged.pdf{deceptive}\n").as_bytes(),
    );
    let file = world.file(&format!("scan{}\u{200f}.txt", '\u{202e}'), b"a finding");
    let path = |file: &std::path::Path| file.display().to_string();
    let options = ["--subject-file", &path(&subject), "--note-file", &path(&note)];
    let transfer = send(&desk, PROVIDER, &[&file], &options);

    let into = world.empty("shown");
    let shown = run(&provider, &[&"receive", &transfer, &"--into", &into]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    let report = String::from_utf8(shown.stdout).expect("text");
    assert!(!report.contains(DECEPTIVE), "{report:?}");
    assert!(
        report.contains("\n  subject  all well"),
        "the subject of the file was sent: {report}"
    );
    assert!(!report.contains("\n  saved    forged"), "{report}");
    let saved: Vec<String> = fs::read_dir(&into)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    assert_eq!(saved, ["scan__.txt"]);

    let words: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"--json", &"receive", &transfer, &"--again", &"--into", &into];
    let document = run(&provider, &words).stdout;
    let document = String::from_utf8(document).expect("text");
    assert!(!document.contains(DECEPTIVE), "{document:?}");
    let answer: Value = serde_json::from_str(&document).expect("JSON");
    assert_eq!(
        text(&answer, "/received/0/subject"),
        format!("all well{deceptive}"),
        "nothing is lost"
    );
}

#[test]
fn status_and_inbox_say_when_the_gateway_took_it_and_who_was_meant() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("scan.txt", b"a finding");
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let status = ask(&desk, &[&"status", &transfer]);
    assert_eq!(status.pointer("/transfers/0/known"), Some(&Value::Bool(true)));
    assert_eq!(
        status
            .pointer("/transfers/0/recipients")
            .and_then(Value::as_array)
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(status.pointer("/transfers/0/recipients/0/problem"), Some(&Value::Null));
    let inbox = ask(&provider, &[&"inbox"]);
    for (answer, what) in [(&status, "status"), (&inbox, "inbox")] {
        let time = |name: &str| answer.pointer(&format!("/transfers/0/{name}")).and_then(Value::as_u64);
        let (sealed, accepted) = (time("sealed_at").expect("a time"), time("accepted_at").expect("a time"));
        assert!(accepted.abs_diff(sealed) < 600, "{what}");
        assert_eq!(answer.pointer("/transfers/0/lateness"), Some(&Value::Null), "{what}");
    }
    // A client that does not remember: the list is then the gateway's word, and it says so.
    fs::remove_dir_all(desk.home().join("sent")).expect("records");
    let shown = run(&desk, &[&"status", &transfer]);
    assert_eq!(shown.code, 0, "{}", shown.stderr);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("the gateway's word"));
}
