//! When things go wrong: each condition has one sentence and one exit code (docs/cli.md), and leaves nothing half written.
//!
//! What stands elsewhere: unknown recipients and damaged keys in `exits`, strangers and disabled people in `strangers`, tampered
//! envelopes in `tampering`, links that ended in `links`, what was revoked in `revoking`, an intercepting proxy in the client's own
//! tests of its requests.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealpost_client::Session;
use sealpost_client::account::Account;
use sealpost_proto::key::{Body, RevokedKey, Statement};
use sealpost_tests::gateway::Gateway;
use sealpost_tests::person::{Person, Run, finish};
use sealpost_tests::samples;

use crate::support::in_process::Clocked;
use crate::support::inside::session_of;
use crate::support::links::{Made, Visitor, link_of, number, send_link};
use crate::support::{DESK, PROVIDER, World, ask, delivery, files_below, names_in, run, send, text};

const HOUR: u64 = 3600;

/// What went wrong, and what has to come of it.
struct Case<'a> {
    what: &'a str,
    outcome: Run,
    code: i32,
    /// A part of the sentence.
    says: &'a str,
    /// The folder in which nothing may have got its name.
    out: Option<&'a Path>,
}

impl Case<'_> {
    fn check(&self) {
        let Self {
            what,
            outcome,
            code,
            says,
            ..
        } = self;
        assert_eq!(outcome.code, *code, "{what}: {}", outcome.stderr);
        let last = outcome.stderr.trim_end().lines().last().unwrap_or_default();
        let sentence = last.strip_prefix("sealpost: ").unwrap_or_default();
        assert!(sentence.contains(says), "{what}: {}", outcome.stderr);
        assert!(sentence.ends_with('.') && sentence.len() < 420, "{what}: {sentence}");
        assert!(!outcome.stderr.contains("panicked"), "{what}: {}", outcome.stderr);
        let named = self.out.map(names_in).unwrap_or_default();
        // Staging begins with a dot and is its owner's alone.
        assert!(named.iter().all(|name| name.starts_with('.')), "{what}: {named:?}");
    }
}

/// A transfer to the provider and one by a link, with somebody to open each.
struct Sent {
    desk: Person,
    provider: Person,
    file: PathBuf,
    transfer: String,
    made: Made,
    visitor: Visitor,
    target: PathBuf,
}

impl Sent {
    fn new(world: &World, bytes: &[u8]) -> Self {
        let (people, file) = ((world.desk(), world.provider()), world.file("scan.dcm", bytes));
        Self::by(people, file, world.folder.path(), world.empty("provider"), &[])
    }

    /// From the first of these people to the second.
    fn by((desk, provider): (Person, Person), file: PathBuf, folder: &Path, target: PathBuf, options: &[&str]) -> Self {
        Self {
            transfer: send(&desk, PROVIDER, &[&file], options),
            made: send_link(&desk, &[&file], options),
            visitor: Visitor::at(folder, "patient"),
            target,
            desk,
            provider,
            file,
        }
    }

    fn send(&self) -> Run {
        run(&self.desk, &[&"send", &"--to", &PROVIDER, &self.file])
    }

    fn receive(&self) -> Run {
        run(&self.provider, &[&"receive", &self.transfer, &"--into", &self.target])
    }

    fn get(&self) -> Run {
        self.visitor.open(&self.made, &self.made.words)
    }

    /// All three commands end in the same way.
    fn check_all(&self, what: &str, code: i32, says: [&str; 3]) {
        let outcomes = [("send", self.send()), ("receive", self.receive()), ("get", self.get())];
        let outs = [None, Some(self.target.as_path()), Some(self.visitor.out.as_path())];
        for (((command, outcome), says), out) in outcomes.into_iter().zip(says).zip(outs) {
            let what = format!("{what}, {command}");
            let case = Case {
                what: &what,
                outcome,
                code,
                says,
                out,
            };
            case.check();
        }
    }
}

#[test]
fn a_gateway_that_is_down_or_another_one() {
    let mut world = World::new();
    let sent = Sent::new(&world, b"small");
    let port = world.gateway.port();
    world.gateway.pause().expect("a clean end");
    sent.check_all("gateway down", 3, ["cannot be reached"; 3]);
    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = Gateway::start_on(elsewhere.path(), "info", port).expect("another gateway on the same port");
    sent.check_all(
        "wrong key",
        4,
        [
            "is not the one in your enrolment",
            "is not the one in your enrolment",
            "--pin",
        ],
    );
    other.stop().expect("a clean end");
    world.gateway.restart().expect("the true one again");
    // Without a pin nobody vouches for a certificate that the gateway made itself.
    let unpinned = sent.visitor.command(&[&"get", &sent.made.text], &sent.made.words, None);
    let case = Case {
        what: "no pin",
        outcome: finish(unpinned, b"").expect("a run"),
        code: 4,
        says: "self-made",
        out: Some(&sent.visitor.out),
    };
    case.check();
    assert_eq!(sent.get().code, 0);
}

#[test]
fn a_certificate_that_the_computer_trusts_needs_no_pin() {
    let world = World::new();
    let sent = Sent::new(&world, b"small");
    let mut command = sent.visitor.command(&[&"get", &sent.made.text], &sent.made.words, None);
    let certificate = files_below(world.gateway.data()).into_iter().map(|(path, _)| path);
    let certificate = certificate.into_iter().find(|path| path.ends_with("certificate.pem"));
    command.env("SSL_CERT_FILE", certificate.expect("the gateway's certificate"));
    let outcome = finish(command, b"").expect("a run");
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(sent.visitor.saved(), ["scan.dcm"]);
}

#[test]
fn a_clock_that_is_off_by_an_hour_and_a_transfer_that_has_expired() {
    let mut world = Clocked::new();
    let (people, file) = ((world.desk(), world.provider()), world.file("scan.dcm", b"small"));
    let target = world.empty("target");
    let sent = Sent::by(people, file, world.folder.path(), target, &["--expires", "12h"]);
    world.restart_ahead(HOUR);
    sent.check_all("clock off", 13, ["The gateway's clock says"; 3]);
    world.restart_ahead(40 * HOUR);
    world.restart_ahead(0);
    for (what, outcome, out) in [
        ("receive", sent.receive(), &sent.target),
        ("get", sent.get(), &sent.visitor.out),
    ] {
        let case = Case {
            what,
            outcome,
            code: 7,
            says: "expired",
            out: Some(out),
        };
        case.check();
    }
    world.stop();
}

#[test]
fn a_limit_that_is_reached_and_a_transfer_for_somebody_else() {
    let world = World::new();
    let sent = Sent::new(&world, b"small");
    let once = send(&sent.desk, PROVIDER, &[&sent.file], &["--openings", "1"]);
    ask(&sent.provider, &[&"receive", &once, &"--into", &world.empty("first")]);
    let again = run(
        &sent.provider,
        &[&"receive", &once, &"--again", &"--into", &sent.target],
    );
    let limit = Case {
        what: "limit",
        outcome: again,
        code: 7,
        says: "openings",
        out: Some(&sent.target),
    };
    limit.check();
    let other = world.member("other", "other@practice.example");
    let strangers = run(&other, &[&"receive", &sent.transfer, &"--into", &sent.target]);
    let not_yours = Case {
        what: "not the recipient",
        outcome: strangers,
        code: 6,
        says: "no such object for you",
        out: Some(&sent.target),
    };
    not_yours.check();
    let nobody = run(&sent.desk, &[&"send", &"--to", &"nobody@x.example", &sent.file]);
    let unknown = Case {
        what: "unknown recipient",
        outcome: nobody,
        code: 11,
        says: "not in the directory",
        out: None,
    };
    unknown.check();
}

/// Files of the gateway that hold the payload of a transfer.
fn parts(world: &World, transfer: &str) -> Vec<PathBuf> {
    let files = files_below(&world.gateway.data().join("blobs"))
        .into_iter()
        .map(|(path, _)| path);
    let is_part = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains(transfer) && path.contains("part-0") && !path.ends_with("-leaves")
    };
    let found: Vec<PathBuf> = files.filter(is_part).collect();
    assert!(!found.is_empty(), "the gateway holds no part of {transfer}");
    found
}

#[test]
fn a_part_that_was_tampered_with_or_is_missing() {
    let world = World::new();
    let sent = Sent::new(&world, &samples::noise(600_000));
    for transfer in [&sent.transfer, &sent.made.transfer] {
        let part = &parts(&world, transfer)[0];
        let mut bytes = fs::read(part).expect("a part");
        bytes[300_000] ^= 1;
        fs::write(part, bytes).expect("a part");
    }
    for (what, outcome, out) in [
        ("tampered, receive", sent.receive(), &sent.target),
        ("tampered, get", sent.get(), &sent.visitor.out),
    ] {
        let case = Case {
            what,
            outcome,
            code: 5,
            says: "altered",
            out: Some(out),
        };
        case.check();
    }
    assert_eq!(delivery(&sent.desk, &sent.transfer), "rejected");
    let link = link_of(&sent.desk, &sent.made.transfer);
    assert_eq!(
        (text(&link, "/receipt"), text(&link, "/reason")),
        ("rejected".to_owned(), "segment".to_owned())
    );

    for transfer in [&sent.transfer, &sent.made.transfer] {
        fs::remove_file(&parts(&world, transfer)[0]).expect("a part");
    }
    for (what, outcome, out) in [
        ("missing, get", sent.get(), &sent.visitor.out),
        ("missing, receive", sent.receive(), &sent.target),
    ] {
        let case = Case {
            what,
            outcome,
            code: 14,
            says: "store is damaged",
            out: Some(out),
        };
        case.check();
    }
}

/// A program that may write files of a mebibyte at most: the system refuses the rest as a full disk does.
fn with_little_room(command: &Command) -> Command {
    let mut limited = Command::new("sh");
    limited
        .args(["-c", "ulimit -f 2048; trap '' XFSZ; exec \"$0\" \"$@\""])
        .arg(command.get_program());
    limited.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[test]
fn a_disk_that_is_full_at_the_client() {
    let world = World::new();
    let contents = samples::noise(3 << 20);
    let sent = Sent::new(&world, &contents);
    let send = sent.desk.command(&[&"send", &"--to", &PROVIDER, &"-"]);
    let receive = sent
        .provider
        .command(&[&"receive", &sent.transfer, &"--into", &sent.target]);
    let get = sent.visitor.opening(&sent.made, &sent.made.words);
    let commands = [
        ("send", send, None),
        ("receive", receive, Some(sent.target.as_path())),
        ("get", get, Some(sent.visitor.out.as_path())),
    ];
    for (what, command, out) in commands {
        let outcome = finish(with_little_room(&command), &contents).expect("a run");
        let case = Case {
            what,
            outcome,
            code: 9,
            says: "make room there",
            out,
        };
        case.check();
    }
    // With room again both go on with the opening that they made.
    assert_eq!(sent.receive().code, 0);
    assert_eq!(sent.get().code, 0);
    assert_eq!(fs::read(sent.target.join("scan.dcm")).expect("the file"), contents);
    assert_eq!(number(&link_of(&sent.desk, &sent.made.transfer), "/openings_used"), 1);
}

/// Posts what a registrar's client will say one day: this person's identity counts no more.
fn end_access(registrar: &Session, person: &Account) {
    let statement = Statement {
        org: registrar.account.org,
        label: Some(person.label()),
        seq: 1,
        prev: None,
        body: Body::Revoke {
            key: RevokedKey::Identity(person.identity.public()),
            time: registrar.env.now(),
        },
    };
    let mut note = statement.note().expect("a statement");
    note.sign_as("rk", registrar.account.registrar.as_ref().expect("a registrar"));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let posted = runtime.block_on(registrar.api.post_statements(vec![note.to_string()]));
    posted.expect("a revocation");
}

#[test]
fn a_person_whose_access_was_ended() {
    let world = World::new();
    let sent = Sent::new(&world, b"small");
    end_access(&session_of(&sent.desk), &session_of(&sent.provider).account);
    let to_desk = run(&sent.provider, &[&"send", &"--to", &DESK, &sent.file]);
    for (what, outcome, code, says) in [
        ("disabled, send", to_desk, 8, "access was ended"),
        ("disabled, receive", sent.receive(), 8, "access was ended"),
        ("to somebody disabled", sent.send(), 11, "revoked"),
    ] {
        let case = Case {
            what,
            outcome,
            code,
            says,
            out: Some(&sent.target),
        };
        case.check();
    }
    assert_eq!(sent.get().code, 0, "a link is another's");
}
