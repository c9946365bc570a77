//! `cargo xtask check`: what must hold of the sources before any test runs.

use sealpost_tests::binaries;

use crate::run::{Outcome, cargo, cargo_with, has_subcommand};

/// Runs all checks, the cheapest first.
pub(crate) fn run() -> Outcome {
    cargo("fmt --all --check")?;
    dependencies()?;
    cargo("clippy --workspace --all-targets --all-features --locked -- -D warnings")?;
    cargo_with(
        "doc --workspace --no-deps --all-features --locked",
        "RUSTDOCFLAGS",
        "-D warnings",
    )?;
    // Alone, so that the wire crate cannot lean on a feature that another room switched on.
    cargo("build --package sealpost-proto --locked")?;
    what_ships_cannot_be_told_to_die()?;
    cargo("bench --package sealpost-benches --locked --no-run")
}

/// The gateway built alone, as it ships, does not know the variable of the failpoints (docs/RELIABILITY.md).
fn what_ships_cannot_be_told_to_die() -> Outcome {
    cargo("build --package sealpost-gateway --bin sealpost-gateway --locked")?;
    let program = std::fs::read(binaries::find("sealpost-gateway")?)?;
    let variable = b"SEALPOST_FAILPOINT";
    if program.windows(variable.len()).any(|bytes| bytes == variable) {
        return Err("the gateway was built with failpoints although nothing asked for them".into());
    }
    Ok(())
}

/// Licences, bans, duplicates and sources (deny.toml). Advisories are not checked; SECURITY.md says why.
fn dependencies() -> Outcome {
    if !has_subcommand("deny") {
        return Err("cargo-deny is not installed; `.ci/run` names the version and installs it".into());
    }
    cargo("deny --locked --workspace check bans licenses sources")
}
