//! Runs a command as a step: says what it runs, passes its output on, and fails when it fails.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Outcome of a task. The message is for a person.
pub(crate) type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Runs Cargo in the workspace, with `words` as its arguments.
pub(crate) fn cargo(words: &str) -> Outcome {
    step(cargo_command(words), &format!("cargo {words}"))
}

/// Runs Cargo with an environment variable set.
pub(crate) fn cargo_with(words: &str, name: &str, value: &str) -> Outcome {
    let mut command = cargo_command(words);
    command.env(name, value);
    step(command, &format!("{name}='{value}' cargo {words}"))
}

/// Whether a Cargo subcommand is installed.
pub(crate) fn has_subcommand(name: &str) -> bool {
    let answer = Command::new("cargo")
        .arg(name)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    answer.is_ok_and(|status| status.success())
}

/// The folder of the workspace.
pub(crate) fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

fn cargo_command(words: &str) -> Command {
    let mut command = Command::new("cargo");
    command.args(words.split_whitespace()).current_dir(workspace());
    command
}

fn step(mut command: Command, shown: &str) -> Outcome {
    println!("==> {shown}");
    let status = command
        .status()
        .map_err(|error| format!("`{shown}` could not be started: {error}"))?;
    if !status.success() {
        return Err(format!("`{shown}` failed ({status})").into());
    }
    Ok(())
}
