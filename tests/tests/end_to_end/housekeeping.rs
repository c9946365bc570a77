//! What stays said, and what does not stay.

use std::fs;
use std::process::Command;

use sealpost_tests::binaries;

use crate::support::{PROVIDER, World, ask, names_in, run, send};

/// Exit code of docs/cli.md.
const LOG: i32 = 12;

/// Flips a bit in the last frame but one of the only journal file, and has the loss accepted.
fn lose_a_record(world: &mut World) {
    world.gateway.pause().expect("an end");
    let journal = world.gateway.data().join("journal");
    let path = journal.join(names_in(&journal).last().expect("a file"));
    let mut bytes = fs::read(&path).expect("the journal");
    let starts = bytes.windows(4).enumerate().filter(|(_, window)| *window == b"SPFR");
    let starts: Vec<usize> = starts.map(|(at, _)| at).collect();
    bytes[starts[starts.len() - 2] + 60] ^= 1;
    fs::write(&path, bytes).expect("a write");
    let mut repair = Command::new(binaries::find("sealpost-gateway").expect("the gateway"));
    repair.args(["journal", "repair", "--accept-loss"]);
    repair.env("SEALPOST__DATA_DIR", world.gateway.data());
    let repaired = repair.output().expect("a run");
    assert!(
        repaired.status.success(),
        "{}",
        String::from_utf8_lossy(&repaired.stderr)
    );
    world.gateway.restart().expect("a start");
}

#[test]
fn an_audit_log_that_was_skipped_is_told_at_every_run() {
    let mut world = World::new();
    let (desk, _provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    ask(&desk, &[&"audit", &"verify"]);
    for _ in 0..2 {
        send(&desk, PROVIDER, &[&file], &[]);
        send(&desk, PROVIDER, &[&file], &[]);
        lose_a_record(&mut world);
    }
    for _ in 0..2 {
        let verified = run(&desk, &[&"--json", &"audit", &"verify"]);
        assert_eq!(verified.code, LOG, "{}", verified.stderr);
        let told: serde_json::Value = serde_json::from_slice(&verified.stdout).expect("JSON");
        assert_eq!(told.pointer("/restarted/skipped"), Some(&1.into()), "{told}");
    }
    fs::rename(desk.home().join("audit"), world.folder.path().join("kept")).expect("a folder");
    ask(&desk, &[&"audit", &"verify"]);
}
