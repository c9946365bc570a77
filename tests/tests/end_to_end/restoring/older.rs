//! A copy of the whole data folder from before, put back where the ring is as it was: refused, although nobody has read the audit log
//! since.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use sealpost_tests::person::Person;

use super::{copy, put_back, refusal};
use crate::support::{PROVIDER, World, receive, run, send};

/// Longest wait for what takes seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway that has stopped, a copy of its data with all release shares, and a transfer that may be opened twice.
fn copied_whole() -> (World, Person, String, PathBuf) {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let transfer = send(&desk, PROVIDER, &[&file], &["--openings", "2"]);
    world.gateway.pause().expect("an end");
    let whole = world.folder.path().join("whole");
    copy(world.gateway.data(), &whole, &[]);
    (world, provider, transfer, whole)
}

/// Entries of the audit log that the gateway remembers.
fn remembered(ring: &Path) -> u64 {
    let text = fs::read_to_string(ring.join("signer")).expect("the memory");
    let line = text.lines().find(|line| line.contains("/audit "));
    let size = line.and_then(|line| line.split(' ').nth(1)).expect("a size");
    size.parse().expect("a number")
}

fn is_refused(world: &mut World, whole: &Path) {
    put_back(world, whole);
    let refused = refusal(world);
    assert!(
        refused.contains("The data folder is an older copy: put the newest one back."),
        "{refused}"
    );
}

#[test]
fn a_copy_from_before_a_clean_stop_is_refused_although_nobody_read_the_log() {
    let (mut world, provider, transfer, whole) = copied_whole();
    let before = remembered(&world.gateway.ring());
    world.gateway.restart().expect("a start");
    receive(&provider, &transfer, &world.empty("once"));
    world.gateway.pause().expect("an end");
    assert!(remembered(&world.gateway.ring()) > before);
    let newest = world.folder.path().join("newest");
    copy(world.gateway.data(), &newest, &[]);
    is_refused(&mut world, &whole);

    // The newest one is accepted, and the second opening is the last.
    put_back(&mut world, &newest);
    world.gateway.restart().expect("a start");
    let again = |target: &Path| run(&provider, &[&"receive", &transfer, &"--again", &"--into", &target]);
    assert_eq!(again(&world.empty("twice")).code, 0);
    assert_ne!(again(&world.empty("thrice")).code, 0);
}

#[test]
fn a_copy_from_before_is_refused_after_a_kill_as_well() {
    let (mut world, provider, transfer, whole) = copied_whole();
    let (desk, ring) = (world.desk(), world.gateway.ring());
    let file = world.file("other.txt", b"to be taken back");
    let at_stop = remembered(&ring);
    world.gateway.restart_to_die_at("revoke-recorded").expect("a start");
    let taken_back = send(&desk, PROVIDER, &[&file], &[]);
    receive(&provider, &transfer, &world.empty("once"));
    let began = Instant::now();
    while remembered(&ring) == at_stop {
        assert!(began.elapsed() < PATIENCE, "nothing was remembered in time");
        sleep(Duration::from_millis(20));
    }
    let died = run(&desk, &[&"revoke", &taken_back, &"--yes"]);
    assert_ne!(died.code, 0, "{}", died.stderr);
    world.gateway.wait_for_death().expect("a death");
    is_refused(&mut world, &whole);
}
