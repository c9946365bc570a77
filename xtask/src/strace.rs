//! The one program beside Rust and Python that tests need: it makes the power cuts and the failing disks.

use std::process::{Command, Stdio};

use crate::run::Outcome;

/// Installs `strace` where it is missing and the system has `apt-get`.
///
/// # Errors
/// A sentence that says how to install it.
pub(crate) fn require() -> Outcome {
    if is_there() {
        return Ok(());
    }
    println!("==> apt-get install -y strace");
    // The lists of a fresh system are empty; elsewhere they need no refreshing.
    let is_installed = apt(&["install", "-y", "strace"]) || (apt(&["update"]) && apt(&["install", "-y", "strace"]));
    if is_installed && is_there() {
        return Ok(());
    }
    Err("`strace` is not installed, and it makes the power cuts and failing disks; install it with `apt-get install strace`".into())
}

fn is_there() -> bool {
    let version = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

fn apt(words: &[&str]) -> bool {
    let status = Command::new("apt-get").args(words).stdout(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}
