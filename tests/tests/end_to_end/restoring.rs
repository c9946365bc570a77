//! Restores and losses: nothing comes back to life, nothing goes on unnoticed, and there is a way out.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealpost_tests::binaries;
use sealpost_tests::person::Person;
use serde_json::Value;

use crate::support::links::{Made, Visitor, link_of, send_link};
use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, run, send, text};

mod documented;
mod older;

const THIRD: &str = "third@practice.example";
const FOURTH: &str = "fourth@practice.example";
const NOT_FOUND: i32 = 6;
const OVER: i32 = 7;
const REFUSED: i32 = 8;
const GATEWAY: i32 = 14;

/// What no backup holds, and what is made anew.
const LEFT_OUT: [&str; 3] = ["shares", "views", "snapshots"];

/// Copies a folder as a backup does: all but the release shares, and not what is made anew.
fn back_up(from: &Path, to: &Path) {
    copy(from, to, &LEFT_OUT);
}

/// Copies a folder without what has one of these names.
fn copy(from: &Path, to: &Path, left_out: &[&str]) {
    DirBuilder::new().mode(0o700).create(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if left_out.iter().any(|left_out| name == OsStr::new(left_out)) {
            continue;
        }
        if path.is_dir() {
            copy(&path, &to.join(name), left_out);
        } else {
            fs::copy(&path, to.join(name)).expect("a copy");
        }
    }
}

/// Stops the gateway, copies its data folder, and starts it again. Returns the copy.
fn back_up_now(world: &mut World) -> PathBuf {
    world.gateway.pause().expect("an end");
    let backup = world.folder.path().join("backup");
    back_up(world.gateway.data(), &backup);
    world.gateway.restart().expect("a start");
    backup
}

/// Stops the gateway and puts a backup where its data were; the ring stays.
fn put_back(world: &mut World, backup: &Path) {
    world.gateway.pause().expect("an end");
    fs::remove_dir_all(world.gateway.data()).expect("a removed folder");
    copy(backup, world.gateway.data(), &[]);
}

/// The same as on another machine, and starts it: the backup has no shares, and the ring is not in any backup.
fn restore_elsewhere(world: &mut World, backup: &Path) {
    put_back(world, backup);
    fs::remove_dir_all(world.gateway.ring()).expect("a removed folder");
    world.gateway.restart().expect("a start");
}

/// `sealpost-gateway journal repair` on the data of a world whose gateway does not run.
fn repair(world: &World, options: &[&dyn AsRef<OsStr>]) -> Output {
    let program = binaries::find("sealpost-gateway").expect("the gateway");
    let mut command = Command::new(program);
    command
        .args(["journal", "repair"])
        .args(options.iter().map(AsRef::as_ref));
    command.env("SEALPOST__DATA_DIR", world.gateway.data());
    command.output().expect("a run")
}

fn said(output: &Output) -> String {
    [&output.stdout[..], &output.stderr[..]]
        .map(String::from_utf8_lossy)
        .concat()
}

/// What a gateway that does not start says.
fn refusal(world: &mut World) -> String {
    let before = world.gateway.log().len();
    world.gateway.restart().expect_err("a gateway that does not start");
    // It has ended with an error, as it must; now it counts as stopped.
    world.gateway.pause().expect_err("an end with an error");
    world.gateway.log().split_off(before)
}

/// The only journal file, and where its frames begin.
fn frames(world: &World) -> (PathBuf, Vec<usize>) {
    let journal = world.gateway.data().join("journal");
    let names = names_in(&journal);
    assert_eq!(names.len(), 1, "{names:?}");
    let path = journal.join(&names[0]);
    let bytes = fs::read(&path).expect("the journal");
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"SPFR");
    let starts = starts.map(|(at, _)| at).collect();
    (path, starts)
}

/// Flips a bit in frame number `frame`.
fn flip(world: &World, frame: usize) {
    let (path, starts) = frames(world);
    assert!(frame + 1 < starts.len(), "good frames follow");
    let mut bytes = fs::read(&path).expect("the journal");
    bytes[starts[frame] + 60] ^= 1;
    fs::write(&path, bytes).expect("a write");
}

fn is_held(person: &Person, transfer: &str, target: &Path) {
    let refused = run(person, &[&"receive", &transfer, &"--into", &target]);
    assert_eq!(refused.code, GATEWAY, "{}", refused.stderr);
    assert!(refused.stderr.contains("sealpost rearm"), "{}", refused.stderr);
    assert_eq!(names_in(target), Vec::<String>::new());
}

#[test]
fn what_a_backup_brings_back_is_held_until_its_sender_rearms_it() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let unopened = send(&desk, PROVIDER, &[&file], &[]);
    let used = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let revoked = send(&desk, PROVIDER, &[&file], &[]);
    let backup = back_up_now(&mut world);
    receive(&provider, &used, &world.empty("used"));
    assert_eq!(delivery(&desk, &used), "verified");
    ask(&desk, &[&"revoke", &revoked, &"--yes"]);

    restore_elsewhere(&mut world, &backup);
    assert!(world.gateway.log().contains("held=3"), "{}", world.gateway.log());

    let target = world.empty("provider");
    is_held(&provider, &unopened, &target);
    let sent = ask(&desk, &[&"status", &unopened]);
    assert_eq!(text(&sent, "/transfers/0/state"), "held");
    // Held once: the next start finds nothing new.
    world.gateway.restart().expect("a start");
    assert_eq!(world.gateway.log().matches("held=3").count(), 1);
    let rearmed = ask(&desk, &[&"rearm", &"--yes"]);
    assert_eq!(text(&rearmed, "/rearmed/0/transfer"), unopened);
    assert!(rearmed.pointer("/rearmed/1").is_none(), "{rearmed}");
    let not_needed = rearmed.pointer("/not_needed").expect("a list").to_string();
    assert!(
        not_needed.contains(&used) && not_needed.contains(&revoked),
        "{not_needed}"
    );
    // It was withdrawn after the backup: the restored gateway does not know, but the sender's client gave up its share then.
    is_held(&provider, &revoked, &target);
    receive(&provider, &unopened, &target);
    assert_eq!(names_in(&target), ["letter.txt"]);
    assert_eq!(delivery(&desk, &unopened), "verified");

    // Its share was used up and destroyed: the sender's client has none to give.
    let refused = run(&desk, &[&"rearm", &used]);
    assert_ne!(refused.code, 0, "{}", refused.stderr);
    assert_eq!(delivery(&desk, &used), "verified", "what was proven once stays proven");
}

/// The restored gateway does not know that links were burned after the backup; the sender's client does.
#[test]
fn a_link_that_was_burned_after_the_backup_is_burned_again_before_its_transfer_is_rearmed() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear both");
    let shared = send_link(&desk, &[&file], &["--to", PROVIDER]);
    let alone = send_link(&desk, &[&file], &[]);
    let backup = back_up_now(&mut world);
    for made in [&shared, &alone] {
        ask(&desk, &[&"link", &"burn", &made.link, &"--yes"]);
    }
    restore_elsewhere(&mut world, &backup);
    let all = run(&provider, &[&"receive", &"--all", &"--into", &world.empty("all")]);
    assert_eq!(all.code, GATEWAY, "what is held is not passed over");
    assert!(
        String::from_utf8_lossy(&all.stdout).contains("holds the transfer"),
        "{}",
        all.stderr
    );

    let rearmed = ask(&desk, &[&"rearm", &"--yes"]);
    assert_eq!(text(&rearmed, "/rearmed/0/transfer"), shared.transfer);
    assert_eq!(text(&rearmed, "/rearmed/0/state"), "available");
    assert!(rearmed.pointer("/rearmed/1").is_none(), "{rearmed}");
    assert_eq!(
        rearmed.pointer("/not_needed/0"),
        None,
        "it ended again with its only link: {rearmed}"
    );
    let state = |made: &Made| text(&link_of(&desk, &made.transfer), "/state");
    assert_eq!(
        (state(&shared), state(&alone)),
        ("burned".to_owned(), "burned".to_owned())
    );
    let visitor = Visitor::new(&world, "patient");
    let over = visitor.open(&shared, &shared.words);
    assert_eq!(over.code, OVER, "{}", over.stderr);
    receive(&provider, &shared.transfer, &world.empty("provider"));
    assert_eq!(delivery(&desk, &shared.transfer), "verified");
    let refused = run(&desk, &[&"rearm", &alone.transfer]);
    assert_eq!(refused.code, REFUSED, "{}", refused.stderr);
    let ended = visitor.open(&alone, &alone.words);
    assert_eq!(ended.code, OVER, "it is burned, not held: {}", ended.stderr);
    assert_eq!(visitor.saved(), Vec::<String>::new());
}

#[test]
fn n117_a_folder_from_before_is_refused_and_repaired_only_with_its_loss_written_down() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let unopened = send(&desk, PROVIDER, &[&file], &[]);
    let used = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let backup = back_up_now(&mut world);
    receive(&provider, &used, &world.empty("used"));
    assert_eq!(delivery(&desk, &used), "verified");
    let seen = ask(&desk, &[&"audit", &"verify"]);
    put_back(&mut world, &backup);

    let refused = refusal(&mut world);
    assert!(
        refused.contains("older copy") && refused.contains("sealpost-gateway journal repair"),
        "{refused}"
    );
    let found = repair(&world, &[]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("Nothing was changed"), "{}", said(&found));
    assert!(refusal(&mut world).contains("older copy"), "a report changes nothing");
    let repaired = repair(&world, &[&"--accept-loss"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    assert!(said(&repaired).contains("/audit.2"), "{}", said(&repaired));
    let whole = repair(&world, &[]);
    assert!(said(&whole).contains("Nothing to repair"), "{}", said(&whole));
    world.gateway.restart().expect("a start");

    is_held(&provider, &unopened, &world.empty("provider"));
    let verified = ask(&desk, &[&"audit", &"verify"]);
    assert_eq!(verified.pointer("/restarted/log"), Some(&Value::from(2)));
    let ended = verified
        .pointer("/restarted/ended_size")
        .and_then(Value::as_u64)
        .expect("a size");
    assert!(
        Some(ended) >= seen.pointer("/size").and_then(Value::as_u64),
        "{verified}"
    );
    assert_eq!(verified.pointer("/restarted/seen"), seen.pointer("/size"));

    // The folder from before the repair does not come back either.
    put_back(&mut world, &backup);
    let refused = refusal(&mut world);
    assert!(refused.contains("has already gone on with"), "{refused}");
}

#[test]
fn n116_a_flipped_bit_is_refused_and_repaired_again_and_again() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let opened = send(&desk, PROVIDER, &[&file], &["--openings", "2"]);
    let unopened = send(&desk, PROVIDER, &[&file], &[]);
    let seen = ask(&desk, &[&"audit", &"verify"]);
    world.gateway.pause().expect("an end");
    let (_, before) = frames(&world);
    world.gateway.restart().expect("a start");
    receive(&provider, &opened, &world.empty("opened"));
    assert_eq!(delivery(&desk, &opened), "verified");
    world.member("third", THIRD);
    let lost = send(&desk, THIRD, &[&file], &[]);
    world.gateway.pause().expect("an end");
    flip(&world, before.len());
    let (path, _) = frames(&world);
    let damaged = fs::read(&path).expect("the journal");

    let refused = refusal(&mut world);
    let names_the_way = refused.contains("is damaged at offset") && refused.contains("journal repair");
    assert!(names_the_way, "{refused}");
    let found = repair(&world, &[]);
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    for words in [
        "is damaged at offset",
        "Nothing was changed",
        "The directory is complete",
    ] {
        assert!(said(&found).contains(words), "{words}: {}", said(&found));
    }
    assert!(
        fs::read(&path).expect("the journal") == damaged,
        "a report changes nothing"
    );
    let repaired = repair(&world, &[&"--accept-loss"]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    let kept_aside = names_in(world.gateway.data())
        .into_iter()
        .find(|name| name.starts_with("lost-"));
    let aside = world.gateway.data().join(kept_aside.expect("a folder")).join("journal");
    let name = path.file_name().expect("a name");
    assert!(
        fs::read(aside.join(name)).expect("the damaged journal") == damaged,
        "it is never deleted"
    );

    world.gateway.restart().expect("a start");
    is_held(&provider, &unopened, &world.empty("provider"));
    // Who was enrolled behind the damage still is; what was sent there is gone.
    let third = Person::new(&world.organisation.folder, "third").expect("a person");
    let gone = run(&third, &[&"receive", &lost, &"--into", &world.empty("third")]);
    assert_eq!(gone.code, NOT_FOUND, "{}", gone.stderr);
    let again = send(&desk, THIRD, &[&file], &[]);
    receive(&third, &again, &world.empty("third"));
    ask(&desk, &[&"rearm", &unopened]);
    receive(&provider, &unopened, &world.empty("provider"));
    assert_eq!(delivery(&desk, &unopened), "verified");
    assert_eq!(
        delivery(&desk, &opened),
        "verified",
        "what was proven once stays proven"
    );
    let verified = ask(&desk, &[&"audit", &"verify"]);
    assert_eq!(verified.pointer("/restarted/log"), Some(&Value::from(2)));
    assert_eq!(verified.pointer("/restarted/seen"), seen.pointer("/size"));

    // A second damage hits the statements of an enrolment themselves: only a client has them.
    world.organisation.newcomer("fourth", FOURTH).expect("a newcomer");
    world.gateway.pause().expect("an end");
    let (_, before) = frames(&world);
    world.gateway.restart().expect("a start");
    world.organisation.confirm(FOURTH).expect("a confirmation");
    let to_fourth = send(&desk, FOURTH, &[&file], &[]);
    world.gateway.pause().expect("an end");
    flip(&world, before.len());
    let refused = repair(&world, &[&"--accept-loss"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("--seen FOLDER"), "{}", said(&refused));
    let repaired = repair(&world, &[&"--accept-loss", &"--seen", &desk.home()]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    assert!(said(&repaired).contains("/audit.3"), "{}", said(&repaired));
    world.gateway.restart().expect("a start");
    let verified = ask(&desk, &[&"audit", &"verify"]);
    assert_eq!(verified.pointer("/restarted/log"), Some(&Value::from(3)));
    let fourth = Person::new(&world.organisation.folder, "fourth").expect("a person");
    let gone = run(&fourth, &[&"receive", &to_fourth, &"--into", &world.empty("fourth")]);
    assert_eq!(gone.code, NOT_FOUND, "{}", gone.stderr);
    let again = send(&desk, FOURTH, &[&file], &[]);
    receive(&fourth, &again, &world.empty("fourth"));
}

#[test]
fn a_repair_needs_a_gateway_that_does_not_run_and_a_folder_that_is_one() {
    let world = World::new();
    let refused = repair(&world, &[&"--accept-loss"]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(
        said(&refused).contains("another gateway is using"),
        "{}",
        said(&refused)
    );
    let program = binaries::find("sealpost-gateway").expect("the gateway");
    let nowhere = world.folder.path().join("nowhere");
    let mut command = Command::new(program);
    command.args(["journal", "repair"]).env("SEALPOST__DATA_DIR", &nowhere);
    let refused = command.output().expect("a run");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("holds no journal"), "{}", said(&refused));
    assert!(!nowhere.exists(), "a wrong name makes no folder");
    // A file that names no data folder, as the one that is shipped: what was looked at is not what the operator means.
    let config = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let mut command = Command::new(binaries::find("sealpost-gateway").expect("the gateway"));
    command.arg("--config").arg(config).args(["journal", "repair"]);
    let refused = command.current_dir(world.folder.path()).output().expect("a run");
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let looked_at = world.folder.path().join("sealpost-data");
    for words in [
        "no data folder is named",
        &looked_at.display().to_string(),
        "SEALPOST__RING_DIR",
    ] {
        assert!(said(&refused).contains(words), "{words}: {}", said(&refused));
    }
    // Another ring remembers nothing, and that is said.
    world.gateway.stop().expect("an end");
    let data = world.folder.path().join("data");
    let mut command = Command::new(binaries::find("sealpost-gateway").expect("the gateway"));
    command.args(["journal", "repair"]).env("SEALPOST__DATA_DIR", &data);
    command.env("SEALPOST__RING_DIR", world.folder.path().join("another"));
    let whole = command.output().expect("a run");
    assert!(said(&whole).contains("Nothing to repair"), "{}", said(&whole));
    assert!(
        said(&whole).contains("remembers nothing of this gateway"),
        "{}",
        said(&whole)
    );
}
