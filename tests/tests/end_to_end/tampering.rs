//! A gateway whose disk was tampered with: the recipient keeps nothing, and the sender learns why.

use std::fs;
use std::path::PathBuf;

use sealpost_tests::disk;
use sealpost_tests::samples::{self, Sample};

use crate::support::{PROVIDER, World, ask, delivery, files_below, names_in, run, send, text};

/// Exit codes of docs/cli.md.
const NOT_VALID: i32 = 5;
const GATEWAY_FAILED: i32 = 14;

/// Files of the gateway that hold a transfer and whose path contains `which`.
fn stored(world: &World, transfer: &str, which: &str) -> Vec<PathBuf> {
    let files = files_below(&world.gateway.data().join("blobs"))
        .into_iter()
        .map(|(path, _)| path);
    let of = |path: &PathBuf| {
        let path = path.to_string_lossy();
        path.contains(transfer) && path.contains(which) && !path.ends_with("-leaves")
    };
    let found: Vec<PathBuf> = files.filter(of).collect();
    assert!(!found.is_empty(), "the gateway holds no {which} of {transfer}");
    found
}

fn flip(path: &PathBuf, at: impl Fn(usize) -> usize) {
    let mut bytes = fs::read(path).expect("a stored file");
    let at = at(bytes.len());
    bytes[at] ^= 1;
    fs::write(path, bytes).expect("a stored file");
}

/// The transfer is refused with this reason, nothing of it is kept anywhere, and the sender sees it.
fn assert_rejected(world: &World, transfer: &str, reason: &str, contents: &[u8]) {
    let provider = &world.organisation.folder.join("provider");
    let person = sealpost_tests::person::Person::new(&world.organisation.folder, "provider").expect("the provider");
    let target = world.empty(transfer);
    let outcome = run(&person, &[&"receive", &transfer, &"--into", &target]);
    assert_eq!(outcome.code, NOT_VALID, "{}", outcome.stderr);
    assert!(
        outcome.stderr.contains("altered"),
        "the person is told why: {}",
        outcome.stderr
    );
    assert_eq!(names_in(&target), Vec::<String>::new(), "nothing is left in the folder");
    let needles = disk::needles(&[Sample {
        name: "x".to_owned(),
        bytes: contents.to_vec(),
    }]);
    assert_eq!(
        needles.search(&[provider]).expect("a search").findings,
        vec![],
        "nothing is left in the home"
    );
    let status = ask(&world.desk(), &[&"status", &transfer]);
    assert_eq!(text(&status, "/transfers/0/recipients/0/state"), "rejected");
    assert_eq!(text(&status, "/transfers/0/recipients/0/reason"), reason);
}

#[test]
fn a_flipped_bit_in_a_part_is_found() {
    let world = World::new();
    world.provider();
    let contents = samples::noise(600_000);
    let file = world.file("scan.dcm", &contents);
    for place in [0_usize, 40, 300_000] {
        let transfer = send(&world.desk(), PROVIDER, &[&file], &[]);
        flip(&stored(&world, &transfer, "part-0")[0], |_| place);
        assert_rejected(&world, &transfer, "segment", &contents);
    }
    let transfer = send(&world.desk(), PROVIDER, &[&file], &[]);
    flip(&stored(&world, &transfer, "part-0")[0], |len| len - 1);
    assert_rejected(&world, &transfer, "segment", &contents);
}

#[test]
fn a_part_of_another_transfer_is_found() {
    let world = World::new();
    world.provider();
    let contents = samples::noise(600_000);
    let file = world.file("scan.dcm", &contents);
    let first = send(&world.desk(), PROVIDER, &[&file], &[]);
    let second = send(&world.desk(), PROVIDER, &[&file], &[]);
    fs::copy(
        &stored(&world, &first, "part-0")[0],
        &stored(&world, &second, "part-0")[0],
    )
    .expect("a copy");
    assert_rejected(&world, &second, "segment", &contents);
    let target = world.empty("first");
    let provider = sealpost_tests::person::Person::new(&world.organisation.folder, "provider").expect("the provider");
    crate::support::receive(&provider, &first, &target);
    assert_eq!(
        delivery(&world.desk(), &first),
        "verified",
        "the other one is as it was"
    );
}

#[test]
fn a_part_that_was_cut_short_delivers_nothing() {
    let world = World::new();
    let provider = world.provider();
    let file = world.file("scan.dcm", &samples::noise(600_000));
    let transfer = send(&world.desk(), PROVIDER, &[&file], &[]);
    let part = &stored(&world, &transfer, "part-0")[0];
    let bytes = fs::read(part).expect("the part");
    fs::write(part, &bytes[..bytes.len() - 100]).expect("a shorter part");
    let target = world.empty("provider");
    let outcome = run(&provider, &[&"receive", &transfer, &"--into", &target]);
    assert_eq!(outcome.code, GATEWAY_FAILED, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("store is damaged"), "{}", outcome.stderr);
    assert!(
        !outcome.stderr.contains("try again"),
        "it would not help: {}",
        outcome.stderr
    );
    let log = world.gateway.log();
    let told = log.lines().find(|line| line.contains("the store is damaged"));
    assert!(
        told.is_some_and(|line| line.contains(&transfer)),
        "the operator is told which"
    );
    assert!(
        names_in(&target).iter().all(|name| name.starts_with('.')),
        "no file has its name"
    );
    assert_ne!(delivery(&world.desk(), &transfer), "verified");
}

/// Whatever byte of the envelope is changed, no file gets its name but the one that was sent. (A few bytes stand in the
/// journal as well, from where they are served, so that changing them in the envelope changes nothing.)
#[test]
fn a_flipped_bit_in_the_envelope_delivers_nothing_false() {
    let world = World::new();
    let provider = world.provider();
    let contents = b"dear colleague, the findings are these";
    let file = world.file("letter.txt", contents);
    let mut refused = 0;
    for eighth in 0..8 {
        let transfer = send(&world.desk(), PROVIDER, &[&file], &[]);
        flip(&stored(&world, &transfer, "envelope")[0], |len| (len - 1) * eighth / 7);
        let target = world.empty(&transfer);
        let outcome = run(&provider, &[&"receive", &transfer, &"--into", &target]);
        if outcome.code == 0 {
            assert_eq!(fs::read(target.join("letter.txt")).expect("the file"), contents);
        } else {
            assert_eq!(names_in(&target), Vec::<String>::new(), "eighth {eighth}");
            refused += 1;
        }
    }
    assert!(refused >= 5, "only {refused} of 8 changes made a difference");
}
