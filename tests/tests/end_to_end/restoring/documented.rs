//! The commands of `docs/OPERATIONS.md`, run as they stand there, with stand-ins for what needs systemd as process 1.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use sealpost_tests::binaries;

use super::{flip, frames, is_held, repair, said};
use crate::support::{PROVIDER, World, ask, names_in, receive, run, send, text};

const OPERATIONS: &str = include_str!("../../../../docs/OPERATIONS.md");
const UNIT: &str = include_str!("../../../../deploy/sealpost-gateway.service");
const CHANGED: i32 = 12;

/// Says what it was asked for; and runs the program with the variables it was given.
const STAND_INS: &str = r#"
systemctl() { echo "systemctl $*"; }
systemd-run() {
    local variables=()
    while [[ $1 == --* ]]; do
        [[ $1 != --setenv=* ]] || variables+=("${1#--setenv=}")
        shift
    done
    env "${variables[@]}" "$@"
}
"#;

/// The block of commands behind the remark that begins with `name`.
fn block(name: &str) -> &'static str {
    let (_, after) = OPERATIONS.split_once(&format!("<!-- {name}:")).expect("the remark");
    let (_, after) = after.split_once("```sh\n").expect("a block");
    after.split_once("```").expect("its end").0
}

/// Runs commands with the folders of this world in the place of those of the unit.
fn run_there(world: &World, commands: &str) -> Output {
    let program = binaries::find("sealpost-gateway").expect("the gateway");
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/gateway.toml");
    let (data, ring) = (world.gateway.data(), world.gateway.ring());
    let mut script = [STAND_INS, commands].concat();
    // Longer names first.
    for (theirs, ours) in [
        ("/usr/local/bin/sealpost-gateway", program.as_path()),
        ("/etc/sealpost/gateway.toml", &sample),
        ("/var/lib/private/sealpost-gateway", data),
        ("/var/lib/sealpost-gateway", data),
        ("/var/lib/sealpost-ring", &ring),
        ("/var/lib/private", &world.folder.path().join("private")),
        ("/var/backups/sealpost", &archives(world)),
    ] {
        script = script.replace(theirs, ours.to_str().expect("a name in UTF-8"));
    }
    let mut bash = Command::new("bash");
    bash.args(["-euo", "pipefail", "-c", &script]);
    bash.output().expect("bash")
}

fn archives(world: &World) -> PathBuf {
    world.folder.path().join("backups")
}

/// Runs a block that stops the gateway and starts it again, while it does not run.
fn run_stopped(world: &mut World, name: &str) {
    world.gateway.pause().expect("an end");
    let output = run_there(world, block(name));
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "systemctl stop sealpost-gateway\nsystemctl start sealpost-gateway\n"
    );
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("a file").permissions().mode() & 0o7777
}

#[test]
fn backup_and_restore_work_as_they_are_written() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let unopened = send(&desk, PROVIDER, &[&file], &[]);
    let left = send(&desk, PROVIDER, &[&file], &[]);
    run_stopped(&mut world, "backup");
    let archive = archives(&world).join("gateway.tar");
    assert_eq!((mode(&archive), mode(&archives(&world))), (0o600, 0o700));
    world.gateway.restart().expect("a start");
    send(&desk, PROVIDER, &[&file], &[]);
    let seen = ask(&desk, &[&"audit", &"verify"]);

    // The ring is lost, as on a new machine.
    run_stopped(&mut world, "restore");
    fs::remove_dir_all(world.gateway.ring()).expect("a removed folder");
    assert_eq!(mode(world.gateway.data()), 0o700);
    let names = names_in(world.gateway.data());
    for (name, is_there) in [
        ("journal", true),
        ("keys", true),
        ("blobs", true),
        ("shares", false),
        ("views", false),
    ] {
        assert_eq!(names.contains(&name.to_owned()), is_there, "{name}: {names:?}");
    }
    world.gateway.restart().expect("a start");
    is_held(&provider, &unopened, &world.empty("provider"));
    ask(&desk, &[&"rearm", &unopened]);
    receive(&provider, &unopened, &world.empty("provider"));

    // Who has seen more says so, in words of the table.
    let refused = run(&desk, &[&"audit", &"verify"]);
    assert_eq!(refused.code, CHANGED, "{}", refused.stderr);
    let documented = [
        "its past was changed; do not continue",
        "is shorter than what this device has already seen",
    ];
    assert!(documented.iter().all(|words| OPERATIONS.contains(words)));
    assert!(
        documented.iter().any(|words| refused.stderr.contains(words)),
        "{}",
        refused.stderr
    );

    // The way out: the backup once more, and a repair before anything is served from it.
    fs::remove_dir_all(world.gateway.data().with_file_name("data.before")).expect("a removed folder");
    run_stopped(&mut world, "restore");
    let repaired = repair(&world, &[&"--accept-loss", &"--seen", &desk.home()]);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    world.gateway.restart().expect("a start");
    let verified = ask(&desk, &[&"audit", &"verify"]);
    assert_eq!(verified.pointer("/restarted/seen"), seen.pointer("/size"), "{verified}");
    is_held(&provider, &left, &world.empty("again"));
}

#[test]
fn a_repair_works_as_it_is_written() {
    let mut world = World::new();
    let (desk, provider) = (world.desk(), world.provider());
    let file = world.file("letter.txt", b"Dear colleague");
    let transfer = send(&desk, PROVIDER, &[&file], &[]);
    world.gateway.pause().expect("an end");
    let (_, before) = frames(&world);
    world.gateway.restart().expect("a start");
    receive(&provider, &transfer, &world.empty("provider"));
    world.gateway.pause().expect("an end");
    flip(&world, before.len());

    let found = run_there(&world, block("repair"));
    assert_eq!(found.status.code(), Some(1), "{}", said(&found));
    assert!(said(&found).contains("Nothing was changed"), "{}", said(&found));
    assert!(!said(&found).contains("remembers nothing"), "{}", said(&found));
    let accept = "as_gateway journal repair --accept-loss\n";
    assert!(OPERATIONS.contains(&format!("```sh\n{accept}```")));
    let both = block("repair").replace("as_gateway journal repair\n", accept);
    let repaired = run_there(&world, &both);
    assert_eq!(repaired.status.code(), Some(0), "{}", said(&repaired));
    assert!(said(&repaired).contains("/audit.2"), "{}", said(&repaired));
    world.gateway.restart().expect("a start");
    assert_eq!(text(&ask(&desk, &[&"status", &transfer]), "/transfers/0/state"), "held");
}

/// What systemd is told for a repair is what the unit tells it for the gateway.
#[test]
fn a_repair_runs_with_the_properties_of_the_unit() {
    let (_, options) = block("repair").split_once("systemd-run").expect("the command");
    let (options, _) = options.split_once(" /usr/local/bin/").expect("the program");
    let options = options.replace(['"', '\\'], "");
    let options = options.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut count = 0;
    for option in options.split("--") {
        let setting = match option.trim().split_once('=') {
            Some(("property", setting)) => setting.to_owned(),
            Some(("setenv", variable)) => format!("Environment={variable}"),
            _ => continue,
        };
        // Without `User=` a unit's user has its name.
        let is_there = setting == "User=sealpost-gateway" || UNIT.lines().any(|line| line == setting);
        assert!(is_there, "{setting} is not in the unit");
        count += 1;
    }
    assert_eq!(count, 8, "{options}");
}
