//! Arguments of `pull`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;
use sealpost_proto::id::Address;

use super::values::address;

#[derive(Debug, Args)]
pub(crate) struct Pull {
    /// Folder for the files; each sender has one below it
    #[arg(long, value_name = "DIR", required_unless_present = "config")]
    pub(crate) into: Option<PathBuf>,
    /// Stay, and pull what arrives as it arrives
    #[arg(long)]
    pub(crate) watch: bool,
    /// Pull only what this person sends; may be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = address)]
    pub(crate) from: Vec<Address>,
    /// Pull for every profile, each into a folder of its own
    #[arg(long)]
    pub(crate) all: bool,
    /// File with settings (TOML); arguments win over it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Send what other programs put into a sender's folder below DIR to that sender
    #[arg(long, value_name = "DIR")]
    pub(crate) replies: Option<PathBuf>,
    /// Try commands again that were given up
    #[arg(long)]
    pub(crate) retry: bool,
    /// Program to run after each transfer, with its arguments; the transfer's facts come on its standard input
    #[arg(last = true, value_name = "COMMAND")]
    pub(crate) command: Vec<OsString>,
}
