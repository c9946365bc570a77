//! Interrupted by Ctrl-C, by the gateway's own end, and at a visitor's: nothing is sent or saved twice, and what to do next is said.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use sealpost_tests::samples;

use super::resuming::{LEN, records, records_in, unfinished};
use crate::support::children::{kill_when, wait_until};
use crate::support::links::{Linked, Visitor, link_of, number, send_link};
use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, send, text};

/// Exit codes of docs/cli.md.
const ALREADY_SAVED: i32 = 15;
const WRONG_WORDS: i32 = 17;
const INTERRUPTED: i32 = 130;

/// Starts a command whose words to a person are kept.
fn start(mut command: Command) -> Child {
    let command = command.stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::piped()).spawn().expect("a client")
}

/// What it says when it is stopped as by Ctrl-C.
fn stopped(child: Child) -> String {
    kill_process(Pid::from_child(&child), Signal::INT).expect("a process that runs");
    let output = child.wait_with_output().expect("an end");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(INTERRUPTED), "{told}");
    told
}

/// Where a visitor's client keeps how far saving came.
fn staged(visitor: &Visitor) -> PathBuf {
    visitor.guest.state().join("receiving")
}

#[test]
fn ctrl_c_says_how_to_go_on_with_a_send_and_a_receive() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let mut sending = start(desk.command(&[&"send", &"--to", &PROVIDER, &file]));
    wait_until(&mut sending, || records(&desk, "sending") > 2);
    let told = stopped(sending);
    assert!(told.contains("sealpost") && told.contains("resume"), "{told}");
    let transfer = unfinished(&desk, "sending");
    assert_eq!(text(&ask(&desk, &[&"resume"]), "/sent/0/transfer"), transfer);

    let target = world.empty("provider");
    let mut receiving = start(provider.command(&[&"receive", &transfer, &"--into", &target]));
    wait_until(&mut receiving, || records(&provider, "receiving") >= 2);
    let told = stopped(receiving);
    assert!(told.contains("sealpost") && told.contains("resume"), "{told}");
    assert_eq!(
        names_in(&target),
        [format!(".sealpost-{transfer}")],
        "nothing has a name yet"
    );
    assert_eq!(text(&ask(&provider, &[&"resume"]), "/received/0/transfer"), transfer);
    assert!(
        fs::read(target.join("series.bin")).expect("the file") == bytes,
        "the bytes differ"
    );
}

#[test]
fn a_send_waits_for_a_gateway_that_is_restarted_and_goes_on() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let mut sending = start(desk.command(&[&"send", &"--to", &PROVIDER, &file]));
    wait_until(&mut sending, || records(&desk, "sending") > 2);
    let transfer = unfinished(&desk, "sending");
    world.gateway.restart().expect("a restart");
    let output = sending.wait_with_output().expect("an end");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let target = world.empty("provider");
    receive(&provider, &transfer, &target);
    assert!(
        fs::read(target.join("series.bin")).expect("the file") == bytes,
        "the bytes differ"
    );
}

#[test]
fn a_seal_whose_answer_was_lost_counts_once() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"dear colleague");
    world.gateway.restart_to_die_at("seal-recorded").expect("a start");
    let mut sending = start(desk.command(&[&"send", &"--to", &PROVIDER, &file]));
    world.gateway.wait_for_death().expect("a death");
    sending.kill().expect("a process that waits for the gateway");
    sending.wait().expect("its end");
    let transfer = unfinished(&desk, "sending");
    world.gateway.restart().expect("a restart");
    assert_eq!(text(&ask(&desk, &[&"resume"]), "/sent/0/transfer"), transfer);
    let inbox = ask(&provider, &[&"inbox"]);
    assert_eq!(
        inbox
            .pointer("/transfers")
            .and_then(|list| list.as_array())
            .map(Vec::len),
        Some(1),
        "{inbox}"
    );
    receive(&provider, &transfer, &world.empty("provider"));
    assert_eq!(delivery(&desk, &transfer), "verified");
    // Another one is another transfer.
    assert_ne!(send(&desk, PROVIDER, &[&file], &[]), transfer);
}

#[test]
fn a_get_that_is_stopped_fetches_nothing_again() {
    let bytes = samples::noise(LEN);
    let linked = Linked::new("study.dcm", &bytes, &["--openings", "1"]);
    let Linked { made, visitor, .. } = &linked;
    let mut getting = start(visitor.opening(made, &made.words));
    wait_until(&mut getting, || records_in(&staged(visitor)) >= 2);
    let told = stopped(getting);
    assert!(told.contains("sealpost get"), "{told}");
    let folder = format!(".sealpost-{}", made.transfer);
    assert_eq!(visitor.saved(), [folder.as_str()], "nothing has a name yet");
    let before = visitor.out.with_file_name("before");
    fs::hard_link(visitor.out.join(folder).join("0"), &before).expect("a second name");
    let outcome = linked.get();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), ["study.dcm"]);
    let saved = visitor.out.join("study.dcm");
    assert!(fs::read(&saved).expect("the file") == bytes, "the bytes differ");
    let inode = |path: &Path| fs::metadata(path).expect("a file").ino();
    assert_eq!(inode(&saved), inode(&before), "the staged file grew and got its name");
    assert_eq!(number(&linked.link(), "/openings_used"), 1);
    assert_eq!(names_in(&staged(visitor)), Vec::<String>::new(), "nothing is kept");
}

/// Killed as soon as one file has its name.
#[test]
fn a_visitor_gets_one_set_of_files_however_late_it_is_killed() {
    let world = World::new();
    let desk = world.desk();
    let mut names: Vec<String> = (0..40).map(|number| format!("{number}.txt")).collect();
    names.sort();
    let files: Vec<PathBuf> = names.iter().map(|name| world.file(name, name.as_bytes())).collect();
    let paths: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
    let mut killed = 0;
    for round in 0..6 {
        let made = send_link(&desk, &paths, &["--openings", "1"]);
        let visitor = Visitor::new(&world, &format!("patient-{round}"));
        let mut getting = start(visitor.opening(&made, &made.words));
        let is_named = || visitor.saved().iter().any(|name| name.ends_with(".txt"));
        while !is_named() && getting.try_wait().expect("a process").is_none() {
            std::thread::yield_now();
        }
        let _ = getting.kill();
        let is_done = getting.wait().expect("its end").success();
        // Killed when it had nothing left to do: then nothing is kept either.
        if is_done || names_in(&visitor.guest.state().join("visits")).is_empty() {
            continue;
        }
        killed += 1;
        let outcome = visitor.open(&made, &made.words);
        assert!([0, ALREADY_SAVED].contains(&outcome.code), "{}", outcome.stderr);
        assert_eq!(visitor.saved(), names, "round {round}");
        let link = link_of(&desk, &made.transfer);
        assert_eq!(number(&link, "/openings_used"), 1, "round {round}");
        assert_eq!(text(&link, "/receipt"), "verified");
        assert_eq!(names_in(&staged(&visitor)), Vec::<String>::new(), "nothing is kept");
    }
    assert!(killed > 0, "it was never killed in time");
}

#[test]
fn a_get_that_is_killed_continues_the_same_opening() {
    let contents = samples::noise(48 << 20);
    let linked = Linked::new("study.dcm", &contents, &["--openings", "1"]);
    let Linked { made, visitor, .. } = &linked;
    // Staging is there as soon as the opening was made and bytes are on their way.
    kill_when(start(visitor.opening(made, &made.words)), || {
        !visitor.saved().is_empty()
    });
    assert!(
        !visitor.saved().contains(&"study.dcm".to_owned()),
        "no file has its name"
    );
    assert_eq!(visitor.begun(), 1);
    assert_eq!(number(&linked.link(), "/openings_used"), 1);

    // Other words in between do not take the place of what was begun.
    assert_eq!(visitor.open(made, &made.wrong_words()).code, WRONG_WORDS);
    assert_eq!(visitor.begun(), 1);
    let outcome = linked.get();
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), ["study.dcm"]);
    assert_eq!(fs::read(visitor.out.join("study.dcm")).expect("the file"), contents);
    let link = linked.link();
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
    let sending = desk.home().join("sending");
    let is_begun = || sending.exists() && names_in(&sending).iter().any(|name| name.ends_with(".spk"));
    kill_when(start(desk.command(&[&"send", &"--link", &file])), is_begun);
    let resumed = ask(&desk, &[&"resume"]);
    let link = |what: &str| text(&resumed, &format!("/sent/0/link/{what}"));
    let visitor = Visitor::new(&world, "patient");
    let outcome = visitor.get(&link("text"), &link("words"), &link("pin"));
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(visitor.saved(), ["study.dcm"]);
    assert_eq!(names_in(&sending), Vec::<String>::new(), "nothing of it is kept");
}
