//! The end of a demo with `--stay`: commands to try, until somebody interrupts it.

use std::path::Path;

use sealpost_tests::binaries;
use sealpost_tests::person::Person;
use tokio::signal::unix::{SignalKind, signal};

use super::{DESK, Demo, PROVIDER};
use crate::run::Outcome;

/// Prints commands and waits for Ctrl-C, or for a request to end.
pub(super) fn until_interrupted(demo: &Demo, folder: &Path) -> Outcome {
    let program = binaries::find("sealpost")?;
    let line = |person: &Person, words: &str| {
        let (home, passphrase) = (person.home().display(), person.passphrase_file().display());
        println!(
            "     {} --home {home} --passphrase-file {passphrase} {words}",
            program.display()
        );
    };
    println!(
        "\n   The gateway keeps running on port {}; its log and data are below {}.",
        demo.gateway.port(),
        folder.display()
    );
    println!("   As the front desk ({DESK}):");
    line(
        &demo.desk,
        &format!("send --to {PROVIDER} --note 'second opinion' README.md"),
    );
    line(&demo.desk, "status");
    line(&demo.desk, "audit list");
    println!("   As the provider ({PROVIDER}):");
    line(&demo.provider, "inbox");
    line(
        &demo.provider,
        &format!("receive --all --into {}", folder.join("received").display()),
    );
    println!("   Ctrl-C ends it and removes everything.\n");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted,
            _ = terminate.recv() => Ok(()),
        }
    })?;
    Ok(())
}
