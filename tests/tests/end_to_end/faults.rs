//! The fault harness for a minute: what `cargo xtask soak` does for hours. Seeds are fixed, moments are not: they are the machine's.

use sealpost_tests::faults::inject::{self, Fault};
use sealpost_tests::faults::power::{self, Syncs};
use sealpost_tests::faults::world::World;
use sealpost_tests::faults::{Verdict, kill};

/// One of so many calls fails here; the soak takes them all.
const THINNED: usize = 12;

fn world(seed: u64) -> World {
    World::found(&std::env::temp_dir(), seed).expect("a world")
}

fn assert_clean(verdict: &Verdict) {
    assert!(verdict.is_clean(), "{verdict}");
    assert!(verdict.acknowledged > 0, "nothing was acknowledged");
}

#[test]
fn kill_9_loses_nothing_that_was_acknowledged() {
    let (rounds, verdict) = kill::run(&world(1), 8, 1).expect("kill rounds");
    assert_clean(&verdict);
    assert_eq!(rounds, 8);
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let (rounds, verdict) = power::run(&world(2), 10, 2, Syncs::Kept).expect("power cuts");
    assert_clean(&verdict);
    assert_eq!(rounds, 10);
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let (_, verdict) = power::run(&world(3), 40, 3, Syncs::Ignored).expect("power cuts");
    assert!(!verdict.is_clean(), "the harness finds no loss: {verdict}");
}

#[test]
fn a_full_disk_refuses_and_goes_on() {
    let (rounds, verdict) = inject::run(&world(4), Fault::Enospc, THINNED, "", 4).expect("rounds");
    assert!(rounds > 0, "no call failed");
    assert_clean(&verdict);
}

#[test]
fn a_failing_disk_ends_the_gateway_and_loses_nothing() {
    let (rounds, verdict) = inject::run(&world(5), Fault::Eio, THINNED, "", 5).expect("rounds");
    assert!(rounds > 0, "no call failed");
    assert_clean(&verdict);
}
