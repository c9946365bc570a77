//! What a puller does when something is in its way: an end half-way, a revocation, a transfer that the gateway cannot read, a medium
//! that goes away.

use super::*;
use crate::end_to_end::resuming::{LEN, records};
use crate::support::files_below;

const OVER: i32 = 7;

/// A puller killed while it received one large transfer, which is named.
fn half_received(world: &World, into: &Path) -> (Person, Person, String) {
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("large.bin", &sealpost_tests::samples::noise(LEN));
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    kill_when(watching(&provider, into), || records(&provider, "receiving") >= 2);
    assert!(names_in(&into.join(DESK)).iter().all(|name| name.starts_with('.')));
    (desk, provider, transfer)
}

#[test]
fn what_a_puller_began_is_left_to_it_so_that_its_command_runs() {
    let world = World::new();
    let (into, seen) = (world.empty("in"), world.empty("seen"));
    let (_, provider, transfer) = half_received(&world, &into);
    for words in [
        &[&"resume" as &dyn AsRef<std::ffi::OsStr>][..],
        &[&"receive", &transfer, &"--into", &into.join(DESK)],
    ] {
        let refused = run(&provider, words);
        let told = String::from_utf8(refused.stdout).expect("a text") + &refused.stderr;
        assert_eq!(refused.code, USAGE, "{told}");
        assert!(told.contains("pull"), "{told}");
        assert!(!into.join(DESK).join("large.bin").exists());
    }
    let program = script(&world, "import", &format!("echo x >> '{}/runs'", seen.display()));
    let (code, told) = pull(&provider, &into, &["--", &program]);
    assert_eq!(code, 0, "{told:?}");
    assert_eq!(names_in(&into.join(DESK)), ["large.bin"]);
    assert_eq!(fs::read_to_string(seen.join("runs")).expect("runs"), "x\n");
}

#[test]
fn what_was_begun_and_is_revoked_is_told() {
    let world = World::new();
    let into = world.empty("in");
    let (desk, provider, transfer) = half_received(&world, &into);
    ask(&desk, &[&"revoke", &transfer, &"--yes"]);
    let (code, told) = pull(&provider, &into, &[]);
    assert_eq!(code, OVER, "{told:?}");
    let failed = events(&told, "failed");
    assert_eq!(failed.len(), 1, "{told:?}");
    assert_eq!(
        (text(failed[0], "/transfer"), &failed[0]["final"]),
        (transfer, &Value::Bool(true))
    );
    assert!(names_in(&into.join(DESK)).is_empty(), "nothing of it stays");
    let (code, told) = pull(&provider, &into, &[]);
    assert_eq!((code, told.len()), (0, 1), "it is told once: {told:?}");
}

#[test]
fn one_transfer_that_the_gateway_cannot_read_holds_no_other_up() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let into = world.empty("in");
    let first = world.file("first.bin", &sealpost_tests::samples::noise(600_000));
    let transfer = send(&desk, PROVIDER, &[&first], &[]);
    send(&desk, PROVIDER, &[&world.file("second.837", b"claims")], &[]);
    let blobs = files_below(&world.gateway.data().join("blobs"));
    let part = blobs.into_iter().map(|(path, _)| path).find(|path| {
        let path = path.to_string_lossy();
        path.contains(&transfer) && path.contains("part-0") && !path.ends_with("-leaves")
    });
    let part = part.expect("its part");
    let kept = part.with_extension("kept");
    fs::rename(&part, &kept).expect("set aside");
    // A link to itself gives an error of the system to whoever reads it, so the gateway says that it is not available.
    std::os::unix::fs::symlink(&part, &part).expect("a link in its place");
    let (code, told) = pull(&provider, &into, &[]);
    assert_ne!(code, 0, "{told:?}");
    let failed = events(&told, "failed");
    assert_eq!(failed.len(), 1, "{told:?}");
    assert_eq!(
        (text(failed[0], "/transfer"), &failed[0]["final"]),
        (transfer, &Value::Bool(false))
    );
    assert!(into.join(DESK).join("second.837").exists(), "{told:?}");
    fs::remove_file(&part).expect("removed");
    fs::rename(&kept, &part).expect("put back");
    let (code, told) = pull(&provider, &into, &[]);
    assert_eq!(code, 0, "{told:?}");
    assert_eq!(names_in(&into.join(DESK)), ["first.bin", "second.837"]);
}

#[test]
fn a_medium_that_goes_away_while_it_is_watched_is_not_filled_where_it_was() {
    let world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let (medium, log) = (world.folder.path().join("medium"), world.folder.path().join("log"));
    let into = medium.join("in");
    fs::create_dir(&medium).expect("a folder");
    let output = fs::File::create(&log).expect("a log");
    let mut command = provider.command(&[&"--json", &"pull", &"--watch", &"--into", &into]);
    let command = command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null());
    let mut watcher = command.spawn().expect("a puller");
    send(&desk, PROVIDER, &[&world.file("a.837", b"claims")], &[]);
    // Told when nothing is left to do in the folder.
    let has_told = |what: &str| fs::read_to_string(&log).is_ok_and(|log| log.contains(what));
    wait_until(&mut watcher, || has_told(r#""event":"received""#));

    let unmounted = world.folder.path().join("unmounted");
    fs::rename(&medium, &unmounted).expect("unmounted");
    fs::create_dir_all(into.join(DESK)).expect("what lies below it");
    send(&desk, PROVIDER, &[&world.file("b.837", b"claims")], &[]);
    kill_when(watcher, || has_told("not mounted"));
    assert!(names_in(&into.join(DESK)).is_empty());
    fs::remove_dir_all(&medium).expect("removed");
    fs::rename(&unmounted, &medium).expect("mounted");
    assert_eq!(run(&provider, &[&"pull", &"--into", &into]).code, 0);
    assert_eq!(names_in(&into.join(DESK)), ["a.837", "b.837"]);
}
