//! `cargo xtask test`: every test that needs nothing but the Rust toolchain and `strace`, which it installs; with `--servers`, the
//! ones that need more.

use std::process::ExitCode;

use clap::Args;

use crate::interop;
use crate::run::{Outcome, cargo, has_subcommand};
use crate::strace;

/// Which tests to run.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Run the tests that need more than the Rust toolchain instead: today Python, for the independent implementations.
    #[arg(long)]
    servers: bool,
}

/// Runs the tests. The end-to-end tests run the real binaries, so these are built first.
pub(crate) fn run(options: Options) -> Outcome<ExitCode> {
    cargo("build --workspace --all-features --bins --locked")?;
    if options.servers {
        return with_more();
    }
    strace::require()?;
    // With cargo-nextest where it is installed; it runs no documentation tests.
    if has_subcommand("nextest") {
        cargo("nextest run --workspace --all-features --locked --no-fail-fast")?;
        cargo("test --doc --workspace --all-features --locked")?;
    } else {
        cargo("test --workspace --all-features --locked --no-fail-fast")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Its last line is the count, whatever came of it.
fn with_more() -> Outcome<ExitCode> {
    println!("No part of the product needs PostgreSQL, S3, SMTP or a browser yet, so no test does. These need Python:");
    let tally = interop::run()?;
    println!("{} passed, {} failed", tally.passed, tally.failed);
    Ok(if tally.failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
