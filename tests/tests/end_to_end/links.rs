//! Links: somebody without an account opens what was sent, once, verified; nobody else learns anything.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use sealpost_client::env::{Clock, SystemClock, SystemRandom};
use sealpost_client::get::Door;
use sealpost_client::{Env, Error};
use sealpost_proto::link::Link;
use sealpost_proto::problem::ProblemKind;
use sealpost_tests::disk;
use sealpost_tests::guest::Guest;
use sealpost_tests::person::{Person, Run, Words, write_private};
use sealpost_tests::samples;
use serde_json::Value;

use crate::support::in_process::InProcess;
use crate::support::{DESK, PROVIDER, World, ask, found, names_in, run, text};

/// Exit codes of docs/cli.md.
const USAGE: i32 = 2;
const OVER: i32 = 7;
const WRONG_WORDS: i32 = 17;

/// A link as its sender got it.
pub(crate) struct Made {
    pub(crate) transfer: String,
    pub(crate) link: String,
    pub(crate) text: String,
    pub(crate) words: String,
    pub(crate) pin: String,
}

/// Sends files by a link.
pub(crate) fn send_link(person: &Person, paths: &[&Path], options: &[&str]) -> Made {
    let mut words: Vec<&dyn AsRef<OsStr>> = vec![&"send"];
    if !options.contains(&"--link-secret") {
        words.push(&"--link");
    }
    words.extend(options.iter().map(|word| word as &dyn AsRef<OsStr>));
    words.extend(paths.iter().map(|path| path as &dyn AsRef<OsStr>));
    let answer = ask(person, &words);
    Made {
        transfer: text(&answer, "/transfer"),
        link: text(&answer, "/link/link"),
        text: text(&answer, "/link/text"),
        words: text(&answer, "/link/words"),
        pin: text(&answer, "/link/pin"),
    }
}

/// A guest with a file for words and a folder for what is saved.
pub(crate) struct Visitor {
    pub(crate) guest: Guest,
    words: PathBuf,
    pub(crate) out: PathBuf,
}

impl Visitor {
    pub(crate) fn new(world: &World, name: &str) -> Self {
        Self::at(world.folder.path(), name)
    }

    pub(crate) fn at(folder: &Path, name: &str) -> Self {
        let folder = folder.join("guests");
        let guest = Guest::new(&folder, name).expect("a guest");
        let out = folder.join(name).join("saved");
        fs::create_dir_all(&out).expect("a folder");
        Self {
            guest,
            words: folder.join(name).join("words"),
            out,
        }
    }

    /// `get` with a link on the command line.
    pub(crate) fn get(&self, link: &str, words: &str, pin: &str) -> Run {
        self.run(&[&"get", &link], words, pin)
    }

    pub(crate) fn run(&self, arguments: &Words<'_>, words: &str, pin: &str) -> Run {
        self.guest.run(&self.arguments(arguments, words, &pin)).expect("a run")
    }

    fn arguments<'a>(&'a self, arguments: &Words<'a>, words: &str, pin: &'a &str) -> Vec<&'a dyn AsRef<OsStr>> {
        write_private(&self.words, words.as_bytes()).expect("a file with words");
        let mut all = arguments.to_vec();
        all.extend([
            &"--words-file" as &dyn AsRef<OsStr>,
            &self.words,
            &"--out",
            &self.out,
            &"--pin",
            pin,
        ]);
        all
    }

    /// Names of what was saved.
    pub(crate) fn saved(&self) -> Vec<String> {
        names_in(&self.out)
    }

    fn begun(&self) -> usize {
        let visits = self.guest.state().join("visits");
        if visits.exists() { names_in(&visits).len() } else { 0 }
    }
}

/// The first link of a transfer as `status` shows it.
pub(crate) fn link_of(person: &Person, transfer: &str) -> Value {
    let status = ask(person, &[&"status", &transfer]);
    status.pointer("/transfers/0/links/0").expect("a link").clone()
}

fn number(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).expect("a number")
}

#[test]
fn somebody_without_an_account_opens_what_was_sent() {
    let world = World::new();
    let desk = world.desk();
    let contents = samples::noise(700_000);
    let (scan, letter) = (
        world.file("scan.dcm", &contents),
        world.file("letter.txt", b"dear patient"),
    );
    let made = send_link(&desk, &[&scan, &letter], &["--subject", "your referral"]);
    assert!(
        !made.text.contains('#') && made.words.split(' ').count() == 5,
        "{}",
        made.text
    );
    assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "open");

    let visitor = Visitor::new(&world, "patient");
    let outcome = visitor.run(&[&"--json", &"get", &made.text], &made.words, &made.pin);
    let answer = outcome.json("get").expect("a success");
    assert_eq!(text(&answer, "/from/address"), DESK);
    assert_eq!(text(&answer, "/from/organisation"), "Example Clinic");
    assert_eq!(answer.pointer("/from/verified"), Some(&Value::from(false)));
    assert_eq!(text(&answer, "/subject"), "your referral");
    assert_eq!(answer.pointer("/receipt_sent"), Some(&Value::from(true)));
    assert_eq!(visitor.saved(), ["letter.txt", "scan.dcm"]);
    assert_eq!(fs::read(visitor.out.join("scan.dcm")).expect("the file"), contents);
    assert_eq!(visitor.begun(), 0, "nothing is kept once the receipt has gone");

    let link = link_of(&desk, &made.transfer);
    assert_eq!(text(&link, "/receipt"), "verified");
    assert_eq!(text(&link, "/receipt_assurance"), "link");
    assert_eq!((number(&link, "/openings"), number(&link, "/openings_used")), (5, 1));
    assert_eq!(link.pointer("/problem"), Some(&Value::Null));
    let list = ask(&desk, &[&"link", &"list"]);
    assert_eq!(
        text(&list, "/links/0/link/text"),
        made.text,
        "the link can be shown again"
    );
    assert!(!list.to_string().contains(&made.words), "the words cannot");
    let seen = run(&desk, &[&"status", &made.transfer]);
    assert!(
        String::from_utf8_lossy(&seen.stdout).contains(", verified "),
        "{seen:?}"
    );
}

#[test]
fn a_link_with_a_secret_names_its_organisation_and_is_no_argument() {
    let world = World::new();
    let file = world.file("letter.txt", b"dear patient");
    let made = send_link(&world.desk(), &[&file], &["--link-secret", "--words", "7"]);
    assert_eq!(made.words.split(' ').count(), 7);
    let visitor = Visitor::new(&world, "patient");
    let refused = visitor.get(&made.text, &made.words, &made.pin);
    assert_eq!(refused.code, USAGE, "{}", refused.stderr);
    let secret = made
        .text
        .split(";s=")
        .nth(1)
        .and_then(|rest| rest.get(..43))
        .expect("a secret");
    assert!(
        !refused.stderr.contains(secret) && refused.stderr.contains("--link-file"),
        "{}",
        refused.stderr
    );
    let link = world.file("link", made.text.as_bytes());
    let listed = ask(&world.desk(), &[&"link", &"list"]).to_string();
    assert!(!listed.contains(secret), "the secret is not kept");

    // The words without the secret, and another organisation than the sender's, open nothing.
    let id = &made.text.split("id=").nth(1).expect("an id")[..32];
    let without = visitor.get(
        &made
            .text
            .replace(&format!("#v1;id={id};"), "/")
            .split("s=")
            .next()
            .map_or_else(String::new, |base| format!("{base}{id}")),
        &made.words,
        &made.pin,
    );
    assert_eq!(without.code, WRONG_WORDS, "{}", without.stderr);
    let (kept, org) = made.text.rsplit_once("o=").expect("an organisation");
    let other = world.file(
        "other",
        format!("{kept}o={}", org.chars().rev().collect::<String>()).as_bytes(),
    );
    let outcome = visitor.run(&[&"get", &"--link-file", &other], &made.words, &made.pin);
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), Vec::<String>::new());

    let outcome = visitor.run(&[&"--json", &"get", &"--link-file", &link], &made.words, &made.pin);
    let answer = outcome.json("get").expect("a success");
    assert_eq!(answer.pointer("/from/verified"), Some(&Value::from(true)));
    assert_eq!(visitor.saved(), ["letter.txt"]);
}

#[test]
fn every_form_of_the_link_and_of_the_words_opens() {
    let world = World::new();
    let desk = world.desk();
    let file = world.file("letter.txt", b"dear patient");
    let made = send_link(&desk, &[&file], &["--openings", "9"]);
    let (base, id) = made.text.rsplit_once('/').expect("a path");
    let noisy = made
        .words
        .split(' ')
        .map(str::to_uppercase)
        .collect::<Vec<_>>()
        .join(" \u{e4} -  ");
    let forms = [
        (made.text.clone(), made.words.clone()),
        (format!("{base}#{id}"), noisy),
        (
            format!("{base}%23{id}"),
            format!("\t {}.\n", made.words.replace(' ', ", ")),
        ),
    ];
    for (at, (link, words)) in forms.iter().enumerate() {
        let visitor = Visitor::new(&world, &format!("patient-{at}"));
        let outcome = visitor.get(link, words, &made.pin);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(visitor.saved(), ["letter.txt"]);
    }
    assert_eq!(number(&link_of(&desk, &made.transfer), "/openings_used"), 3);
}

/// N102, as a person meets it.
#[test]
fn wrong_words_and_unknown_links_are_told_alike() {
    let world = World::new();
    let desk = world.desk();
    let file = world.file("letter.txt", b"dear patient");
    let made = send_link(&desk, &[&file], &[]);
    let visitor = Visitor::new(&world, "stranger");
    let others = made.words.split(' ').rev().collect::<Vec<_>>().join(" ");
    let wrong = visitor.get(&made.text, &others, &made.pin);
    let (base, _) = made.text.rsplit_once('/').expect("a path");
    let unknown = visitor.get(&format!("{base}/{}", "0".repeat(32)), &made.words, &made.pin);
    assert_eq!(
        (wrong.code, unknown.code),
        (WRONG_WORDS, WRONG_WORDS),
        "{}",
        wrong.stderr
    );
    assert_eq!((&wrong.stderr, &wrong.stdout), (&unknown.stderr, &unknown.stdout));
    assert_eq!(visitor.begun(), 0, "nothing is kept of what was refused");
    assert_eq!(number(&link_of(&desk, &made.transfer), "/wrong_tries"), 1);

    // What cannot be right is not even sent.
    for words in ["abacus zoom crispy blank", "abacus zoom qqqq crispy blank"] {
        let refused = visitor.get(&made.text, words, &made.pin);
        assert_eq!(refused.code, WRONG_WORDS, "{}", refused.stderr);
        assert!(!refused.stderr.contains("qqqq"), "{}", refused.stderr);
    }
    assert_eq!(number(&link_of(&desk, &made.transfer), "/wrong_tries"), 1);
    assert_eq!(visitor.get(&made.text, &made.words, &made.pin).code, 0);
    assert_eq!(number(&link_of(&desk, &made.transfer), "/wrong_tries"), 0);
}

#[test]
fn a_link_that_is_used_up_or_burned_tells_who_knows_the_words() {
    let world = World::new();
    let desk = world.desk();
    let file = world.file("letter.txt", b"dear patient");
    let once = send_link(&desk, &[&file], &["--openings", "1"]);
    let burned = send_link(&desk, &[&file], &[]);
    let visitor = Visitor::new(&world, "patient");
    assert_eq!(visitor.get(&once.text, &once.words, &once.pin).code, 0);
    let second = visitor.get(&once.text, &once.words, &once.pin);
    assert_eq!(second.code, OVER, "{}", second.stderr);
    assert!(second.stderr.contains("openings"), "{}", second.stderr);

    let declined = run(&desk, &[&"link", &"burn", &burned.text]);
    assert_eq!(declined.code, 16, "{}", declined.stderr);
    assert_eq!(text(&link_of(&desk, &burned.transfer), "/state"), "open");
    ask(&desk, &[&"link", &"burn", &burned.link, &"--yes"]);
    assert_eq!(text(&link_of(&desk, &burned.transfer), "/state"), "burned");
    let outcome = visitor.get(&burned.text, &burned.words, &burned.pin);
    assert_eq!(outcome.code, OVER, "{}", outcome.stderr);
    assert_eq!(run(&desk, &[&"link", &"burn", &"00000000", &"--yes"]).code, 6);
    assert_eq!(visitor.saved(), ["letter.txt"]);
    assert_eq!(visitor.begun(), 0);
}

/// N99 with real clients: of many at once exactly one opens. Twenty of them, because a hundred derive a hundred keys of 64 MiB at once,
/// which takes a minute on two cores and slows down whatever else is tested then; the same hundred as requests to the gateway are
/// `n99_of_a_hundred_who_redeem_at_once_exactly_one_wins` of its own tests.
#[test]
fn of_twenty_at_once_one_opens() {
    const CLIENTS: usize = 20;
    let world = World::new();
    let desk = world.desk();
    let file = world.file("letter.txt", b"dear patient");
    let made = send_link(&desk, &[&file], &["--openings", "1"]);
    let visitors: Vec<Visitor> = (0..CLIENTS)
        .map(|at| Visitor::new(&world, &format!("patient-{at}")))
        .collect();
    let running: Vec<_> = visitors
        .iter()
        .map(|visitor| {
            let pin = made.pin.as_str();
            let arguments: [&dyn AsRef<OsStr>; 2] = [&"get", &made.text];
            let mut command = visitor.guest.command(&visitor.arguments(&arguments, &made.words, &pin));
            command
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().expect("a client")
        })
        .collect();
    let mut codes = Vec::new();
    for client in running {
        let output = client.wait_with_output().expect("an end");
        codes.push(output.status.code().expect("a code"));
    }
    codes.sort_unstable();
    let expected: Vec<i32> = [vec![0], vec![OVER; CLIENTS - 1]].concat();
    assert_eq!(codes, expected);
    let winners = visitors.iter().filter(|visitor| !visitor.saved().is_empty()).count();
    assert_eq!(winners, 1);
    let link = link_of(&desk, &made.transfer);
    assert_eq!(
        (text(&link, "/receipt"), number(&link, "/openings_used")),
        ("verified".to_owned(), 1)
    );
}

#[test]
fn a_get_that_is_killed_continues_the_same_opening() {
    let world = World::new();
    let desk = world.desk();
    let contents = samples::noise(48 << 20);
    let file = world.file("study.dcm", &contents);
    let made = send_link(&desk, &[&file], &["--openings", "1"]);
    let visitor = Visitor::new(&world, "patient");
    let pin = made.pin.as_str();
    let arguments: [&dyn AsRef<OsStr>; 2] = [&"get", &made.text];
    let mut command = visitor.guest.command(&visitor.arguments(&arguments, &made.words, &pin));
    let mut client = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client");
    // Staging is there as soon as the opening was made and bytes are on their way.
    while visitor.saved().is_empty() {
        assert!(
            client.try_wait().expect("a client").is_none(),
            "it ended before it was killed"
        );
        std::thread::yield_now();
    }
    client.kill().expect("a kill");
    client.wait().expect("an end");
    assert!(
        !visitor.saved().contains(&"study.dcm".to_owned()),
        "no file has its name"
    );
    assert_eq!(visitor.begun(), 1);
    assert_eq!(number(&link_of(&desk, &made.transfer), "/openings_used"), 1);

    // Other words in between do not take the place of what was begun.
    let others = made.words.split(' ').rev().collect::<Vec<_>>().join(" ");
    assert_eq!(visitor.get(&made.text, &others, pin).code, WRONG_WORDS);
    assert_eq!(visitor.begun(), 1);
    let outcome = visitor.get(&made.text, &made.words, pin);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), ["study.dcm"]);
    assert_eq!(fs::read(visitor.out.join("study.dcm")).expect("the file"), contents);
    let link = link_of(&desk, &made.transfer);
    assert_eq!(
        (text(&link, "/receipt"), number(&link, "/openings_used")),
        ("verified".to_owned(), 1)
    );
    assert_eq!(visitor.begun(), 0);
}

/// Words are told by the command that ends a send, also when another one began it; afterwards by none.
#[test]
fn a_send_that_is_killed_still_tells_its_words() {
    let world = World::new();
    let desk = world.desk();
    let file = world.file("study.dcm", &samples::noise(48 << 20));
    let arguments: [&dyn AsRef<OsStr>; 3] = [&"send", &"--link", &file];
    let mut command = desk.command(&arguments);
    let mut client = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client");
    let sending = desk.home().join("sending");
    let is_begun = || sending.exists() && names_in(&sending).iter().any(|name| name.ends_with(".spk"));
    while !is_begun() {
        assert!(
            client.try_wait().expect("a client").is_none(),
            "it ended before it was killed"
        );
        std::thread::yield_now();
    }
    client.kill().expect("a kill");
    client.wait().expect("an end");
    let resumed = ask(&desk, &[&"resume"]);
    let link = |what: &str| text(&resumed, &format!("/sent/0/link/{what}"));
    let visitor = Visitor::new(&world, "patient");
    let outcome = visitor.get(&link("text"), &link("words"), &link("pin"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), ["study.dcm"]);
    assert_eq!(names_in(&sending), Vec::<String>::new(), "nothing of it is kept");
}

#[test]
fn the_gateway_holds_neither_words_nor_secrets_nor_proofs() {
    let world = World::logging("trace");
    let desk = world.desk();
    let files = samples::referral("Ann Example");
    let paths: Vec<_> = files.iter().map(|file| world.file(&file.name, &file.bytes)).collect();
    let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let plain = send_link(&desk, &paths, &[]);
    let secret = send_link(&desk, &paths, &["--link-secret"]);
    let visitor = Visitor::new(&world, "patient");
    assert_eq!(visitor.get(&plain.text, &plain.words, &plain.pin).code, 0);
    let link = world.file("link-text", secret.text.as_bytes());
    let outcome = visitor.run(&[&"get", &"--link-file", &link], &secret.words, &secret.pin);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);

    let digits = secret
        .text
        .split(";s=")
        .nth(1)
        .and_then(|rest| rest.get(..43))
        .expect("a secret");
    let bytes = data_encoding::BASE64URL_NOPAD
        .decode(digits.as_bytes())
        .expect("a secret");
    let mut needles = disk::needles(&files)
        .contents("the secret", &bytes)
        .text("the secret's text", digits);
    for words in [&plain.words, &secret.words] {
        needles = needles.contents("the words", words.as_bytes());
    }
    for made in [&plain, &secret] {
        let id = made.text.split("/l").last().expect("an id");
        let id: String = id
            .trim_start_matches("/")
            .trim_start_matches("#v1;id=")
            .chars()
            .take(32)
            .collect();
        let raw = data_encoding::HEXLOWER.decode(id.as_bytes()).expect("an id");
        needles = needles
            .contents("the link's id", &raw)
            .text("the link's id in digits", &id);
    }
    let control = needles.search(&[&world.folder.path().join("guests"), &world.folder.path().join("files")]);
    let control = control.expect("a search").findings;
    assert!(
        control.iter().any(|finding| finding.what == "the words"),
        "the search finds words where they are"
    );
    let log = world.folder.path().join("log");
    fs::create_dir_all(&log).expect("a folder");
    fs::write(log.join("log"), world.gateway.log()).expect("the log");
    let places = [world.gateway.data().to_path_buf(), world.gateway.ring(), log];
    let places: Vec<&Path> = places.iter().map(AsRef::as_ref).collect();
    let report = needles.search(&places).expect("a search");
    // The link's id stands in the stanza, which the sender signed; elsewhere its hash.
    let others: Vec<_> = report
        .findings
        .iter()
        .filter(|finding| !(finding.what == "the link's id" && finding.file.to_string_lossy().contains("envelope")))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    assert!(report.files > 5 && report.bytes > 300_000, "{} files", report.files);
}

#[test]
fn a_person_and_a_link_can_have_the_same_transfer() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"dear both");
    let made = send_link(&desk, &[&file], &["--to", PROVIDER]);
    let visitor = Visitor::new(&world, "patient");
    assert_eq!(visitor.get(&made.text, &made.words, &made.pin).code, 0);
    let target = world.empty("provider");
    crate::support::receive(&provider, &made.transfer, &target);
    let status = ask(&desk, &[&"status", &made.transfer]);
    assert_eq!(text(&status, "/transfers/0/recipients/0/state"), "verified");
    assert_eq!(text(&status, "/transfers/0/links/0/receipt"), "verified");
    let seen = ask(&provider, &[&"inbox"]).to_string();
    assert!(!seen.contains(&made.link), "a recipient sees no links");
}

/// The system's clock, so many seconds ahead: the visitor's, together with the gateway's.
#[derive(Debug)]
struct Later(u64);

impl Clock for Later {
    fn now(&self) -> u64 {
        SystemClock.now() + self.0
    }
}

/// What a visitor's client is told at a time so many seconds from now.
fn told_later(made: &Made, words: &str, seconds: u64, state: &Path) -> Option<ProblemKind> {
    let env = Env::new(Arc::new(Later(seconds)), Arc::new(SystemRandom));
    let pin = data_encoding::HEXLOWER.decode(made.pin.as_bytes()).expect("a pin");
    let link = Link::parse(&made.text).expect("a link");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = runtime.block_on(async {
        let door = Door::knock(link, pin.try_into().ok(), env).await?;
        door.open(words, state).await.map(drop)
    });
    match opened {
        Err(Error::Api(error)) => error.kind(),
        Err(error) => panic!("{error}"),
        Ok(()) => None,
    }
}

/// N101: the eleventh wrong try meets a lock, and the sender's word opens it.
#[test]
fn ten_wrong_tries_lock_a_link_until_its_sender_unlocks_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut gateway = InProcess::start(folder.path(), 0, 0);
    let port = gateway.port;
    let desk = found(&folder.path().join("data/setup-string"), folder.path()).admin;
    let file = folder.path().join("letter.txt");
    fs::write(&file, b"dear patient").expect("a file");
    let made = send_link(&desk, &[&file], &[]);
    let visitor = Visitor::at(folder.path(), "patient");
    let state = visitor.guest.state();
    let wrong = made.words.split(' ').rev().collect::<Vec<_>>().join(" ");
    for number in 1..=5 {
        let told = told_later(&made, &wrong, 0, &state);
        assert_eq!(told, Some(ProblemKind::LinkRefused), "try {number}");
    }
    assert_eq!(told_later(&made, &wrong, 0, &state), Some(ProblemKind::LinkDelayed));
    let slowed = visitor.get(&made.text, &made.words, &made.pin);
    assert_eq!(slowed.code, WRONG_WORDS, "{}", slowed.stderr);
    assert!(slowed.stderr.contains(" seconds."), "{}", slowed.stderr);
    let mut later = 0;
    for number in 6..=10 {
        gateway.stop();
        later += 30 << (number - 5);
        gateway = InProcess::start(folder.path(), port, later);
        let told = told_later(&made, &wrong, later, &state);
        assert_eq!(told, Some(ProblemKind::LinkRefused), "try {number}");
    }
    gateway.stop();
    later += 86_400;
    gateway = InProcess::start(folder.path(), port, later);
    assert_eq!(
        told_later(&made, &wrong, later, &state),
        Some(ProblemKind::LinkLocked),
        "the eleventh"
    );
    assert_eq!(
        told_later(&made, &made.words, later, &state),
        Some(ProblemKind::LinkLocked),
        "nor the right ones"
    );
    gateway.stop();
    let gateway = InProcess::start(folder.path(), port, 0);
    let locked = visitor.get(&made.text, &made.words, &made.pin);
    assert_eq!(locked.code, WRONG_WORDS, "{}", locked.stderr);
    assert!(
        locked.stderr.contains("locked") && locked.stderr.contains("re-arm"),
        "{}",
        locked.stderr
    );
    assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "locked");
    ask(&desk, &[&"link", &"rearm", &made.text]);
    assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "open");
    let outcome = visitor.get(&made.text, &made.words, &made.pin);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    gateway.stop();
}
