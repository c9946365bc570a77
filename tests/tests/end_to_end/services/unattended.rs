//! Services without a person: keys and passphrase as credentials, several accounts as profiles.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use sealpost_tests::binaries;
use sealpost_tests::person::{Run, finish};

use super::{HERE, KEY_FILE, ROBOT, USAGE, invitation};
use crate::support::{World, text};

/// A folder as systemd makes it for a unit's credentials.
fn credentials(folder: &Path, files: &[(&str, &[u8])]) -> PathBuf {
    let credentials = folder.join("credentials");
    fs::create_dir_all(&credentials).expect("a folder");
    for (name, bytes) in files {
        let path = credentials.join(name);
        fs::write(&path, bytes).expect("a file");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o440)).expect("a mode");
    }
    credentials
}

/// `sealpost --json` as a service runs it: nothing named, everything from its environment.
fn as_service(world: &World, words: &[&str], environment: &[(&str, &OsStr)]) -> Run {
    let mut command = Command::new(binaries::find("sealpost").expect("the client"));
    command
        .arg("--json")
        .args(words)
        .env("XDG_CONFIG_HOME", world.folder.path().join("config"));
    for name in [
        "SEALPOST_HOME",
        "SEALPOST_PROFILE",
        "SEALPOST_PASSPHRASE_FILE",
        "CREDENTIALS_DIRECTORY",
    ] {
        command.env_remove(name);
    }
    command.envs(environment.iter().copied());
    finish(command, b"").expect("a run")
}

#[test]
fn keys_and_passphrase_come_as_credentials() {
    let world = World::new();
    let string = invitation(&world.organisation, &["receive"], HERE);
    let folder = credentials(
        world.folder.path(),
        &[("sealpost-passphrase", b"a passphrase for billing\n")],
    );
    let given = [("CREDENTIALS_DIRECTORY", folder.as_os_str())];
    let enrolled = as_service(&world, &["enrol", string.to_str().expect("a text")], &given);
    let keys = text(&enrolled.json("enrol").expect("keys"), "/key_file");
    world.organisation.confirm(ROBOT).expect("a confirmation");
    as_service(&world, &["whoami"], &given)
        .json("whoami")
        .expect("the home's keys");

    let sealed = fs::read(&keys).expect("the key file");
    fs::remove_dir_all(world.folder.path().join("config")).expect("an empty home");
    assert_eq!(as_service(&world, &["whoami"], &given).code, KEY_FILE);
    let folder = credentials(
        world.folder.path(),
        &[("sealpost-keys", &sealed), ("sealpost-keys.billing", &sealed)],
    );
    let who = as_service(&world, &["whoami"], &given)
        .json("whoami")
        .expect("the credential's keys");
    assert_eq!(text(&who, "/address"), ROBOT);
    let who = as_service(&world, &["--profile", "billing", "whoami"], &given);
    who.json("whoami").expect("a profile that is a credential alone");
    let kept = world.folder.path().join("config/sealpost/profiles/billing/directory");
    assert!(
        kept.exists(),
        "what is kept beside the keys lies in the profile's folder"
    );

    let target = world.empty("all");
    let pulled = as_service(
        &world,
        &["pull", "--all", "--into", target.to_str().expect("a text")],
        &given,
    );
    assert_eq!(pulled.code, 0, "{}", pulled.stderr);
    let told = String::from_utf8(pulled.stdout).expect("a text");
    assert!(told.contains("\"default\"") && told.contains("\"billing\""), "{told}");

    fs::set_permissions(&folder, fs::Permissions::from_mode(0o770)).expect("a mode");
    let refused = as_service(&world, &["whoami"], &given);
    assert_eq!(refused.code, KEY_FILE, "{}", refused.stderr);
    assert!(refused.stderr.contains("credential"), "{}", refused.stderr);
}

#[test]
fn a_profile_is_an_account_of_its_own() {
    let world = World::new();
    let string = invitation(&world.organisation, &["receive"], HERE);
    let passphrase = world.file("passphrase", b"a passphrase for billing\n");
    let given = [("SEALPOST_PASSPHRASE_FILE", passphrase.as_os_str())];
    let words = ["--profile", "billing-2", "enrol", string.to_str().expect("a text")];
    let enrolled = as_service(&world, &words, &given).json("enrol").expect("keys");
    let home = world.folder.path().join("config/sealpost/profiles/billing-2");
    assert_eq!(
        text(&enrolled, "/key_file"),
        home.join("keys.spk").to_str().expect("a text")
    );
    let unconfirmed = as_service(&world, &["--profile", "billing-2", "whoami"], &given);
    assert_eq!(
        text(&unconfirmed.json("whoami").expect("an answer"), "/state"),
        "unconfirmed"
    );
    world.organisation.confirm(ROBOT).expect("a confirmation");

    let by_environment = [given[0], ("SEALPOST_PROFILE", OsStr::new("billing-2"))];
    as_service(&world, &["whoami"], &by_environment)
        .json("whoami")
        .expect("the same");
    assert_eq!(
        as_service(&world, &["whoami"], &given).code,
        KEY_FILE,
        "the default has no keys"
    );
    let elsewhere = world.empty("elsewhere");
    let both = [
        "--home",
        elsewhere.to_str().expect("a text"),
        "--profile",
        "billing-2",
        "whoami",
    ];
    assert_eq!(as_service(&world, &both, &given).code, USAGE);
    assert_eq!(as_service(&world, &["--profile", "../x", "whoami"], &given).code, USAGE);

    let hint = as_service(&world, &["--profile", "other", "whoami"], &given);
    assert_eq!(hint.code, KEY_FILE);
    assert!(
        hint.stderr.contains("`sealpost enrol --profile other`"),
        "{}",
        hint.stderr
    );
}
