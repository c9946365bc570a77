//! What a puller does about commands that leave odd things, files dropped for a sender, and folders that cannot be used.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_tests::person::Person;
use serde_json::Value;

use super::pulling::{COMMAND, USAGE, events, pull, script};
use crate::support::{DESK, PROVIDER, World, ask, names_in, run, send, text};

/// A name that nobody may read in a log.
const CANARY: &str = "smith-john.837";

fn config(world: &World, lines: &str) -> String {
    let path = world.file("pull.toml", lines.as_bytes());
    path.to_str().expect("a text").to_owned()
}

/// The puller's folder with this name below its home.
fn records(person: &Person, kind: &str) -> PathBuf {
    person.home().join(kind)
}

fn inbox(person: &Person, into: &Path) -> Vec<String> {
    ask(person, &[&"receive", &"--all", &"--into", &into]);
    names_in(into)
}

#[test]
fn replies_that_cannot_be_written_to_are_sent_after_one_run_of_the_command() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let (runs, busy) = (seen.join("runs"), seen.join("busy"));
    // One is read-only, the other one is running, which nobody at all can write to.
    let program = script(
        &world,
        "import",
        &format!(
            "cd \"$SEALPOST_REPLY_DIR\" && echo x >> '{}' && echo accepted > a.999 && chmod 0444 a.999 && cp /bin/sleep b.277 && chmod 0555 b.277
             ./b.277 600 < /dev/null > /dev/null 2>&1 & echo $! > '{}'; mkdir sub && echo x > sub/f && chmod 0500 sub",
            runs.display(),
            busy.display()
        ),
    );
    let file = world.file("a.837", b"claims");
    send(&desk, PROVIDER, &[&file], &[]);
    let (code, told) = pull(&provider, &into, &["--", &program]);
    let busy = fs::read_to_string(&busy).expect("an id");
    let killed = std::process::Command::new("kill").arg(busy.trim()).status();
    assert!(killed.expect("kill").success(), "it was running all the while");
    assert_eq!(code, 0, "{told:?}");
    assert_eq!(fs::read_to_string(&runs).expect("runs").lines().count(), 1);
    assert_eq!(events(&told, "replied").len(), 1, "{told:?}");
    assert_eq!(inbox(&desk, &world.empty("back")), ["a.999", "b.277"]);
    assert!(names_in(&records(&provider, "pull-replies")).is_empty());
}

#[test]
fn a_command_whose_replies_cannot_be_read_has_failed_and_stops_no_other_transfer() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let runs = seen.join("runs");
    let program = script(
        &world,
        "import",
        &format!(
            "echo x >> '{}'; rmdir \"$SEALPOST_REPLY_DIR\" && echo x > \"$SEALPOST_REPLY_DIR\"",
            runs.display()
        ),
    );
    let config = config(&world, &format!("into = {into:?}\ntries = 2\nexec = [{program:?}]\n"));
    let count = || fs::read_to_string(&runs).expect("runs").lines().count();
    let first = send(&desk, PROVIDER, &[&world.file("a.837", b"claims")], &[]);
    let (code, told) = pull(&provider, &into, &["--config", &config]);
    assert_eq!((code, count()), (COMMAND, 1), "{told:?}");
    assert_eq!(text(events(&told, "command_failed")[0], "/transfer"), first);

    let second = send(&desk, PROVIDER, &[&world.file("b.837", b"claims")], &[]);
    let (code, told) = pull(&provider, &into, &["--config", &config]);
    assert_eq!((code, count()), (COMMAND, 3), "{told:?}");
    assert_eq!(text(events(&told, "given_up")[0], "/transfer"), first);
    assert_eq!(text(events(&told, "command_failed")[0], "/transfer"), second);
    assert_eq!(names_in(&into.join(DESK)), ["a.837", "b.837"]);

    script(&world, "import", "echo accepted > \"$SEALPOST_REPLY_DIR/a.999\"");
    let (code, told) = pull(&provider, &into, &["--config", &config, "--retry"]);
    assert_eq!((code, events(&told, "replied").len()), (0, 2), "{told:?}");
}

#[test]
fn one_record_that_cannot_be_read_stops_neither_the_others_nor_the_pull() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let into = world.empty("in");
    let program = script(&world, "import", "exit 3");
    for name in ["a.837", "b.837"] {
        send(&desk, PROVIDER, &[&world.file(name, b"claims")], &[]);
    }
    assert_eq!(pull(&provider, &into, &["--", &program]).0, COMMAND);
    let jobs = records(&provider, "pulled");
    let damaged = jobs.join(names_in(&jobs).first().expect("a job"));
    fs::remove_file(&damaged).expect("a job");
    fs::create_dir(&damaged).expect("what cannot be read as a file");
    send(&desk, PROVIDER, &[&world.file("c.837", b"claims")], &[]);
    script(&world, "import", "exit 0");
    let (code, told) = pull(&provider, &into, &["--", &program]);
    assert_eq!(code, 0, "{told:?}");
    assert_eq!(events(&told, "trouble").len(), 1, "{told:?}");
    assert_eq!(events(&told, "command_done").len(), 2, "{told:?}");
    assert_eq!(names_in(&into.join(DESK)), ["a.837", "b.837", "c.837"]);
}

#[test]
fn a_transfer_whose_record_cannot_be_written_is_put_off_and_stops_no_other() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let runs = seen.join("runs");
    // Where the puller, which is the parent, would write that the command has failed, there is a folder.
    let program = script(
        &world,
        "import",
        &format!(
            "hh=$(sed 's/.*\"hh\":\"\\([0-9a-f]*\\)\".*/\\1/') && mkdir \"{}/$hh.spk.$PPID.new\" && echo x >> '{}'; exit 3",
            records(&provider, "pulled").display(),
            runs.display()
        ),
    );
    for name in ["a.837", "b.837"] {
        send(&desk, PROVIDER, &[&world.file(name, b"claims")], &[]);
    }
    let (code, told) = pull(&provider, &into, &["--", &program]);
    let count = fs::read_to_string(&runs).expect("runs").lines().count();
    assert_eq!(count, 2, "each once, although both are due: {told:?}");
    assert_eq!(events(&told, "failed").len(), 2, "{told:?}");
    assert!(code != 0 && code != COMMAND, "{code}: {told:?}");
    assert_eq!(names_in(&into.join(DESK)), ["a.837", "b.837"]);
    let (code, told) = pull(&provider, &into, &["--", "true"]);
    assert_eq!((code, events(&told, "command_done").len()), (0, 2), "{told:?}");
}

#[test]
fn what_was_claimed_before_a_crash_is_sent_at_the_next_start() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, out) = (world.empty("in"), world.empty("out"));
    let lines = format!("into = {into:?}\nreplies = {out:?}\nsettle = \"1s\"\n");
    let config = config(&world, &lines);
    let folder = out.join(DESK);
    let claimed = |number: &str, contents: &str| {
        use std::os::unix::fs::DirBuilderExt as _;
        let place = folder.join(".sealpost-claimed").join(number);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&place)
            .expect("a place");
        fs::write(place.join("x.999"), contents).expect("a claimed file");
    };
    claimed("9", "first");
    claimed("10", "second");
    fs::write(folder.join("x.999"), "third").expect("a dropped file");
    let (code, told) = pull(&provider, &into, &["--config", &config]);
    assert_eq!(code, 0, "{told:?}");
    assert_eq!(events(&told, "replied").len(), 3, "{told:?}");
    assert_eq!(names_in(&folder), ["sent"], "no place is left behind");
    let sent = folder.join("sent");
    let read = |name: &str| fs::read_to_string(sent.join(name)).expect("a sent file");
    assert_eq!(
        ["x.999", "x (2).999", "x (3).999"].map(read),
        ["first", "second", "third"]
    );
    assert_eq!(inbox(&desk, &world.empty("back")).len(), 3);
}

#[test]
fn no_name_of_a_file_is_told_when_something_goes_wrong_with_it() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (into, out) = (world.empty("in"), world.empty("out"));
    let lines = format!("into = {into:?}\nreplies = {out:?}\nsettle = \"1s\"\n");
    let config = config(&world, &lines);
    let folder = out.join(DESK);
    fs::create_dir(&folder).expect("a folder");
    fs::write(folder.join(CANARY), "claims").expect("a dropped file");
    fs::write(folder.join(".sealpost-claimed"), "in the way").expect("a file");
    let file = world.file(CANARY, b"claims");
    send(&desk, PROVIDER, &[&file], &[]);
    // Nothing can be staged where a file is.
    fs::write(into.join(DESK), "in the way").expect("a file");
    let failed = run(&provider, &[&"pull", &"--into", &into, &"--config", &config]);
    assert_ne!(failed.code, 0);
    let told = String::from_utf8(failed.stdout).expect("a text") + &failed.stderr;
    assert!(
        told.contains("could not be sent") && told.contains("tried again"),
        "{told}"
    );
    assert!(!told.contains("smith"), "{told}");
    let (_, told) = pull(&provider, &into, &["--config", &config]);
    assert!(!events(&told, "reply_failed").is_empty(), "{told:?}");
    assert!(!Value::Array(told).to_string().contains("smith"));
    assert_eq!(fs::read(folder.join(CANARY)).expect("it stays"), b"claims");
}

#[test]
fn folders_that_would_be_shared_are_refused() {
    let world = World::new();
    let provider = world.provider();
    let into = world.empty("in");
    let inside = into.join("answers");
    for replies in [&into, &inside] {
        let refused = run(&provider, &[&"pull", &"--into", &into, &"--replies", replies]);
        assert_eq!(refused.code, USAGE, "{}", refused.stderr);
        assert!(refused.stderr.contains("lie apart"), "{}", refused.stderr);
    }
    let profile = provider.home().join("profiles").join("default");
    fs::create_dir_all(&profile).expect("a profile");
    fs::copy(provider.home().join("keys.spk"), profile.join("keys.spk")).expect("a key file");
    let refused = run(&provider, &[&"pull", &"--into", &into, &"--all"]);
    assert_eq!(refused.code, USAGE, "{}", refused.stderr);
    assert!(refused.stderr.contains("another name"), "{}", refused.stderr);
    assert!(!into.join("default").exists());
}
