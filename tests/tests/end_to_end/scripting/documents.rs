//! docs/json.md says of every document what it holds: the real commands are run, and what they write is compared with it. A member that is
//! not listed fails, and so does a listed one that is not there.

mod forms;

use std::ffi::OsStr;
use std::path::Path;

use sealpost_tests::gateway::Gateway;
use sealpost_tests::person::{Person, Words, finish, write_private};
use sealpost_tests::samples;
use serde_json::{Value, json};

use self::forms::Forms;
use super::{lines, start};
use crate::end_to_end::resuming::{LEN, records};
use crate::support::children::kill_when;
use crate::support::links::{Made, Visitor};
use crate::support::{DESK, PROVIDER, text};

/// A clinic whose every document is looked at.
struct Clinic {
    forms: Forms,
    folder: tempfile::TempDir,
    _gateway: Gateway,
    desk: Person,
    provider: Person,
}

impl Clinic {
    /// Founds it, which has documents as well.
    fn found() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = Gateway::start(folder.path(), "info").expect("a gateway");
        let mut forms = Forms::read(include_str!("../../../../docs/json.md"));
        let person = |name| Person::new(&folder.path().join("people"), name).expect("a person");
        let (desk, provider) = (person("desk"), person("provider"));
        let (setup, root) = (gateway.setup_string(), folder.path().join("root.spk"));
        let init: [&dyn AsRef<OsStr>; 6] = [&"org", &"init", &"--name", &"Example Clinic", &"--address", &DESK];
        let keys: [&dyn AsRef<OsStr>; 4] = [&"--root-key", &root, &"--setup", &setup];
        look(&mut forms, "org init", &desk, &[&init[..], &keys].concat());
        let invited = look(&mut forms, "admin invite", &desk, &[&"admin", &"invite", &PROVIDER]);
        let string = folder.path().join("string");
        write_private(&string, text(&invited, "/string").as_bytes()).expect("a file");
        look(&mut forms, "enrol", &provider, &[&"enrol", &string]);
        look(&mut forms, "whoami", &provider, &[&"whoami"]);
        look(&mut forms, "admin list", &desk, &[&"admin", &"list"]);
        look(&mut forms, "admin confirm", &desk, &[&"admin", &"confirm", &"--yes"]);
        let out = folder.path().join("string for another");
        let service = "service@practice.example";
        let other: [&dyn AsRef<OsStr>; 5] = [&"admin", &"invite", &service, &"--out", &out];
        let limits: [&dyn AsRef<OsStr>; 5] = [&"--service", &"--scope", &"receive", &"--network", &"any"];
        let other = [&other[..], &limits].concat();
        look(&mut forms, "admin invite", &desk, &other);
        look(&mut forms, "admin service", &desk, &[&"admin", &"service", &service]);
        look(
            &mut forms,
            "admin service",
            &desk,
            &[&"admin", &"service", &service, &"--scope", &"send"],
        );
        Self {
            forms,
            folder,
            _gateway: gateway,
            desk,
            provider,
        }
    }

    fn file(&self, name: &str, bytes: &[u8]) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        write_private(&path, bytes).expect("a file");
        path
    }

    fn desk(&mut self, form: &str, words: &Words<'_>) -> Value {
        look(&mut self.forms, form, &self.desk, words)
    }

    fn provider(&mut self, form: &str, words: &Words<'_>) -> Value {
        look(&mut self.forms, form, &self.provider, words)
    }
}

/// Runs a command and compares its one document with the form.
fn look(forms: &mut Forms, form: &str, person: &Person, words: &Words<'_>) -> Value {
    let (_, mut documents) = lines(person, words, b"");
    assert_eq!(documents.len(), 1, "{form}: {documents:?}");
    let document = documents.remove(0);
    forms.check(form, &document);
    document
}

#[test]
fn every_document_is_as_its_page_says() {
    let mut clinic = Clinic::found();
    let transfer = sending(&mut clinic);
    receiving(&mut clinic, &transfer);
    pulling(&mut clinic);
    links(&mut clinic);
    interrupted(&mut clinic);
    for (form, words) in [
        ("status", ["status", ""]),
        ("directory list", ["directory", "list"]),
        ("audit list", ["audit", "list"]),
        ("audit verify", ["audit", "verify"]),
    ] {
        let words: Vec<&dyn AsRef<OsStr>> = words
            .iter()
            .filter(|word| !word.is_empty())
            .map(|word| word as _)
            .collect();
        clinic.desk(form, &words);
    }
    let unseen = clinic.forms.unseen();
    assert!(unseen.is_empty(), "no document of these was looked at: {unseen:?}");
}

/// Sends in every way; returns the id of a transfer to be received.
fn sending(clinic: &mut Clinic) -> String {
    let file = clinic.file("a:b.txt", b"contents");
    let folder = clinic.folder.path().join("folder");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("c.txt"), b"c").expect("a file");
    std::os::unix::fs::symlink(&file, folder.join("link")).expect("a link");
    let to: [&dyn AsRef<OsStr>; 5] = [&"send", &"--to", &PROVIDER, &file, &folder];
    let with = |more: &[&'static dyn AsRef<OsStr>]| -> Vec<&dyn AsRef<OsStr>> { [&to[..], more].concat() };
    let sent = clinic.desk(
        "send",
        &with(&[&"--subject", &"s", &"--note", &"n", &"--patient", &"x|1"]),
    );
    assert_eq!(sent["left_out"].as_array().map(Vec::len), Some(1));
    clinic.desk("send", &with(&[&"--once", &"k", &"--dry-run"]));
    clinic.desk("send", &with(&[&"--once", &"k", &"--openings", &"2"]));
    clinic.desk("send", &with(&[&"--wait", &"verified", &"--timeout", &"1s"]));
    let failed = clinic.desk("send", &[&"send", &"--to", &"nobody@nowhere.example", &file]);
    assert_eq!(text(&failed, "/error/kind"), "recipient");

    let line = |to: &str, once: &str| json!({"to": to, "paths": file, "once": once}).to_string();
    let batch = [
        line("nobody@nowhere.example", "1"),
        line(PROVIDER, "2"),
        line(PROVIDER, "3"),
    ]
    .join("\n");
    let dry: [&dyn AsRef<OsStr>; 4] = [&"send", &"--batch", &"-", &"--dry-run"];
    let real: [&dyn AsRef<OsStr>; 4] = [&"send", &"--batch", &"-", &"--stop-on-error"];
    let all: [&dyn AsRef<OsStr>; 3] = [&"send", &"--batch", &"-"];
    for words in [&dry[..], &real, &all] {
        let (_, documents) = lines(&clinic.desk, words, batch.as_bytes());
        assert_eq!(documents.len(), 4, "{documents:?}");
        for document in &documents {
            clinic.forms.check("send --batch", document);
        }
    }
    text(&sent, "/transfer")
}

fn receiving(clinic: &mut Clinic, transfer: &str) {
    clinic.provider("inbox", &[&"inbox"]);
    let (into, kept) = (
        clinic.folder.path().join("in"),
        clinic.folder.path().join("kept.sealed"),
    );
    std::fs::create_dir(&into).expect("a folder");
    let keep: [&dyn AsRef<OsStr>; 7] = [
        &"receive",
        &transfer,
        &"--into",
        &into,
        &"--keep-sealed",
        &kept,
        &"--with-share",
    ];
    clinic.provider("receive", &keep);
    clinic.provider("receive", &[&"receive", &transfer, &"ffffffff", &"--into", &into]);
    clinic.provider("inspect", &[&"inspect", &kept]);
    let seed = clinic.folder.path().join("seed");
    clinic.provider("keys export", &[&"keys", &"export", &"--out", &seed]);
    clinic.desk("status", &[&"status"]);
    clinic.desk("revoke", &[&"revoke", &transfer, &"ffffffff", &"--yes"]);
    clinic.desk("rearm", &[&"rearm", &"--yes"]);
    clinic.desk("rearm", &[&"rearm", &transfer]);
}

fn pulling(clinic: &mut Clinic) {
    let into = clinic.folder.path().join("pulled");
    std::fs::create_dir(&into).expect("a folder");
    let words: [&dyn AsRef<OsStr>; 6] = [&"pull", &"--into", &into, &"--", &"echo", &"x"];
    let (_, documents) = lines(&clinic.provider, &words, b"");
    let events: Vec<String> = documents.iter().map(|document| text(document, "/event")).collect();
    for event in ["received", "output", "command_done", "end"] {
        assert!(events.iter().any(|one| one == event), "{event}: {events:?}");
    }
    for document in &documents {
        clinic.forms.check("pull", document);
    }
}

fn links(clinic: &mut Clinic) {
    let file = clinic.file("for you.txt", b"contents");
    let sent = clinic.desk("send", &[&"send", &"--link", &file]);
    let made = Made {
        transfer: text(&sent, "/transfer"),
        link: text(&sent, "/link/link"),
        text: text(&sent, "/link/text"),
        words: text(&sent, "/link/words"),
        pin: text(&sent, "/link/pin"),
        stderr: String::new(),
    };
    let visitor = Visitor::at(clinic.folder.path(), "visitor");
    let mut command = visitor.opening(&made, &made.words);
    command.arg("--json");
    let got = finish(command, b"").expect("a run").json("get").expect("a document");
    clinic.forms.check("get", &got);
    clinic.desk("link list", &[&"link", &"list"]);
    clinic.desk("status", &[&"status", &made.transfer]);
    clinic.desk("link rearm", &[&"link", &"rearm", &made.link]);
    clinic.desk("link burn", &[&"link", &"burn", &made.link, &"--yes"]);
}

/// Begins to send and is killed.
fn begin(clinic: &Clinic, file: &Path) {
    let child = start(&clinic.desk, &[&"send", &"--to", &PROVIDER, &"--link", &file]);
    kill_when(child, || records(&clinic.desk, "sending") > 2);
}

fn interrupted(clinic: &mut Clinic) {
    let file = clinic.file("series.bin", &samples::noise(LEN));
    begin(clinic, &file);
    let resumed = clinic.desk("resume", &[&"resume"]);
    let transfer = text(&resumed, "/sent/0/transfer");
    assert!(resumed.pointer("/sent/0/link/words").is_some(), "{resumed}");
    let into = clinic.folder.path().join("series");
    std::fs::create_dir(&into).expect("a folder");
    let child = start(&clinic.provider, &[&"receive", &transfer, &"--into", &into]);
    kill_when(child, || records(&clinic.provider, "receiving") > 2);
    clinic.provider("resume", &[&"resume"]);
    begin(clinic, &file);
    clinic.desk("status", &[&"status"]);
    std::fs::write(&file, b"another").expect("a file");
    clinic.desk("resume", &[&"resume"]);
    let other = clinic.file("other.bin", &samples::noise(LEN));
    begin(clinic, &other);
    clinic.desk("resume", &[&"resume", &"--discard"]);
}

/// The comparison can fail: with a member too many, one too few, and one of another type.
#[test]
fn a_document_that_differs_from_its_page_is_found() {
    let page = "## `sealpost x`\n| `a` | text | |\n| `b?[].c` | number or null | |\n## Error\n";
    let fails = |document: &Value| {
        let check = || Forms::read(page).check("x", document);
        std::panic::catch_unwind(check).is_err()
    };
    for right in [
        json!({"schema": 1, "a": "t"}),
        json!({"schema": 1, "a": "t", "b": [{"c": 1}, {"c": null}]}),
    ] {
        assert!(!fails(&right), "{right}");
    }
    for wrong in [
        json!({"schema": 1}),
        json!({"a": "t"}),
        json!({"schema": 2, "a": "t"}),
        json!({"schema": 1, "a": "t", "d": 1}),
        json!({"schema": 1, "a": null}),
        json!({"schema": 1, "a": 1}),
        json!({"schema": 1, "a": "t", "b": [{}]}),
        json!({"schema": 1, "a": "t", "b": [{"c": "1"}]}),
    ] {
        assert!(fails(&wrong), "{wrong}");
    }
}
