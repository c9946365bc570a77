//! A world for one test: a gateway of its own on a free port, an organisation on it, a folder that is removed at the end.

pub(crate) mod by_hand;
pub(crate) mod children;
pub(crate) mod in_process;
pub(crate) mod inside;
pub(crate) mod links;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use sealpost_tests::gateway::Gateway;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::person::{Person, Run, Words};
use serde_json::Value;
use tempfile::TempDir;

/// Address of the administrator, who is also the front desk.
pub(crate) const DESK: &str = "desk@clinic.example";
/// Address of the provider who is sent things.
pub(crate) const PROVIDER: &str = "provider@practice.example";

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) gateway: Gateway,
    pub(crate) organisation: Organisation,
}

impl World {
    /// A gateway whose organisation is founded.
    pub(crate) fn new() -> Self {
        Self::logging("info")
    }

    /// The same, with a log of this level.
    pub(crate) fn logging(level: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = Gateway::start(folder.path(), level).expect("a gateway");
        let organisation = found(&gateway.setup_string(), folder.path());
        Self {
            folder,
            gateway,
            organisation,
        }
    }

    /// The front desk, who founded the organisation.
    pub(crate) fn desk(&self) -> Person {
        self.organisation.admin.clone()
    }

    /// A confirmed member.
    pub(crate) fn member(&self, name: &str, address: &str) -> Person {
        self.organisation.member(name, address).expect("a member")
    }

    /// The provider, confirmed.
    pub(crate) fn provider(&self) -> Person {
        self.member("provider", PROVIDER)
    }

    /// A file with these contents, outside every home, readable by its owner alone.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join("files").join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        sealpost_tests::person::write_private(&path, bytes).expect("a file");
        path
    }

    /// An empty folder.
    pub(crate) fn empty(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join("targets").join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }
}

/// Founds the organisation of all tests.
pub(crate) fn found(setup: &Path, folder: &Path) -> Organisation {
    Organisation::found(setup, &folder.join("people"), "Example Clinic", DESK).expect("an organisation")
}

/// Runs a command that must succeed, and returns its JSON.
pub(crate) fn ask(person: &Person, words: &Words<'_>) -> Value {
    person.ask(words).expect("a success")
}

/// Runs a command, whatever becomes of it.
pub(crate) fn run(person: &Person, words: &Words<'_>) -> Run {
    person.run(words).expect("a run")
}

/// Sends files to the provider and returns the transfer's id.
pub(crate) fn send(person: &Person, to: &str, paths: &[&Path], options: &[&str]) -> String {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"send", &"--to", &to];
    words.extend(options.iter().map(|word| word as &dyn AsRef<OsStr>));
    words.extend(paths.iter().map(|path| path as &dyn AsRef<OsStr>));
    text(&person.ask(&words).expect("an accepted transfer"), "/transfer")
}

/// Receives a transfer into a folder and returns the answer's item about it.
pub(crate) fn receive(person: &Person, transfer: &str, into: &Path) -> Value {
    let answer = ask(person, &[&"receive", &transfer, &"--into", &into]);
    answer.pointer("/received/0").expect("a received transfer").clone()
}

/// Receives a transfer into a folder, keeping it sealed with the gateway's share. Returns the container and the share.
pub(crate) fn receive_kept(person: &Person, transfer: &str, into: &Path) -> (PathBuf, Vec<u8>) {
    let kept = into.join("kept.sealed");
    let receive: [&dyn AsRef<OsStr>; 4] = [&"receive", &transfer, &"--into", &into];
    let keep: [&dyn AsRef<OsStr>; 3] = [&"--keep-sealed", &kept, &"--with-share"];
    ask(person, &[&receive[..], &keep[..]].concat());
    let share = std::fs::read_to_string(into.join("kept.sealed.share")).expect("the share");
    let share = data_encoding::HEXLOWER.decode(share.trim().as_bytes()).expect("hex");
    (kept, share)
}

/// State of a sent transfer with its first recipient.
pub(crate) fn delivery(person: &Person, transfer: &str) -> String {
    text(&ask(person, &[&"status", &transfer]), "/transfers/0/recipients/0/state")
}

/// The text at a place of a JSON document.
pub(crate) fn text(value: &Value, pointer: &str) -> String {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found
        .unwrap_or_else(|| panic!("no text at {pointer} in {value}"))
        .to_owned()
}

/// Names of the files in a folder, sorted.
pub(crate) fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let mut names: Vec<String> = entries
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

/// Every file below a folder with its bytes.
pub(crate) fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            let bytes = std::fs::read(&path).expect("a readable file");
            files.push((path, bytes));
        }
    }
    files
}
