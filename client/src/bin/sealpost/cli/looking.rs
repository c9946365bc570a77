//! Arguments of what only looks: logs, containers, keys and people.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Limit;

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// Show the newest events, verified
    List(Limit),
    /// Verify the whole log and say how far it reaches
    Verify,
}

#[derive(Debug, Args)]
pub(crate) struct Inspect {
    /// The container
    pub(crate) file: PathBuf,
    /// File with the gateway's share (64 hex digits): opens and verifies everything with your key
    #[arg(long, value_name = "FILE")]
    pub(crate) share: Option<PathBuf>,
    /// Open and verify everything with your key, for a container that needs no share
    #[arg(long)]
    pub(crate) open: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// Write your own encryption key's seed as 64 hex digits into a new file
    Export {
        /// The new file, readable by you alone
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Directory {
    /// Everybody in the directory, with safety numbers to compare by phone
    List,
}
