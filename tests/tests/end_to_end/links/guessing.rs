//! Guessing at a link: what a wrong try is told, how long it makes one wait, and when the link locks.

use std::path::Path;
use std::sync::Arc;

use sealpost_client::env::{Clock, SystemClock, SystemRandom};
use sealpost_client::get::Door;
use sealpost_client::{Env, Error};
use sealpost_proto::link::Link;
use sealpost_proto::problem::ProblemKind;

use super::WRONG_WORDS;
use crate::support::in_process::Clocked;
use crate::support::links::{Linked, Made, Visitor, link_of, number, send_link};
use crate::support::{ask, text};

/// N102, as a person meets it.
#[test]
fn wrong_words_and_unknown_links_are_told_alike() {
    let linked = Linked::letter(&[]);
    let Linked { made, visitor, .. } = &linked;
    let wrong = visitor.open(made, &made.wrong_words());
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
    assert_eq!(number(&linked.link(), "/wrong_tries"), 1);

    // What cannot be right is not even sent.
    for words in ["abacus zoom crispy blank", "abacus zoom qqqq crispy blank"] {
        let refused = visitor.get(&made.text, words, &made.pin);
        assert_eq!(refused.code, WRONG_WORDS, "{}", refused.stderr);
        assert!(!refused.stderr.contains("qqqq"), "{}", refused.stderr);
    }
    assert_eq!(number(&linked.link(), "/wrong_tries"), 1);
    assert_eq!(linked.get().code, 0);
    assert_eq!(number(&linked.link(), "/wrong_tries"), 0);
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
    let mut world = Clocked::new();
    let desk = world.desk();
    let made = send_link(&desk, &[&world.file("letter.txt", b"dear patient")], &[]);
    let visitor = Visitor::at(world.folder.path(), "patient");
    let state = visitor.guest.state();
    let wrong = made.wrong_words();
    for number in 1..=5 {
        let told = told_later(&made, &wrong, 0, &state);
        assert_eq!(told, Some(ProblemKind::LinkRefused), "try {number}");
    }
    assert_eq!(told_later(&made, &wrong, 0, &state), Some(ProblemKind::LinkDelayed));
    let slowed = visitor.open(&made, &made.words);
    assert_eq!(slowed.code, WRONG_WORDS, "{}", slowed.stderr);
    assert!(slowed.stderr.contains(" seconds and try again."), "{}", slowed.stderr);
    let mut later = 0;
    for number in 6..=10 {
        later += 30 << (number - 5);
        world.restart_ahead(later);
        let told = told_later(&made, &wrong, later, &state);
        assert_eq!(told, Some(ProblemKind::LinkRefused), "try {number}");
    }
    later += 86_400;
    world.restart_ahead(later);
    for (words, what) in [(&wrong, "the eleventh"), (&made.words, "nor the right ones")] {
        let told = told_later(&made, words, later, &state);
        assert_eq!(told, Some(ProblemKind::LinkLocked), "{what}");
    }
    world.restart_ahead(0);
    let locked = visitor.open(&made, &made.words);
    assert_eq!(locked.code, WRONG_WORDS, "{}", locked.stderr);
    assert!(
        locked.stderr.contains("locked") && locked.stderr.contains("re-arm"),
        "{}",
        locked.stderr
    );
    assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "locked");
    ask(&desk, &[&"link", &"rearm", &made.text]);
    assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "open");
    let outcome = visitor.open(&made, &made.words);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    world.stop();
}
