//! `send --once`: whenever the first run ends, and however, one transfer arrives.

use std::fs;
use std::path::Path;
use std::process::Child;

use sealpost_proto::id::{Hash, TransferId};
use sealpost_tests::person::{Person, finish};
use sealpost_tests::samples;
use serde_json::{Value, json};

use super::{REFUSED, USAGE, end, inbox, refused, start};
use crate::end_to_end::resuming::{LEN, records, unfinished};
use crate::support::children::kill_when;
use crate::support::inside::session_of;
use crate::support::{DESK, PROVIDER, World, ask, files_below, names_in, receive, text};

const ROBOT: &str = "robot@clinic.example";
const KEY: &str = "claims for Smith, 2026-11";

fn send_once(desk: &Person, file: &Path) -> Value {
    ask(desk, &[&"send", &"--to", &PROVIDER, &"--once", &KEY, &file])
}

fn start_once(desk: &Person, file: &Path) -> Child {
    start(desk, &[&"send", &"--to", &PROVIDER, &"--once", &KEY, &file])
}

/// The report without the one member that may differ.
fn but_already(report: &Value) -> Value {
    let mut report = report.clone();
    report["already"] = Value::Null;
    report
}

/// One transfer is there, with these bytes, and running it again changes nothing.
fn arrived_once(desk: &Person, provider: &Person, target: &Path, report: &Value, file: &Path) {
    let transfer = text(report, "/transfer");
    assert_eq!(inbox(provider), std::slice::from_ref(&transfer), "one transfer");
    receive(provider, &transfer, target);
    let name = file.file_name().expect("a name");
    let (sent, received) = (
        fs::read(file).expect("the file"),
        fs::read(target.join(name)).expect("the file"),
    );
    assert!(sent == received, "the bytes differ");
    let again = send_once(desk, file);
    assert_eq!(again["already"], json!(true));
    assert_eq!(but_already(&again), but_already(report), "the same report");
    assert_eq!(inbox(provider).len(), 1);
    assert!(
        names_in(&desk.home().join("sending")).is_empty(),
        "nothing is unfinished"
    );
}

/// A service account that may receive and send from anywhere.
fn service(world: &World) -> Person {
    let robot = Person::new(world.folder.path(), "robot").expect("a person");
    let string = world.folder.path().join("robot.enrolment");
    let desk = world.desk();
    let invite: [&dyn AsRef<std::ffi::OsStr>; 9] = [
        &"admin",
        &"invite",
        &ROBOT,
        &"--service",
        &"--scope=receive",
        &"--scope=send",
        &"--network=any",
        &"--out",
        &string,
    ];
    ask(&desk, &invite);
    ask(&robot, &[&"enrol", &string]);
    ask(&desk, &[&"admin", &"confirm", &ROBOT, &"--yes"]);
    robot
}

/// Gives the service account its scopes back.
fn widen(desk: &Person) {
    ask(
        desk,
        &[&"admin", &"service", &ROBOT, &"--scope=receive", &"--scope=send"],
    );
}

/// Ids of files of a kind in a person's folder.
fn kept(desk: &Person, kind: &str) -> usize {
    let entries = fs::read_dir(desk.home().join(kind)).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.path().extension().is_some_and(|end| end == "spk"))
        .count()
}

#[test]
fn a_second_run_sends_nothing_and_says_the_same() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let other = world.member("other", "other@practice.example");
    let file = world.file("claims.837", b"ISA*00");
    let first = send_once(&desk, &file);
    assert_eq!(first["already"], json!(false));
    arrived_once(&desk, &provider, &world.empty("in"), &first, &file);

    // Of the same contents, and yet another file.
    let copy = world.file("copy/claims.837", b"ISA*00");
    assert_eq!(send_once(&desk, &copy)["already"], json!(true));
    // The key says nothing to whoever reads the folder.
    for (path, bytes) in files_below(desk.home()) {
        let shown = path.display().to_string();
        assert!(!shown.contains("Smith"), "{shown}");
        assert!(!bytes.windows(5).any(|window| window == b"Smith"), "{shown}");
    }

    let changed = world.file("changed/claims.837", b"ISA*01");
    let (code, said) = refused(&desk, &[&"send", &"--to", &PROVIDER, &"--once", &KEY, &changed]);
    assert_eq!(code, USAGE, "{said}");
    assert!(
        said.contains(&text(&first, "/transfer")) && said.contains("new key"),
        "{said}"
    );
    let another = ["other@practice.example"];
    let (code, said) = refused(&desk, &[&"send", &"--to", &another[0], &"--once", &KEY, &file]);
    assert_eq!(code, USAGE, "{said}");
    assert!(inbox(&other).is_empty());
    let new = ask(
        &desk,
        &[&"send", &"--to", &PROVIDER, &"--once", &"another key", &changed],
    );
    assert_eq!(new["already"], json!(false));
    assert_eq!(inbox(&provider).len(), 2);
}

#[test]
fn killed_while_it_uploads_it_goes_on_with_the_same_parts() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("series.bin", &samples::noise(LEN));
    kill_when(start_once(&desk, &file), || records(&desk, "sending") > 3);
    let transfer = unfinished(&desk, "sending");
    let before = parts(&desk, &transfer);
    assert!(before.len() >= 3, "{before:?}");
    assert!(inbox(&provider).is_empty());
    // As a script that wrote its file again: the same bytes, another time.
    let bytes = fs::read(&file).expect("the file");
    fs::write(&file, &bytes).expect("a file");

    let report = send_once(&desk, &file);
    assert_eq!(
        (text(&report, "/transfer"), &report["already"]),
        (transfer.clone(), &json!(false))
    );
    let after = parts(&desk, &transfer);
    let unchanged = before.iter().filter(|part| after.contains(part)).count();
    assert!(unchanged >= 3, "parts are kept: {before:?} {after:?}");
    arrived_once(&desk, &provider, &world.empty("in"), &report, &file);
}

/// Numbers and roots of the parts that the gateway holds.
fn parts(person: &Person, transfer: &str) -> Vec<(u32, Hash)> {
    let mut session = session_of(person);
    let id: TransferId = transfer.parse().expect("an id");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let listed = runtime.block_on(async {
        session.update().await.expect("the directory");
        session.api.parts(&id).await
    });
    listed
        .expect("a list")
        .into_iter()
        .map(|part| (part.number, part.root))
        .collect()
}

#[test]
fn another_file_is_not_sent_under_the_key_of_an_unfinished_one() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let mut bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    kill_when(start_once(&desk, &file), || records(&desk, "sending") > 1);
    bytes[7] ^= 1;
    let changed = world.file("changed/series.bin", &bytes);
    let (code, said) = refused(&desk, &[&"send", &"--to", &PROVIDER, &"--once", &KEY, &changed]);
    assert_eq!(code, USAGE, "{said}");
    // Thrown away on purpose, the key is free: nothing was sent under it.
    ask(&desk, &[&"resume", &"--discard"]);
    let report = send_once(&desk, &changed);
    assert_eq!(report["already"], json!(false));
    arrived_once(&desk, &provider, &world.empty("in"), &report, &changed);
}

/// The gateway has the transfer, and dies before it can say so; then the client is killed as well.
#[test]
fn killed_when_the_answer_was_lost_it_is_known_to_be_sent() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("claims.837", b"ISA*00");
    world.gateway.restart_to_die_at("seal-recorded").expect("a start");
    let mut child = start_once(&desk, &file);
    world.gateway.wait_for_death().expect("a death");
    child.kill().expect("a process that waits");
    child.wait().expect("its end");
    assert_eq!(kept(&desk, "sending"), 1, "the request is kept");
    world.gateway.restart().expect("a restart");

    let sealed = inbox(&provider);
    assert_eq!(sealed.len(), 1, "the gateway took it");
    let report = send_once(&desk, &file);
    assert_eq!(report["already"], json!(true));
    arrived_once(&desk, &provider, &world.empty("in"), &report, &file);
}

/// The same without what was kept to go on with: the gateway is asked.
#[test]
fn discarded_when_the_answer_was_lost_it_is_known_to_be_sent() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("claims.837", b"ISA*00");
    for (point, was_taken) in [("seal-share-kept", false), ("seal-recorded", true)] {
        world.gateway.restart_to_die_at(point).expect("a start");
        let mut child = start_once(&desk, &file);
        world.gateway.wait_for_death().expect("a death");
        child.kill().expect("a process that waits");
        child.wait().expect("its end");
        world.gateway.restart().expect("a restart");
        ask(&desk, &[&"resume", &"--discard"]);
        assert_eq!(inbox(&provider).len(), usize::from(was_taken), "{point}");
    }
    let report = send_once(&desk, &file);
    assert_eq!(report["already"], json!(true));
    arrived_once(&desk, &provider, &world.empty("in"), &report, &file);
}

/// The gateway has the transfer and dies before it can say so, and then its sender, a service account, may do less.
#[test]
fn narrowed_when_the_answer_was_lost_it_is_sent_once() {
    let mut world = World::new();
    let (desk, robot) = (world.desk(), service(&world));
    let file = world.file("claims.837", b"ISA*00");
    let words: [&dyn AsRef<std::ffi::OsStr>; 6] = [&"send", &"--to", &DESK, &"--once", &KEY, &file];
    world.gateway.restart_to_die_at("seal-recorded").expect("a start");
    let mut child = start(&robot, &words);
    world.gateway.wait_for_death().expect("a death");
    child.kill().expect("a process that waits");
    child.wait().expect("its end");
    world.gateway.restart().expect("a restart");
    let sealed = inbox(&desk);
    assert_eq!(sealed.len(), 1, "the gateway took it");

    let narrow = |option: &str, value: &str| {
        ask(&desk, &[&"admin", &"service", &ROBOT, &option, &value]);
    };
    // Scopes that may neither send nor see transfers, and then a network that may not even see the directory.
    for (option, value) in [("--scope", "link"), ("--network", "10.0.0.0/8")] {
        narrow(option, value);
        for _ in 0..2 {
            let (code, said) = refused(&robot, &words);
            assert_eq!(code, REFUSED, "{value}: {said}");
            let is_open = said.contains("is not known yet") && said.contains("sealpost resume");
            assert_eq!(is_open, value == "link", "{said}");
            assert_eq!(kept(&robot, "sending"), 1, "{value}: the request is kept");
        }
    }
    narrow("--network", "any");
    widen(&desk);
    let report = ask(&robot, &words);
    assert_eq!(
        (text(&report, "/transfer"), &report["already"]),
        (sealed[0].clone(), &json!(true))
    );
    assert_eq!(ask(&robot, &words)["already"], json!(true));
    assert_eq!(inbox(&desk), sealed, "one transfer");
    assert_eq!(kept(&robot, "sending"), 0, "nothing is unfinished");
}

/// Who may see transfers and no longer send learns that it was sent.
#[test]
fn an_account_that_may_not_send_any_more_learns_that_it_was_sent() {
    let mut world = World::new();
    let (desk, robot) = (world.desk(), service(&world));
    let file = world.file("claims.837", b"ISA*00");
    world.gateway.restart_to_die_at("seal-recorded").expect("a start");
    let mut child = start(&robot, &[&"send", &"--to", &DESK, &file]);
    world.gateway.wait_for_death().expect("a death");
    child.kill().expect("a process that waits");
    child.wait().expect("its end");
    world.gateway.restart().expect("a restart");
    ask(&desk, &[&"admin", &"service", &ROBOT, &"--scope", &"receive"]);
    let resumed = ask(&robot, &[&"resume"]);
    assert_eq!(inbox(&desk), [text(&resumed, "/sent/0/transfer")]);
    // What was never sent is refused, and can be gone on with.
    let (code, said) = refused(&robot, &[&"send", &"--to", &DESK, &file]);
    assert_eq!(code, REFUSED, "{said}");
    assert!(said.contains("unfinished"), "{said}");
    assert_eq!((inbox(&desk).len(), kept(&robot, "sending")), (1, 1));
    widen(&desk);
    ask(&robot, &[&"resume"]);
    assert_eq!((inbox(&desk).len(), kept(&robot, "sending")), (2, 0));
}

/// Killed as soon as each of its records is there, or gone again: before and after the announcement, before and after the answer,
/// before and after the local record of it.
#[test]
fn killed_at_any_moment_it_is_sent_once() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    type Moment<'a> = (&'a str, Box<dyn Fn() -> bool + 'a>);
    let sent = kept(&desk, "sent");
    let moments: Vec<Moment<'_>> = vec![
        ("the lock of the key", Box::new(|| desk.home().join("once").exists())),
        ("the record of the key", Box::new(|| kept(&desk, "once") > 0)),
        ("the record of sending", Box::new(|| kept(&desk, "sent") > sent)),
        ("the journal", Box::new(|| records(&desk, "sending") > 0)),
        ("the unfinished send", Box::new(|| kept(&desk, "sending") > 0)),
    ];
    for (round, (moment, is_time)) in moments.into_iter().enumerate() {
        let _ = fs::remove_dir_all(desk.home().join("once"));
        for record in fs::read_dir(desk.home().join("sent")).into_iter().flatten().flatten() {
            fs::remove_file(record.path()).expect("a record of an earlier round");
        }
        let file = world.file(&format!("claims {round}.837"), moment.as_bytes());
        let mut child = start_once(&desk, &file);
        while !is_time() && child.try_wait().expect("a process").is_none() {
            std::thread::yield_now();
        }
        // It may have ended by itself: then the rerun must see that as well.
        let _ = child.kill();
        child.wait().expect("its end");
        let report = send_once(&desk, &file);
        let transfer = text(&report, "/transfer");
        let all = inbox(&provider);
        assert_eq!(all.len(), round + 1, "{moment}: {all:?}");
        assert!(all.contains(&transfer), "{moment}");
        let again = send_once(&desk, &file);
        assert_eq!(again["already"], json!(true), "{moment}");
        assert_eq!(but_already(&again), but_already(&report), "{moment}");
        assert_eq!(inbox(&provider).len(), round + 1, "{moment}");
    }
}

#[test]
fn of_several_at_once_one_sends() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("claims.837", &samples::noise(20 << 20));
    let children: Vec<Child> = (0..4).map(|_| start_once(&desk, &file)).collect();
    let ends: Vec<(i32, Value)> = children.into_iter().map(end).collect();
    for (code, report) in &ends {
        assert_eq!(*code, 0, "{report}");
        assert_eq!(but_already(report), but_already(&ends[0].1));
    }
    let new = ends.iter().filter(|(_, report)| report["already"] == json!(false));
    assert_eq!(new.count(), 1, "{ends:?}");
    arrived_once(&desk, &provider, &world.empty("in"), &ends[0].1, &file);
}

#[test]
fn the_standard_input_is_sent_once_as_well() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let send = |input: &[u8]| {
        let words: [&dyn AsRef<std::ffi::OsStr>; 7] = [&"send", &"-", &"--to", &PROVIDER, &"--once", &KEY, &"--json"];
        finish(desk.command(&words), input).expect("a run")
    };
    let first = send(b"ISA*00").json("send").expect("a document");
    let again = send(b"ISA*00").json("send").expect("a document");
    assert_eq!((&first["already"], &again["already"]), (&json!(false), &json!(true)));
    assert_eq!(but_already(&first), but_already(&again));
    assert_eq!(send(b"ISA*01").code, USAGE);
    assert_eq!(inbox(&provider).len(), 1);
    let (code, _) = refused(&desk, &[&"send", &"--link", &"--once", &KEY, &"--note", &"x"]);
    assert_eq!(code, USAGE, "words are told once, so a link cannot be told again");
}
