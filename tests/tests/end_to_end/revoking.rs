//! Taking back what was sent, and arming it again after a restore.

use std::fs;

use crate::support::links::{Linked, Visitor, send_link};
use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, run, send, text};

/// Exit codes of docs/cli.md.
const NOT_FOUND: i32 = 6;
const OVER: i32 = 7;
const REFUSED: i32 = 8;
const GATEWAY: i32 = 14;
const DECLINED: i32 = 16;

#[test]
fn what_was_revoked_opens_no_more_and_what_was_saved_stays() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"take me back");
    let saved = send(&desk, PROVIDER, &[&file], &[]);
    let target = world.empty("provider");
    receive(&provider, &saved, &target);
    let unopened = send(&desk, PROVIDER, &[&file], &[]);

    let declined = run(&desk, &[&"revoke", &unopened]);
    assert_eq!(declined.code, DECLINED, "{}", declined.stderr);
    assert_eq!(delivery(&desk, &unopened), "sealed");
    let strangers = run(&provider, &[&"revoke", &unopened, &"--yes"]);
    assert_eq!(strangers.code, NOT_FOUND, "a recipient cannot: {}", strangers.stderr);

    let outcome = run(&desk, &[&"revoke", &unopened, &saved, &"--yes"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    let told = String::from_utf8_lossy(&outcome.stdout).into_owned();
    assert!(told.contains("already saved stays saved"), "{told}");
    assert_eq!(delivery(&desk, &unopened), "revoked");
    assert_eq!(
        delivery(&desk, &saved),
        "verified",
        "what was verified is never taken back"
    );
    let other = world.empty("late");
    let late = run(&provider, &[&"receive", &unopened, &"--into", &other]);
    assert_eq!(late.code, OVER, "{}", late.stderr);
    assert!(late.stderr.contains("withdrawn"), "{}", late.stderr);
    assert_eq!(names_in(&other), Vec::<String>::new());
    assert_eq!(fs::read(target.join("letter.txt")).expect("the file"), b"take me back");
    let again = ask(&desk, &[&"revoke", &unopened, &"--yes"]);
    assert_eq!(text(&again, "/revoked/0/state"), "revoked", "twice is as once");
}

#[test]
fn a_registrar_may_take_back_what_others_sent_and_others_may_not() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"take me back");
    let transfer = send(&provider, PROVIDER, &[&file], &[]);
    let outsider = world.member("outsider", "outsider@practice.example");
    let refused = run(&outsider, &[&"revoke", &transfer, &"--yes"]);
    assert_eq!(refused.code, NOT_FOUND, "{}", refused.stderr);
    ask(&desk, &[&"revoke", &transfer, &"--yes"]);
    assert_eq!(delivery(&provider, &transfer), "revoked");
}

#[test]
fn the_link_of_what_was_revoked_says_so_to_who_knows_the_words() {
    let linked = Linked::letter(&[]);
    ask(&linked.desk, &[&"revoke", &linked.made.transfer, &"--yes"]);
    let outcome = linked.get();
    assert_eq!(outcome.code, OVER, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("withdrawn"), "{}", outcome.stderr);
    assert_eq!(linked.visitor.saved(), Vec::<String>::new());
    assert_eq!(linked.link().pointer("/receipt"), Some(&serde_json::Value::Null));
}

/// A restore has no shares: everything waits for its sender.
#[test]
fn after_a_restore_transfers_are_held_until_their_sender_arms_them_again() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"arm me again");
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let made = send_link(&desk, &[&file], &[]);
    let others = send(&provider, PROVIDER, &[&file], &[]);
    assert_eq!(
        ask(&desk, &[&"rearm", &"--yes"]).pointer("/rearmed"),
        Some(&serde_json::json!([]))
    );

    world.gateway.pause().expect("a clean end");
    for folder in [world.gateway.data().join("shares"), world.gateway.ring()] {
        fs::remove_dir_all(&folder).expect("a folder of shares or keys");
    }
    world.gateway.restart().expect("a start without shares");
    let target = world.empty("provider");
    let held = run(&provider, &[&"receive", &transfer, &"--into", &target]);
    assert_eq!(held.code, GATEWAY, "{}", held.stderr);
    assert!(held.stderr.contains("sealpost rearm"), "{}", held.stderr);
    assert_eq!(delivery(&desk, &transfer), "held");
    let visitor = Visitor::new(&world, "patient");
    let waiting = visitor.open(&made, &made.words);
    assert_eq!(waiting.code, GATEWAY, "{}", waiting.stderr);

    // Somebody else's copy of the client has no share of it.
    let foreign = run(&provider, &[&"rearm", &transfer]);
    assert_eq!(foreign.code, REFUSED, "{}", foreign.stderr);
    let rearmed = ask(&desk, &[&"rearm", &"--yes"]);
    let states: Vec<_> = (0..2)
        .map(|at| text(&rearmed, &format!("/rearmed/{at}/state")))
        .collect();
    assert_eq!(states, ["available", "available"]);
    assert_eq!(rearmed.pointer("/rearmed/2"), None, "only one's own");
    receive(&provider, &transfer, &target);
    assert_eq!(delivery(&desk, &transfer), "verified");
    let outcome = visitor.open(&made, &made.words);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(delivery(&provider, &others), "held");
}
