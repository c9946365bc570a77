//! Pulling unattended: folders by sender, every file once whatever is killed, commands, replies, silences, several profiles.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};

use sealpost_tests::nights::{Account, Claims, Plan, Town};
use sealpost_tests::person::Person;
use serde_json::Value;

use crate::support::children::{kill_when, wait_until};
use crate::support::{DESK, PROVIDER, World, ask, names_in, run, send, text};

mod troubles;

/// Exit codes of docs/cli.md.
pub(super) const USAGE: i32 = 2;
const SILENT: i32 = 19;
pub(super) const COMMAND: i32 = 20;

/// Runs `pull --json` and returns its code and its events.
pub(super) fn pull(person: &Person, into: &Path, options: &[&str]) -> (i32, Vec<Value>) {
    let mut words: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--json", &"pull", &"--into", &into];
    words.extend(options.iter().map(|word| word as &dyn AsRef<std::ffi::OsStr>));
    let run = run(person, &words);
    let lines = String::from_utf8(run.stdout).expect("a text");
    let events = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object on each line"));
    (run.code, events.collect())
}

pub(super) fn events<'a>(all: &'a [Value], name: &str) -> Vec<&'a Value> {
    all.iter().filter(|event| event["event"] == name).collect()
}

/// A program of the operator.
pub(super) fn script(world: &World, name: &str, lines: &str) -> String {
    use std::os::unix::fs::PermissionsExt as _;
    let path = world.file(name, format!("#!/bin/sh\n{lines}\n").as_bytes());
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("a program");
    path.to_str().expect("a text").to_owned()
}

fn watching(person: &Person, into: &Path) -> Child {
    let mut command = person.command(&[&"pull", &"--watch", &"--into", &into]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("a puller")
}

#[test]
fn nights_of_kills_and_restarts_deliver_every_file_once() {
    let world = World::new();
    let mut town = Town {
        clinic: world.desk(),
        company: world.provider(),
        company_address: PROVIDER.to_owned(),
        folder: world.folder.path().join("nights"),
        gateway: world.gateway,
    };
    let plan = Plan {
        together: 40,
        alone: 8,
        claims: Claims::Own,
    };
    // Of both kinds: what arrives is left alone, and is taken away at once.
    for seed in [2, 3] {
        let account = town.night(&plan, seed).expect("a night");
        assert_eq!(
            account,
            Account {
                sent: 48,
                ..Account::default()
            },
            "seed {seed}"
        );
    }
}

#[test]
fn everything_comes_once_into_the_folder_of_its_sender_and_names_stand_in_json_alone() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let into = world.empty("in");
    let file = world.file("smith-john.837", b"claims");
    let first = send(&desk, PROVIDER, &[&file], &[]);
    let second = send(&desk, PROVIDER, &[&file], &[]);
    let run = run(&provider, &[&"pull", &"--into", &into]);
    assert_eq!(run.code, 0, "{}", run.stderr);
    let told = String::from_utf8(run.stdout).expect("a text") + &run.stderr;
    assert!(
        told.contains(&first[..8]) && told.contains(&second[..8]) && told.contains(DESK),
        "{told}"
    );
    assert!(!told.contains("smith"), "names are health data: {told}");
    let folder = into.join(DESK);
    assert_eq!(names_in(&folder), ["smith-john (2).837", "smith-john.837"]);

    fs::remove_dir_all(&folder).expect("an emptied folder");
    let third = send(&desk, PROVIDER, &[&file], &[]);
    let (code, told) = pull(&provider, &into, &[]);
    assert_eq!(code, 0, "{told:?}");
    let received = events(&told, "received");
    assert_eq!(received.len(), 1, "{told:?}");
    assert_eq!(
        (text(received[0], "/transfer"), text(received[0], "/sender")),
        (third, DESK.to_owned())
    );
    assert_eq!(
        text(received[0], "/files/0/path"),
        folder.join("smith-john.837").to_str().expect("a text")
    );
    assert_eq!(names_in(&folder), ["smith-john.837"]);
    assert_eq!(events(&told, "end").len(), 1);
}

#[test]
fn only_those_who_are_named_are_pulled_and_the_others_later() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let other = world.member("other", "other@lab.example");
    let into = world.empty("in");
    let file = world.file("a.837", b"claims");
    send(&desk, PROVIDER, &[&file], &[]);
    send(&other, PROVIDER, &[&file], &[]);
    assert_eq!(pull(&provider, &into, &["--from", "other@lab.example"]).0, 0);
    assert!(into.join("other@lab.example").join("a.837").exists() && !into.join(DESK).exists());
    assert_eq!(pull(&provider, &into, &[]).0, 0);
    assert!(into.join(DESK).join("a.837").exists());
    assert_eq!(names_in(&into.join("other@lab.example")), ["a.837"]);
}

#[test]
fn a_command_gets_the_facts_alone_and_what_it_leaves_goes_back_to_the_sender() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let file = world.file("smith-john.837", b"claims");
    let program = script(
        &world,
        "import",
        &format!(
            "cd '{}' && cat > facts && env > environment && echo \"$0 $*\" > words && echo accepted > \"$SEALPOST_REPLY_DIR/a.999\"",
            seen.display()
        ),
    );
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let (code, told) = pull(&provider, &into, &["--", &program, "--queue", "nightly; exit 1"]);
    assert_eq!(code, 0, "{told:?}");
    let read = |name: &str| fs::read_to_string(seen.join(name)).expect("what the command saw");
    let facts: Value = serde_json::from_str(&read("facts")).expect("JSON");
    assert_eq!(
        (text(&facts, "/transfer"), text(&facts, "/sender")),
        (transfer.clone(), DESK.to_owned())
    );
    assert_eq!(fs::read(text(&facts, "/files/0/path")).expect("the file"), b"claims");
    assert!(read("environment").contains(&format!("SEALPOST_TRANSFER={transfer}")));
    assert!(
        read("words").contains("--queue nightly; exit 1"),
        "no shell stands between"
    );
    for place in ["environment", "words"] {
        assert!(!read(place).contains("smith"), "{place} names a patient");
    }

    let replies = events(&told, "replied");
    assert_eq!(replies.len(), 1, "{told:?}");
    assert_eq!(text(replies[0], "/reply_to"), transfer);
    let back = world.empty("back");
    ask(&desk, &[&"receive", &"--all", &"--into", &back]);
    assert_eq!(fs::read(back.join("a.999")).expect("the reply"), b"accepted\n");
    let (code, told) = pull(&provider, &into, &["--", &program]);
    assert_eq!((code, told.len()), (0, 1), "nothing is left to do: {told:?}");
}

#[test]
fn a_command_that_fails_is_tried_again_and_given_up_at_last() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let file = world.file("a.837", b"claims");
    let program = script(
        &world,
        "import",
        &format!("echo x >> '{}/tries'; exit 3", seen.display()),
    );
    let config = world.file(
        "pull.toml",
        format!("into = {into:?}\ntries = 2\nexec = [{program:?}]\n").as_bytes(),
    );
    let config = config.to_str().expect("a text");
    let tries = || fs::read_to_string(seen.join("tries")).expect("tries").lines().count();
    send(&desk, PROVIDER, &[&file], &[]);
    for (try_number, event) in [(1, "command_failed"), (2, "given_up")] {
        let (code, told) = pull(&provider, &into, &["--config", config]);
        assert_eq!((code, tries()), (COMMAND, try_number), "{told:?}");
        assert_eq!(events(&told, event).len(), 1, "{told:?}");
        assert_eq!(
            events(&told, "received").len(),
            usize::from(try_number == 1),
            "{told:?}"
        );
    }
    let (code, told) = pull(&provider, &into, &["--config", config]);
    assert_eq!((code, tries(), told.len()), (COMMAND, 2, 1), "it is given up: {told:?}");
    script(&world, "import", &format!("echo x >> '{}/tries'", seen.display()));
    let (code, told) = pull(&provider, &into, &["--config", config, "--retry"]);
    assert_eq!((code, tries()), (0, 3), "{told:?}");
    assert_eq!(
        names_in(&into.join(DESK)),
        ["a.837"],
        "the file came once all the while"
    );
}

#[test]
fn a_puller_killed_during_its_command_runs_it_again_and_delivers_no_file_twice() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let file = world.file("a.837", b"claims");
    let tries = seen.join("tries");
    let slow = script(&world, "slow", &format!("cat >> '{}'; exec sleep 600", tries.display()));
    let quick = script(&world, "quick", &format!("cat >> '{}'", tries.display()));
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    let mut command = provider.command(&[&"pull", &"--into", &into, &"--", &slow]);
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a puller");
    kill_when(child, || {
        fs::read_to_string(&tries).is_ok_and(|text| text.ends_with('\n'))
    });
    fs::remove_file(into.join(DESK).join("a.837")).expect("the consumer has taken it");
    let (code, told) = pull(&provider, &into, &["--", &quick]);
    assert_eq!(code, 0, "{told:?}");
    assert!(names_in(&into.join(DESK)).is_empty());
    let runs = fs::read_to_string(&tries).expect("tries");
    let ids: Vec<String> = runs
        .lines()
        .map(|line| text(&serde_json::from_str(line).expect("JSON"), "/transfer"))
        .collect();
    assert_eq!(
        ids,
        [transfer.clone(), transfer],
        "by this id a command knows that it has seen it"
    );
}

#[test]
fn a_second_puller_of_one_account_is_refused() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let into = world.empty("in");
    let file = world.file("a.837", b"claims");
    let mut first = watching(&provider, &into);
    send(&desk, PROVIDER, &[&file], &[]);
    wait_until(&mut first, || into.join(DESK).join("a.837").exists());
    let second = run(&provider, &[&"pull", &"--into", &into]);
    assert_eq!(second.code, USAGE);
    assert!(second.stderr.contains("Another puller"), "{}", second.stderr);
    first.kill().expect("a puller");
    first.wait().expect("its end");
    assert_eq!(run(&provider, &[&"pull", &"--into", &into]).code, 0);
}

#[test]
fn a_folder_whose_medium_is_gone_is_not_taken_for_one_that_was_emptied() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let medium = world.folder.path().join("medium");
    let into = medium.join("in");
    fs::create_dir_all(&into).expect("a folder");
    let file = world.file("large.bin", &sealpost_tests::samples::noise(24 << 20));
    send(&desk, PROVIDER, &[&file], &[]);
    let sender = into.join(DESK);
    let staged = || fs::read_dir(&sender).is_ok_and(|mut entries| entries.next().is_some());
    kill_when(watching(&provider, &into), staged);
    let unmounted = world.folder.path().join("unmounted");
    fs::rename(&medium, &unmounted).expect("unmounted");
    let refused = run(&provider, &[&"pull", &"--into", &into]);
    assert_eq!(refused.code, USAGE, "{}", refused.stderr);
    assert!(refused.stderr.contains("not mounted"), "{}", refused.stderr);
    fs::remove_dir_all(&medium).expect("what the refusal made");
    fs::rename(&unmounted, &medium).expect("mounted");
    assert_eq!(run(&provider, &[&"pull", &"--into", &into]).code, 0);
    assert_eq!(names_in(&sender), ["large.bin"]);
}

#[test]
fn silence_is_told_with_a_code_and_to_the_command_for_it() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let program = script(&world, "page", &format!("cat >> '{}/alarms'", seen.display()));
    let config =
        format!("into = {into:?}\nalarm_exec = [{program:?}]\n[[expect]]\nfrom = \"{DESK}\"\nevery = \"1s\"\n");
    let config = world.file("pull.toml", config.as_bytes());
    let config = config.to_str().expect("a text");
    assert_eq!(pull(&provider, &into, &["--config", config]).0, 0, "the clock begins");
    // The clock of the record has whole seconds.
    let (code, told) = loop {
        let (code, told) = pull(&provider, &into, &["--config", config]);
        if code != 0 {
            break (code, told);
        }
    };
    assert_eq!(code, SILENT, "{told:?}");
    let silent = events(&told, "silent");
    assert_eq!(text(silent[0], "/from"), DESK);
    let alarms = || fs::read_to_string(seen.join("alarms")).expect("alarms").lines().count();
    assert_eq!(alarms(), 1);
    let (code, told) = pull(&provider, &into, &["--config", config]);
    assert_eq!((code, alarms()), (SILENT, 1), "it is told once: {told:?}");
    let file = world.file("a.837", b"claims");
    send(&desk, PROVIDER, &[&file], &[]);
    let patient = world.file(
        "patient.toml",
        format!("into = {into:?}\n[[expect]]\nfrom = \"{DESK}\"\nevery = \"26h\"\n").as_bytes(),
    );
    let (code, told) = pull(&provider, &into, &["--config", patient.to_str().expect("a text")]);
    assert_eq!(code, 0, "{told:?}");
}

#[test]
fn what_is_dropped_for_a_sender_is_sent_once() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, out) = (world.empty("in"), world.empty("out"));
    let config = world.file(
        "pull.toml",
        format!("into = {into:?}\nreplies = {out:?}\nsettle = \"1s\"\n").as_bytes(),
    );
    let config = config.to_str().expect("a text");
    let folder = out.join(DESK);
    fs::create_dir(&folder).expect("a folder");
    for name in ["x.999", "half.part"] {
        fs::write(folder.join(name), b"accepted").expect("a file");
    }
    let (code, told) = pull(&provider, &into, &["--config", config]);
    assert_eq!(code, 0, "{told:?}");
    let sent = text(events(&told, "replied")[0], "/transfer");
    assert_eq!(names_in(&folder), ["half.part", "sent"]);
    assert_eq!(names_in(&folder.join("sent")), ["x.999"]);
    // As after a crash between sending and moving.
    fs::rename(folder.join("sent").join("x.999"), folder.join("x.999")).expect("moved back");
    let (_, told) = pull(&provider, &into, &["--config", config]);
    let again = events(&told, "replied");
    assert_eq!(
        (text(again[0], "/transfer"), &again[0]["sent_before"]),
        (sent, &Value::Bool(true))
    );
    let back = world.empty("back");
    ask(&desk, &[&"receive", &"--all", &"--into", &back]);
    assert_eq!(names_in(&back), ["x.999"]);
}

#[test]
fn all_profiles_are_pulled_and_one_that_fails_stops_no_other() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let profiles = provider.home().join("profiles");
    let profile = |name: &str, address: &str| {
        let person = Person::new(&world.folder.path().join("profiles"), name).expect("a person");
        let person = person.with_passphrase_file(provider.passphrase_file());
        let string = world.organisation.invite(address).expect("an invitation");
        ask(&person, &[&"enrol", &string]);
        world.organisation.confirm(address).expect("a member");
        fs::create_dir_all(&profiles).expect("a folder");
        fs::rename(person.home(), profiles.join(name)).expect("a profile");
    };
    profile("east", "east@billing.example");
    profile("west", "west@billing.example");
    fs::write(profiles.join("west").join("keys.spk"), b"damaged").expect("a damaged key file");
    let file = world.file("a.837", b"claims");
    send(&desk, PROVIDER, &[&file], &[]);
    send(&desk, "east@billing.example", &[&file], &[]);
    let into = world.empty("in");
    let (code, told) = pull(&provider, &into, &["--all"]);
    assert_ne!(code, 0, "west has failed: {told:?}");
    for name in ["default", "east"] {
        assert!(into.join(name).join(DESK).join("a.837").exists(), "{name}: {told:?}");
    }
    let end = events(&told, "end")[0];
    let of = |number: usize| {
        (
            text(end, &format!("/pulled/{number}/profile")),
            end["pulled"][number]["received"].clone(),
        )
    };
    assert_eq!(
        (of(0), of(1)),
        (("default".into(), 1.into()), ("east".into(), 1.into()))
    );
    assert_eq!(end["pulled"][2]["profile"], "west");
}

#[test]
fn a_watcher_outlives_its_gateway() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let into: PathBuf = world.empty("in");
    let mut watcher = watching(&provider, &into);
    for name in ["before.837", "after.837"] {
        let file = world.file(name, b"claims");
        send(&desk, PROVIDER, &[&file], &[]);
        wait_until(&mut watcher, || into.join(DESK).join(name).exists());
        world.gateway.restart().expect("a restart");
    }
    watcher.kill().expect("a puller");
    watcher.wait().expect("its end");
    assert_eq!(names_in(&into.join(DESK)), ["after.837", "before.837"]);
}
