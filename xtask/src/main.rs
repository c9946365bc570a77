//! The project's commands: `cargo xtask demo`, `cargo xtask test`, `cargo xtask check`, `cargo xtask soak`,
//! `cargo xtask bench`.
//!
//! Each is a list of steps that stops at the first one that fails. Nothing here knows a rule of the product: the demo drives
//! the two binaries as a person would, the rest drives Cargo and Python.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "what these commands print is their product"
)]

mod bench;
mod check;
mod demo;
mod interop;
mod run;
mod soak;
mod strace;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Tasks of the Sealpost project.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Start a gateway in a temporary folder, enrol two people, send files and show what the gateway has of them.
    Demo(demo::Options),
    /// Run every test: units, vectors, properties, contracts, end to end, documentation.
    Test(test::Options),
    /// Check format, lints, documentation, dependencies, and that the wire crate and the benches build alone.
    Check,
    /// Kill gateway and client, cut the power, fill and break disks, for hours; add the results up in tests/soak.
    Soak(soak::Options),
    /// Measure the release build beside the peers (curl, age, rclone, sftp) and write docs/PERFORMANCE.md.
    Bench(bench::Options),
}

fn main() -> ExitCode {
    let outcome = match Arguments::parse().task {
        Task::Demo(options) => demo::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Test(options) => test::run(options),
        Task::Check => check::run().map(|()| ExitCode::SUCCESS),
        Task::Soak(options) => soak::run(&options).map(|()| ExitCode::SUCCESS),
        Task::Bench(options) => bench::run(&options).map(|()| ExitCode::SUCCESS),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("error: {error}");
        ExitCode::FAILURE
    })
}
