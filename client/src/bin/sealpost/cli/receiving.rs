//! Arguments of recipients, with an account and without.

use std::path::PathBuf;

use clap::Args;

use super::values::{Pin, pin};

#[derive(Debug, Args)]
pub(crate) struct Receive {
    /// Ids of transfers, or the first four or more digits of them
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub(crate) ids: Vec<String>,
    /// Everything that can be opened and was not received yet
    #[arg(long, conflicts_with = "ids")]
    pub(crate) all: bool,
    /// Folder for the files
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) into: PathBuf,
    /// Receive once more what was received before
    #[arg(long)]
    pub(crate) again: bool,
    /// Also keep the transfer sealed, in this new file; one transfer only
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) keep_sealed: Option<PathBuf>,
    /// Keep the gateway's share in FILE.share: then the container opens for ever with your key, whatever its expiry
    #[arg(long, requires = "keep_sealed")]
    pub(crate) with_share: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// The link, if it holds no secret; other users of this computer can see arguments [default: ask on the terminal]
    #[arg(value_name = "LINK")]
    pub(crate) link: Option<String>,
    /// File with the link, or `-` for the standard input
    #[arg(long, value_name = "FILE", conflicts_with = "link")]
    pub(crate) link_file: Option<PathBuf>,
    /// File with the words [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) words_file: Option<PathBuf>,
    /// Folder for the files
    #[arg(long, default_value = ".", value_name = "DIR")]
    pub(crate) out: PathBuf,
    /// What the sender gave you to recognise the gateway by, if no public authority vouches for it
    #[arg(long, value_name = "64 HEX DIGITS", value_parser = pin)]
    pub(crate) pin: Option<Pin>,
}
