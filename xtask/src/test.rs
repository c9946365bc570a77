//! `cargo xtask test`: every test that the project has, with nothing but the Rust toolchain.

use clap::Args;

use crate::run::{Outcome, cargo, has_subcommand};

/// Which tests to run.
#[derive(Debug, Clone, Copy, Args)]
pub(crate) struct Options {
    /// Run the tests that need other servers (PostgreSQL, an object store, mail, a browser) instead.
    #[arg(long)]
    servers: bool,
}

/// Runs the tests, with cargo-nextest where it is installed.
pub(crate) fn run(options: Options) -> Outcome {
    if options.servers {
        println!(
            "No test needs another server: the product has no part yet that speaks to PostgreSQL, S3, SMTP or a browser."
        );
        return Ok(());
    }
    // The end-to-end tests run the real binaries, which lie beside the test binary once they are built.
    cargo("build --workspace --all-features --bins --locked")?;
    // First, so that the last lines are those of the tests that matter most.
    cargo("test --doc --workspace --all-features --locked")?;
    if has_subcommand("nextest") {
        return cargo("nextest run --workspace --all-features --locked --no-fail-fast");
    }
    cargo("test --lib --bins --tests --workspace --all-features --locked --no-fail-fast")
}
