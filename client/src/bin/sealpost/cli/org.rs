//! Arguments of whoever founds an organisation, administers it, or joins it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sealpost_proto::id::Address;
use sealpost_proto::key::service::Scope;

use super::values::{Reach, address, full_address, lifetime, network, scope};

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
    /// Make an enrolment string for a person or a service; hand it over outside the gateway
    Invite(Invite),
    /// Show or replace the limits of a service account
    Service(Service),
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
pub(crate) struct Invite {
    /// The address of the person or service
    #[arg(value_parser = full_address)]
    pub(crate) address: Address,
    /// How long it can be used: 30m, 12h, 7d, 2w; at most 30 days
    #[arg(long, default_value = "7d", value_parser = lifetime)]
    pub(crate) expires: u64,
    /// New file for the string, readable by you alone [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// For a program: it may do no more than --scope, --network and --valid say
    #[arg(long, requires = "scope", requires = "network")]
    pub(crate) service: bool,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

#[derive(Debug, Args)]
pub(crate) struct Service {
    /// The address of the service account
    #[arg(value_parser = address)]
    pub(crate) address: Address,
    #[command(flatten)]
    pub(crate) limits: Limits,
}

/// Limits of a service account.
#[derive(Debug, Args)]
pub(crate) struct Limits {
    /// What it may do: receive, send, link; several times for several
    #[arg(long, value_name = "SCOPE", value_parser = scope)]
    pub(crate) scope: Vec<Scope>,
    /// From where: a network such as 10.0.0.0/8, an address, or `any`; several times for several
    #[arg(long, value_name = "NETWORK", value_parser = network)]
    pub(crate) network: Vec<Reach>,
    /// For how long from now: 12h, 30d, 365d; at most 365 days [default: of a new account 365d]
    #[arg(long, value_name = "TIME", value_parser = lifetime)]
    pub(crate) valid: Option<u64>,
}

impl Limits {
    /// Whether any of them was named.
    pub(crate) fn is_any(&self) -> bool {
        !self.scope.is_empty() || !self.network.is_empty() || self.valid.is_some()
    }
}

#[derive(Debug, Args)]
pub(crate) struct Enrol {
    /// File with the enrolment string, or `-` [default: ask on the terminal]
    #[arg(value_name = "FILE")]
    pub(crate) string: Option<PathBuf>,
}
