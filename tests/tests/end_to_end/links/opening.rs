//! Opening by a link: what the visitor gets, what the sender sees, and every way to write link and words.

use std::fs;

use sealpost_tests::samples;
use serde_json::Value;

use super::{USAGE, WRONG_WORDS};
use crate::support::links::{Linked, Visitor, link_of, number, send_link};
use crate::support::{DESK, PROVIDER, World, ask, receive, run, text};

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
    let linked = Linked::letter(&["--link-secret", "--words", "7"]);
    let Linked {
        world, made, visitor, ..
    } = &linked;
    assert_eq!(made.words.split(' ').count(), 7);
    let refused = visitor.get(&made.text, &made.words, &made.pin);
    assert_eq!(refused.code, USAGE, "{}", refused.stderr);
    let secret = made.secret().expect("a secret");
    assert!(
        !refused.stderr.contains(secret) && refused.stderr.contains("--link-file"),
        "{}",
        refused.stderr
    );
    let listed = ask(&linked.desk, &[&"link", &"list"]).to_string();
    assert!(!listed.contains(secret), "the secret is not kept");

    // The words without the secret, and another organisation than the sender's, open nothing.
    let base = made.text.split_once('#').expect("a fragment").0;
    let without = visitor.get(&format!("{base}/{}", made.id()), &made.words, &made.pin);
    assert_eq!(without.code, WRONG_WORDS, "{}", without.stderr);
    let (kept, org) = made.text.rsplit_once("o=").expect("an organisation");
    let other = world.file(
        "other",
        format!("{kept}o={}", org.chars().rev().collect::<String>()).as_bytes(),
    );
    let outcome = visitor.run(&[&"get", &"--link-file", &other], &made.words, &made.pin);
    assert_eq!(outcome.code, 5, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), Vec::<String>::new());

    let link = world.file("link", made.text.as_bytes());
    let outcome = visitor.run(&[&"--json", &"get", &"--link-file", &link], &made.words, &made.pin);
    let answer = outcome.json("get").expect("a success");
    assert_eq!(answer.pointer("/from/verified"), Some(&Value::from(true)));
    assert_eq!(visitor.saved(), ["letter.txt"]);
}

#[test]
fn every_form_of_the_link_and_of_the_words_opens() {
    let linked = Linked::letter(&["--openings", "9"]);
    let made = &linked.made;
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
        let visitor = Visitor::new(&linked.world, &format!("patient-{at}"));
        let outcome = visitor.get(link, words, &made.pin);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        assert_eq!(visitor.saved(), ["letter.txt"]);
    }
    assert_eq!(number(&linked.link(), "/openings_used"), 3);
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
    receive(&provider, &made.transfer, &target);
    let status = ask(&desk, &[&"status", &made.transfer]);
    assert_eq!(text(&status, "/transfers/0/recipients/0/state"), "verified");
    assert_eq!(text(&status, "/transfers/0/links/0/receipt"), "verified");
    let seen = ask(&provider, &[&"inbox"]).to_string();
    assert!(!seen.contains(&made.link), "a recipient sees no links");
}
