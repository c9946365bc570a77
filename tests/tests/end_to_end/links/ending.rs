//! How links end: used up, burned, and opened by one of many at once.

use std::process::Stdio;

use super::{OVER, REFUSED};
use crate::support::links::{Linked, Visitor, link_of, number, send_link};
use crate::support::{PROVIDER, World, ask, delivery, receive, run, text};

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

/// Unlocking is for wrong tries alone: what its sender ended stays ended, also when its transfer goes on.
#[test]
fn a_burned_link_is_never_armed_again() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"dear both");
    let alone = send_link(&desk, &[&file], &[]);
    let shared = send_link(&desk, &[&file], &["--to", PROVIDER]);
    let visitor = Visitor::new(&world, "patient");
    for made in [&alone, &shared] {
        ask(&desk, &[&"link", &"burn", &made.link, &"--yes"]);
        let refused = run(&desk, &[&"link", &"rearm", &made.text]);
        assert_eq!(refused.code, OVER, "{}", refused.stderr);
        assert_eq!(text(&link_of(&desk, &made.transfer), "/state"), "burned");
        let outcome = visitor.open(made, &made.words);
        assert_eq!(outcome.code, OVER, "{}", outcome.stderr);
    }
    assert_eq!(visitor.saved(), Vec::<String>::new());
    // With its only link the one transfer ended, and the sender's client gave up its share; the other one still has a recipient.
    let refused = run(&desk, &[&"rearm", &alone.transfer]);
    assert_eq!(refused.code, REFUSED, "{}", refused.stderr);
    receive(&provider, &shared.transfer, &world.empty("provider"));
    assert_eq!(delivery(&desk, &shared.transfer), "verified");
}

/// N99 with real clients: of many at once exactly one opens. Twenty of them, because a hundred derive a hundred keys of 64 MiB at once,
/// which takes a minute on two cores and slows down whatever else is tested then; the same hundred as requests to the gateway are
/// `n99_of_a_hundred_who_redeem_at_once_exactly_one_wins` of its own tests.
#[test]
fn of_twenty_at_once_one_opens() {
    const CLIENTS: usize = 20;
    let linked = Linked::letter(&["--openings", "1"]);
    let made = &linked.made;
    let visitors: Vec<Visitor> = (0..CLIENTS)
        .map(|at| Visitor::new(&linked.world, &format!("visitor-{at}")))
        .collect();
    let running: Vec<_> = visitors
        .iter()
        .map(|visitor| {
            let mut command = visitor.opening(made, &made.words);
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
    let link = linked.link();
    assert_eq!(
        (text(&link, "/receipt"), number(&link, "/openings_used")),
        ("verified".to_owned(), 1)
    );
}
