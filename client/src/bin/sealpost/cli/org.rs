//! Arguments of whoever founds an organisation, administers it, or joins it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sealpost_proto::id::Address;

use super::values::{address, full_address, lifetime};

#[derive(Debug, Subcommand)]
pub(crate) enum Org {
    /// Draw all keys of the organisation and hand its first statements to the gateway
    Init(OrgInit),
}

#[derive(Debug, Args)]
pub(crate) struct OrgInit {
    /// The organisation's name, as everybody will see it
    #[arg(long)]
    pub(crate) name: String,
    /// Your own address: you become the administrator
    #[arg(long, value_parser = full_address)]
    pub(crate) address: Address,
    /// New file for the root key; keep it offline
    #[arg(long, value_name = "FILE")]
    pub(crate) root_key: PathBuf,
    /// File with the setup string, or `-` [default: ask on the terminal]
    #[arg(long, value_name = "FILE")]
    pub(crate) setup: Option<PathBuf>,
    /// File whose first line is the passphrase of the root key [default: as --passphrase-file, or ask]
    #[arg(long, value_name = "FILE")]
    pub(crate) root_passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Admin {
    /// Make an enrolment string for a person; hand it over outside the gateway
    Invite {
        /// The person's address
        #[arg(value_parser = full_address)]
        address: Address,
        /// How long it can be used: 30m, 12h, 7d, 2w; at most 30 days
        #[arg(long, default_value = "7d", value_parser = lifetime)]
        expires: u64,
        /// New file for the string, readable by you alone [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Check what invited people posted, and sign them in
    Confirm {
        /// Only these addresses [default: everybody who waits]
        #[arg(value_parser = address)]
        addresses: Vec<Address>,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
    /// All invitations and where they stand
    List,
}

#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// File with the enrolment string, or `-` [default: ask on the terminal]
    #[arg(value_name = "FILE")]
    pub(crate) string: Option<PathBuf>,
}
