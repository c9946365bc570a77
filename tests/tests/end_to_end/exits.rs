//! Exit codes, as docs/cli.md lists them, where they can be brought about from outside.

use std::fs;

use sealpost_tests::gateway::Gateway;

use crate::support::{DESK, PROVIDER, World, ask, run};

#[test]
fn arguments_files_and_names_that_are_wrong() {
    let world = World::new();
    let (desk, _) = (world.desk(), world.provider());
    let missing = world.folder.path().join("missing.txt");
    let present = world.file("present.txt", b"present");
    assert_eq!(run(&desk, &[&"send"]).code, 2, "no recipient");
    assert_eq!(run(&desk, &[&"send", &"--to", &PROVIDER]).code, 2, "nothing to send");
    assert_eq!(
        run(&desk, &[&"send", &"--to", &PROVIDER, &"--expires", &"400d", &present]).code,
        2,
        "too long"
    );
    assert_eq!(
        run(&desk, &[&"send", &"--to", &PROVIDER, &missing]).code,
        9,
        "no such file"
    );
    assert_eq!(
        run(&desk, &[&"send", &"--to", &"nobody@x.example", &present]).code,
        11,
        "nobody of that name"
    );
    assert_eq!(
        run(&desk, &[&"receive", &"0123456789abcdef"]).code,
        6,
        "no such transfer"
    );
    assert_eq!(
        run(&desk, &[&"status", &"0123456789abcdef"]).code,
        6,
        "no such transfer"
    );
    let failed = run(&desk, &[&"--json", &"status", &"0123456789abcdef"]);
    let answer: serde_json::Value = serde_json::from_slice(&failed.stdout).expect("failures are JSON too");
    assert_eq!(
        answer.pointer("/error/code"),
        Some(&serde_json::Value::from(6)),
        "{answer}"
    );
}

#[test]
fn keys_stay_closed_without_their_passphrase() {
    let world = World::new();
    let desk = world.desk();
    let wrong = world.file("wrong-passphrase", b"not the passphrase of anybody\n");
    let outcome = run(&desk.with_passphrase_file(&wrong), &[&"whoami"]);
    assert_eq!(outcome.code, 10, "{}", outcome.stderr);
    let nobody = sealpost_tests::person::Person::new(world.folder.path(), "nobody").expect("a person");
    assert_eq!(run(&nobody, &[&"whoami"]).code, 10, "no key file");
    let short = world.file("short-passphrase", b"short\n");
    let string = world.organisation.invite(PROVIDER).expect("an invitation");
    let hasty = nobody.with_passphrase_file(&short);
    assert_eq!(
        run(&hasty, &[&"enrol", &string]).code,
        10,
        "a passphrase that is too short"
    );
    assert_eq!(
        run(&desk, &[&"enrol", &string]).code,
        10,
        "a key file is never replaced"
    );
    assert_eq!(run(&desk, &[&"whoami"]).code, 0, "and still opens");
}

#[test]
fn a_gateway_that_is_away_or_another_one_is_told_apart() {
    let mut world = World::new();
    let desk = world.desk();
    let port = world.gateway.port();
    world.gateway.pause().expect("a clean end");
    let away = run(&desk, &[&"inbox"]);
    assert_eq!(away.code, 3, "{}", away.stderr);

    let elsewhere = tempfile::tempdir().expect("a folder");
    let other = Gateway::start_on(elsewhere.path(), "info", port).expect("another gateway on the same port");
    let stranger = run(&desk, &[&"inbox"]);
    assert_eq!(stranger.code, 4, "{}", stranger.stderr);
    other.stop().expect("a clean end");

    world.gateway.restart().expect("the true one again");
    assert_eq!(run(&desk, &[&"inbox"]).code, 0);
}

#[test]
fn files_of_keys_are_for_their_owner_alone() {
    let world = World::new();
    assert_eq!(
        ask(&world.desk(), &[&"whoami"]).pointer("/address"),
        Some(&serde_json::Value::from(DESK))
    );
    let gateway = [world.gateway.data().to_path_buf(), world.gateway.ring()];
    for folder in [world.desk().home(), &gateway[0], &gateway[1]] {
        assert_eq!(mode(folder), 0o700, "{}", folder.display());
    }
    let files = gateway
        .iter()
        .flat_map(|folder| crate::support::files_below(folder))
        .map(|(path, _)| path);
    for path in files.chain([world.desk().home().join("keys.spk")]) {
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

fn mode(path: &std::path::Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(path).expect("it is there").permissions().mode() & 0o777
}
