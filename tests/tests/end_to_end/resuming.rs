//! Interrupted in the middle, and gone on with: nothing is sent, fetched, opened or delivered twice, and nothing is lost.
//!
//! Clients are killed with signal 9 as soon as their own journal has grown so far; there is no cleaning up that could help them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use sealpost_client::records::{Progress, ReceivedRecord};
use sealpost_proto::id::{Hash, TransferId};
use sealpost_tests::person::{Person, Words};
use sealpost_tests::{binaries, samples};
use serde_json::Value;

use crate::support::children::kill_when;
use crate::support::inside::session_of;
use crate::support::{PROVIDER, World, ask, delivery, names_in, receive, run, send, text};

/// Exit codes of docs/cli.md.
const NOT_FOUND: i32 = 6;
const OVER: i32 = 7;
const FILE: i32 = 9;

/// Stored bytes of a whole part.
const PART: u64 = 8_390_144;
/// Twelve parts: a client is killed long before the last.
pub(super) const LEN: usize = 96 << 20;

/// A `sealpost` that has been started and not awaited.
fn start(person: &Person, words: &Words<'_>) -> Child {
    start_in(person.home(), person, words)
}

/// The same with another folder of the same keys.
fn start_in(home: &Path, person: &Person, words: &Words<'_>) -> Child {
    Command::new(binaries::find("sealpost").expect("the program"))
        .args(["--home".as_ref(), home.as_os_str()])
        .args(["--passphrase-file".as_ref(), person.passphrase_file().as_os_str()])
        .args(words.iter().map(AsRef::as_ref))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a process")
}

/// Journals of a kind in a person's folder, with their lengths.
fn journals(person: &Person, kind: &str) -> Vec<(PathBuf, u64)> {
    journals_in(&person.home().join(kind))
}

fn journals_in(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let logs = entries.filter(|entry| entry.path().extension().is_some_and(|end| end == "log"));
    logs.map(|entry| (entry.path(), entry.metadata().map_or(0, |metadata| metadata.len())))
        .collect()
}

/// Complete records of the only journal of a kind; 0 when there is none.
pub(super) fn records(person: &Person, kind: &str) -> usize {
    records_in(&person.home().join(kind))
}

/// The same of a folder.
pub(super) fn records_in(folder: &Path) -> usize {
    let Some((path, _)) = journals_in(folder).into_iter().next() else {
        return 0;
    };
    let bytes = fs::read(path).unwrap_or_default();
    let (mut rest, mut count) = (bytes.as_slice(), 0);
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let len = u32::from_be_bytes(*len) as usize;
        let Some((_, later)) = behind.split_at_checked(len) else {
            break;
        };
        rest = later;
        count += 1;
    }
    count
}

fn number(value: &Value, pointer: &str) -> u64 {
    let found = value.pointer(pointer).and_then(Value::as_u64);
    found.unwrap_or_else(|| panic!("no number at {pointer} in {value}"))
}

/// The only transfer that a person's folder holds as unfinished, by the name of its journal.
pub(super) fn unfinished(person: &Person, kind: &str) -> String {
    let all = journals(person, kind);
    assert_eq!(all.len(), 1, "one is unfinished");
    all[0].0.file_stem().expect("a name").to_string_lossy().into_owned()
}

/// Roots of the parts that the gateway holds of a transfer that is being sent.
fn parts(person: &Person, transfer: &str) -> BTreeMap<u32, Hash> {
    let session = session_of(person);
    let id: TransferId = transfer.parse().expect("an id");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let mut session = session;
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

/// Sends `file` and is killed when the draft and `parts` parts are in the journal.
pub(super) fn killed_sending(desk: &Person, file: &Path, parts: usize) -> String {
    let child = start(desk, &[&"send", &"--to", &PROVIDER, &"--note", &"in parts", &file]);
    kill_when(child, || records(desk, "sending") > parts);
    unfinished(desk, "sending")
}

/// Receives a transfer and is killed when `parts` parts are in the journal.
pub(super) fn killed_receiving(provider: &Person, transfer: &str, target: &Path, parts: usize) {
    let child = start(provider, &[&"receive", &transfer, &"--into", &target]);
    kill_when(child, || records(provider, "receiving") >= parts);
}

fn openings_used(desk: &Person, transfer: &str) -> u64 {
    number(
        &ask(desk, &[&"status", &transfer]),
        "/transfers/0/recipients/0/openings_used",
    )
}

#[test]
fn a_send_that_was_killed_goes_on_with_the_parts_that_are_there() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let transfer = killed_sending(&desk, &file, 3);
    let before = parts(&desk, &transfer);
    assert!(before.len() >= 3, "{before:?}");
    let status = run(&desk, &[&"status"]);
    assert!(status.stderr.contains("1 unfinished transfer"), "{}", status.stderr);
    let inbox = ask(&provider, &[&"inbox"]);
    assert!(!inbox.to_string().contains(&transfer), "nobody sees half a transfer");

    world.gateway.restart().expect("a restart");
    let resumed = ask(&desk, &[&"resume"]);
    assert_eq!(text(&resumed, "/sent/0/transfer"), transfer);
    let kept = number(&resumed, "/sent/0/kept_bytes");
    assert!(kept >= 3 * PART, "{resumed}");
    let after = parts(&desk, &transfer);
    let unchanged = before
        .iter()
        .filter(|(number, root)| after.get(number) == Some(root))
        .count();
    // One may have been acknowledged and not written down when the client was killed.
    assert!(unchanged as u64 * PART >= kept, "{before:?} {after:?}");
    assert!(journals(&desk, "sending").is_empty(), "nothing is left of it");

    let target = world.empty("provider");
    let received = receive(&provider, &transfer, &target);
    assert_eq!(text(&received, "/note"), "in parts");
    assert!(
        fs::read(target.join("series.bin")).expect("the file") == bytes,
        "the bytes differ"
    );
    assert_eq!(delivery(&desk, &transfer), "verified");
    assert_eq!(
        text(&ask(&desk, &[&"status", &transfer]), "/transfers/0/files/0"),
        "series.bin"
    );
    let nothing = run(&desk, &[&"resume"]);
    assert_eq!(
        (nothing.code, String::from_utf8_lossy(&nothing.stdout).trim()),
        (0, "Nothing is unfinished.")
    );
}

#[test]
fn a_send_is_not_continued_with_another_file() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let mut bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let time = fs::metadata(&file)
        .and_then(|metadata| metadata.modified())
        .expect("a time");
    let transfer = killed_sending(&desk, &file, 2);
    // As long as before, and as old; one bit is another.
    bytes[5] ^= 1;
    fs::write(&file, &bytes).expect("a file");
    let handle = fs::File::options().append(true).open(&file).expect("the file");
    handle.set_modified(time).expect("a time");
    let refused = run(&desk, &[&"resume", &transfer]);
    assert_eq!(refused.code, FILE, "{}", refused.stderr);
    assert!(
        refused.stderr.contains("changed") && refused.stderr.contains("send it again"),
        "{}",
        refused.stderr
    );
    assert!(journals(&desk, "sending").is_empty(), "it was thrown away");
    assert_eq!(run(&desk, &[&"resume", &transfer]).code, NOT_FOUND);
    let sent = ask(&desk, &[&"status"]);
    assert!(!sent.to_string().contains(&transfer), "{sent}");
}

#[test]
fn an_unfinished_send_can_be_thrown_away() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let file = world.file("series.bin", &samples::noise(LEN));
    let transfer = killed_sending(&desk, &file, 1);
    let discarded = ask(&desk, &[&"resume", &"--discard"]);
    assert_eq!(text(&discarded, "/discarded/0/transfer"), transfer);
    assert_eq!(text(&discarded, "/discarded/0/direction"), "send");
    assert!(journals(&desk, "sending").is_empty());
    assert_eq!(fs::read_dir(desk.home().join("sending")).expect("a folder").count(), 0);
}

#[test]
fn a_receive_that_was_killed_keeps_what_it_had_and_its_only_opening() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let small = world.file("letter.txt", b"dear colleague");
    let transfer = send(&desk, PROVIDER, &[&small, &file], &["--openings", "1"]);
    let target = world.empty("provider");
    killed_receiving(&provider, &transfer, &target, 3);
    assert_eq!(
        names_in(&target),
        [format!(".sealpost-{transfer}")],
        "nothing has a name yet"
    );
    let inbox = run(&provider, &[&"inbox"]);
    assert!(inbox.stderr.contains("1 unfinished transfer"), "{}", inbox.stderr);

    world.gateway.restart().expect("a restart");
    let resumed = ask(&provider, &[&"resume"]);
    assert_eq!(text(&resumed, "/received/0/transfer"), transfer);
    assert!(number(&resumed, "/received/0/kept_bytes") >= 3 * PART, "{resumed}");
    assert_eq!(names_in(&target), ["letter.txt", "series.bin"]);
    assert!(
        fs::read(target.join("series.bin")).expect("the file") == bytes,
        "the bytes differ"
    );
    assert_eq!(
        fs::read(target.join("letter.txt")).expect("the file"),
        b"dear colleague"
    );
    assert_eq!(delivery(&desk, &transfer), "verified");
    assert_eq!(openings_used(&desk, &transfer), 1);
    assert!(journals(&provider, "receiving").is_empty(), "nothing is left of it");
}

/// Does something to a staged file.
type Damage<'a> = &'a dyn Fn(&Path);

#[test]
fn what_is_damaged_in_staging_is_fetched_again() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let bytes = samples::noise(LEN);
    let file = world.file("series.bin", &bytes);
    let staged = |target: &Path, transfer: &str| target.join(format!(".sealpost-{transfer}/0"));
    let damages: [(&str, Damage<'_>); 2] = [
        ("changed", &|path| {
            let mut staged = fs::read(path).expect("the staged file");
            let at = usize::try_from(PART).expect("small") + 7;
            staged[at] ^= 1;
            fs::write(path, staged).expect("the staged file");
        }),
        ("short", &|path| {
            let file = fs::File::options().write(true).open(path).expect("the staged file");
            file.set_len(1000).expect("a shorter one");
        }),
    ];
    for (name, damage) in damages {
        let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
        let target = world.empty(name);
        killed_receiving(&provider, &transfer, &target, 3);
        damage(&staged(&target, &transfer));
        let resumed = ask(&provider, &[&"resume", &transfer]);
        let kept = number(&resumed, "/received/0/kept_bytes");
        assert!(kept <= PART, "{name}: {resumed}");
        assert!(
            fs::read(target.join("series.bin")).expect("the file") == bytes,
            "{name}: the bytes differ"
        );
        assert_eq!(openings_used(&desk, &transfer), 1, "{name}");
    }
}

#[test]
fn an_unfinished_receive_can_be_thrown_away_and_begun_again_within_its_opening() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("series.bin", &samples::noise(LEN));
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let target = world.empty("provider");
    killed_receiving(&provider, &transfer, &target, 1);
    let discarded = ask(&provider, &[&"resume", &transfer[..8].to_owned(), &"--discard"]);
    assert_eq!(text(&discarded, "/discarded/0/direction"), "receive");
    assert_eq!(names_in(&target), Vec::<String>::new(), "no plaintext is left");
    let received = receive(&provider, &transfer, &target);
    assert_eq!(number(&received, "/kept_bytes"), 0);
    assert_eq!(openings_used(&desk, &transfer), 1);
}

/// Killed at whatever point of the end: when a file has its name, and when the client has written that down.
#[test]
fn nothing_is_delivered_twice_however_late_it_was_interrupted() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let files: Vec<PathBuf> = (0..40)
        .map(|number| world.file(&format!("{number}.txt"), format!("page {number}").as_bytes()))
        .collect();
    let paths: Vec<&Path> = files.iter().map(AsRef::as_ref).collect();
    let is_placed = |target: &Path| {
        fs::read_dir(target)
            .expect("a folder")
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().ends_with(".txt"))
    };
    let is_recorded = |provider: &Person| {
        let entries = fs::read_dir(provider.home().join("received")).into_iter().flatten();
        entries.count()
    };
    let mut interrupted = [0; 2];
    for round in 0..6 {
        let transfer = send(&desk, PROVIDER, &paths, &["--openings", "1"]);
        let target = world.empty(&format!("round {round}"));
        let before = is_recorded(&provider);
        let mut child = start(&provider, &[&"receive", &transfer, &"--into", &target]);
        let is_time = || {
            if round % 2 == 0 {
                is_placed(&target)
            } else {
                is_recorded(&provider) > before
            }
        };
        while !is_time() && child.try_wait().expect("a process").is_none() {
            std::thread::yield_now();
        }
        // It may have come to its end: then there is nothing to go on with, and another round has to be interrupted.
        let _ = child.kill();
        if !child.wait().expect("its end").success() {
            interrupted[round % 2] += 1;
        }
        let resumed = run(&provider, &[&"resume"]);
        assert_eq!(resumed.code, 0, "{}", resumed.stderr);
        let mut expected: Vec<String> = (0..40).map(|number| format!("{number}.txt")).collect();
        expected.sort();
        assert_eq!(names_in(&target), expected, "round {round}");
        assert_eq!(delivery(&desk, &transfer), "verified", "round {round}");
        assert_eq!(openings_used(&desk, &transfer), 1, "round {round}");
    }
    assert!(interrupted.iter().all(|rounds| *rounds > 0), "{interrupted:?}");
}

#[test]
fn a_receipt_whose_answer_was_lost_is_sent_again_without_a_second_delivery() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"dear colleague");
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let target = world.empty("provider");
    receive(&provider, &transfer, &target);
    // As if the client had been killed after it posted the receipt, and before the answer came.
    let session = session_of(&provider);
    let hh = hh_of(&provider);
    let mut record = ReceivedRecord::get(&session.state, &hh)
        .expect("a record")
        .expect("it is there");
    let receipt = record.receipt.take().expect("a receipt");
    record.progress = Progress::Placed;
    record.put(&session.state, &session.env).expect("a record");
    drop(session);

    let resumed = ask(&provider, &[&"resume"]);
    assert_eq!(text(&resumed, "/receipts/0"), transfer);
    let session = session_of(&provider);
    let record = ReceivedRecord::get(&session.state, &hh)
        .expect("a record")
        .expect("it is there");
    assert_eq!(record.receipt, Some(receipt), "the first one counts");
    assert_eq!(names_in(&target), ["letter.txt"]);
    assert_eq!(delivery(&desk, &transfer), "verified");
}

/// The header hash of the only transfer that a person received.
fn hh_of(person: &Person) -> Hash {
    let mut entries = fs::read_dir(person.home().join("received"))
        .expect("a folder")
        .flatten();
    let name = entries.next().expect("a record").file_name();
    let name = name.to_string_lossy();
    name.trim_end_matches(".spk").parse().expect("a hash")
}

#[test]
fn what_cannot_be_finished_any_more_is_said_and_leaves_no_plaintext() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("series.bin", &samples::noise(LEN));
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "1"]);
    let target = world.empty("provider");
    killed_receiving(&provider, &transfer, &target, 1);
    // Received to its end by another copy of the same device meanwhile: the opening has ended, and it was the only one.
    let copy = world.folder.path().join("copy");
    copy_folder(provider.home(), &copy);
    let elsewhere = world.empty("elsewhere");
    let twin = start_in(&copy, &provider, &[&"receive", &transfer, &"--into", &elsewhere]);
    assert!(twin.wait_with_output().expect("its end").status.success());
    let refused = run(&provider, &[&"resume", &transfer]);
    assert_eq!(refused.code, OVER, "{}", refused.stderr);
    assert_eq!(names_in(&target), Vec::<String>::new(), "no plaintext is left");
    assert!(journals(&provider, "receiving").is_empty());
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder").flatten() {
        let (source, copy) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_folder(&source, &copy);
        } else {
            fs::copy(&source, &copy).expect("a copy");
        }
    }
}
