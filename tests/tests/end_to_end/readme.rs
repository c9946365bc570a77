//! The commands of the README, run as they stand there.

use std::process::{Command, Stdio};

use sealpost_tests::binaries;

const README: &str = include_str!("../../../README.md");

/// The block of commands behind the remark that names this file.
fn commands() -> &'static str {
    let (_, after) = README.split_once("readme.rs -->\n```sh\n").expect("the marked block");
    after.split_once("```").expect("the end of the block").0
}

#[test]
fn the_commands_of_the_readme_work() {
    let folder = tempfile::tempdir().expect("a folder");
    let programs = binaries::find("sealpost").expect("the binary");
    binaries::find("sealpost-gateway").expect("the binary");
    let mut path = vec![programs.parent().expect("a folder").to_path_buf()];
    path.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    // Whatever fails, the gateway does not outlive the test.
    let script = format!("trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{}", commands());
    let output = Command::new("bash")
        .args(["-euo", "pipefail", "-m", "-c", &script])
        .current_dir(folder.path())
        .env("PATH", std::env::join_paths(path).expect("a search path"))
        .env("SEALPOST__LISTEN", "127.0.0.1:0") // tests run side by side; the README's reader has the port for herself
        .env("SEALPOST__HEALTH__LISTEN", "127.0.0.1:0")
        .stdin(Stdio::null())
        .output()
        .expect("bash");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
    for shown in [
        "Verified: 1 file from desk@clinic.example",
        "Please advise.",
        "verified",
        "The audit log is intact",
    ] {
        assert!(out.contains(shown), "{shown} is missing:\n{out}\n{err}");
    }
}
