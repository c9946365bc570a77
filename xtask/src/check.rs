//! `cargo xtask check`: what must hold of the sources before any test runs.

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
    cargo("bench --package sealpost-benches --locked --no-run")
}

/// Licences, bans, duplicates and sources (deny.toml). Advisories are not checked; SECURITY.md says why.
fn dependencies() -> Outcome {
    if !has_subcommand("deny") {
        return Err("cargo-deny is not installed; `.ci/run` names the version and installs it".into());
    }
    cargo("deny --locked --workspace check bans licenses sources")
}
