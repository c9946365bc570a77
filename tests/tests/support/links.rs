//! Links in tests: sending by one, and somebody without an account who opens it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealpost_tests::guest::Guest;
use sealpost_tests::person::{Person, Run, Words, finish, write_private};
use serde_json::Value;

use super::{World, ask, names_in, run, text};

/// A link as its sender got it.
pub(crate) struct Made {
    pub(crate) transfer: String,
    pub(crate) link: String,
    pub(crate) text: String,
    pub(crate) words: String,
    pub(crate) pin: String,
    /// What the sender's client said beside its answer.
    pub(crate) stderr: String,
}

impl Made {
    /// The link's id in digits.
    pub(crate) fn id(&self) -> &str {
        let at = self.text.find("id=").map(|at| at + 3);
        let at = at.or_else(|| self.text.rfind("/l/").map(|at| at + 3));
        &self.text[at.expect("an id")..][..32]
    }

    /// The link's secret as its text has it, if it has one.
    pub(crate) fn secret(&self) -> Option<&str> {
        self.text.split(";s=").nth(1).and_then(|rest| rest.get(..43))
    }

    /// The right words in a wrong order.
    pub(crate) fn wrong_words(&self) -> String {
        self.words.split(' ').rev().collect::<Vec<_>>().join(" ")
    }
}

/// Sends files by a link.
pub(crate) fn send_link(person: &Person, paths: &[&Path], options: &[&str]) -> Made {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"--json", &"send"];
    if !options.contains(&"--link-secret") {
        words.push(&"--link");
    }
    words.extend(options.iter().map(|word| word as &dyn AsRef<OsStr>));
    words.extend(paths.iter().map(|path| path as &dyn AsRef<OsStr>));
    let outcome = run(person, &words);
    let answer = outcome.json("send").expect("an accepted transfer");
    Made {
        transfer: text(&answer, "/transfer"),
        link: text(&answer, "/link/link"),
        text: text(&answer, "/link/text"),
        words: text(&answer, "/link/words"),
        pin: text(&answer, "/link/pin"),
        stderr: outcome.stderr,
    }
}

/// A guest with a file for words and a folder for what is saved.
pub(crate) struct Visitor {
    pub(crate) guest: Guest,
    folder: PathBuf,
    pub(crate) out: PathBuf,
}

impl Visitor {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        Self::at(world.folder.path(), name)
    }

    pub(crate) fn at(folder: &Path, name: &str) -> Self {
        let guests = folder.join("guests");
        let guest = Guest::new(&guests, name).expect("a guest");
        let folder = guests.join(name);
        let out = folder.join("saved");
        fs::create_dir_all(&out).expect("a folder");
        Self { guest, folder, out }
    }

    /// `get` with a link on the command line.
    pub(crate) fn get(&self, link: &str, words: &str, pin: &str) -> Run {
        self.run(&[&"get", &link], words, pin)
    }

    /// The same, or with the link in a file when its text is half of the key.
    pub(crate) fn open(&self, made: &Made, words: &str) -> Run {
        finish(self.opening(made, words), b"").expect("a run")
    }

    /// `get` with other options.
    pub(crate) fn run(&self, arguments: &Words<'_>, words: &str, pin: &str) -> Run {
        finish(self.command(arguments, words, Some(pin)), b"").expect("a run")
    }

    /// `get` as [`Visitor::open`] runs it, to be started.
    pub(crate) fn opening(&self, made: &Made, words: &str) -> Command {
        if made.secret().is_none() {
            return self.command(&[&"get", &made.text], words, Some(&made.pin));
        }
        let link = self.folder.join("link");
        write_private(&link, made.text.as_bytes()).expect("a file with a link");
        self.command(&[&"get", &"--link-file", &link], words, Some(&made.pin))
    }

    /// `get` with these arguments, to be started; without a pin nobody but a public authority vouches for the gateway.
    pub(crate) fn command(&self, arguments: &Words<'_>, words: &str, pin: Option<&str>) -> Command {
        let file = self.folder.join("words");
        write_private(&file, words.as_bytes()).expect("a file with words");
        let mut all = arguments.to_vec();
        all.extend([&"--words-file" as &dyn AsRef<OsStr>, &file, &"--out", &self.out]);
        if let Some(pin) = &pin {
            all.extend([&"--pin" as &dyn AsRef<OsStr>, pin]);
        }
        self.guest.command(&all)
    }

    /// Names of what was saved.
    pub(crate) fn saved(&self) -> Vec<String> {
        names_in(&self.out)
    }

    /// How many visits were begun and not ended.
    pub(crate) fn begun(&self) -> usize {
        let visits = self.guest.state().join("visits");
        if visits.exists() { names_in(&visits).len() } else { 0 }
    }
}

/// The first link of a transfer as `status` shows it.
pub(crate) fn link_of(person: &Person, transfer: &str) -> Value {
    let status = ask(person, &[&"status", &transfer]);
    status.pointer("/transfers/0/links/0").expect("a link").clone()
}

/// The number at a place of a JSON document.
pub(crate) fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).expect("a number")
}

/// A world in which the front desk has sent one file by a link.
pub(crate) struct Linked {
    pub(crate) world: World,
    pub(crate) desk: Person,
    pub(crate) made: Made,
    pub(crate) visitor: Visitor,
}

impl Linked {
    /// A short letter.
    pub(crate) fn letter(options: &[&str]) -> Self {
        Self::new("letter.txt", b"dear patient", options)
    }

    pub(crate) fn new(name: &str, contents: &[u8], options: &[&str]) -> Self {
        let world = World::new();
        let desk = world.desk();
        let file = world.file(name, contents);
        Self {
            made: send_link(&desk, &[&file], options),
            visitor: Visitor::new(&world, "patient"),
            world,
            desk,
        }
    }

    /// What comes of opening it with the right words.
    pub(crate) fn get(&self) -> Run {
        self.visitor.open(&self.made, &self.made.words)
    }

    /// How the sender sees it.
    pub(crate) fn link(&self) -> Value {
        link_of(&self.desk, &self.made.transfer)
    }
}
