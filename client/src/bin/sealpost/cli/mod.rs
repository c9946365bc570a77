//! The arguments. Secrets are never among them: they come from files, the standard input or the terminal.

mod looking;
mod org;
mod pull;
mod receiving;
mod sending;
pub(crate) mod values;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use self::looking::{Audit, Directory, Inspect, Keys};
pub(crate) use self::org::{Admin, Enrol, Invite, Limits, Org, OrgInit, Service};
pub(crate) use self::pull::Pull;
pub(crate) use self::receiving::{Get, Receive};
pub(crate) use self::sending::{Link, Rearm, Resume, Revoke, Send, Status, Until};
use crate::exit;

/// Send health files sealed for named people, and receive them verified.
#[derive(Debug, Parser)]
#[command(name = "sealpost", version, after_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// Options of every command.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The client's folder [default: ~/.config/sealpost]
    #[arg(long, global = true, env = "SEALPOST_HOME", value_name = "DIR")]
    pub(crate) home: Option<PathBuf>,
    /// An account of its own in the client's folder, where one person or service has several
    #[arg(long, global = true, env = "SEALPOST_PROFILE", value_name = "NAME", value_parser = values::profile)]
    pub(crate) profile: Option<String>,
    /// File whose first line is the passphrase of the key file [default: systemd's credential, or ask on the terminal]
    #[arg(long, global = true, env = "SEALPOST_PASSPHRASE_FILE", value_name = "FILE")]
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Report one JSON document on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Found the organisation of a new gateway
    #[command(subcommand)]
    Org(Org),
    /// Invite people and confirm their keys (registrars)
    #[command(subcommand)]
    Admin(Admin),
    /// Make keys on this device and announce them with an enrolment string
    Enrol(Enrol),
    /// Who you are, where, and by which keys
    Whoami,
    /// Send files, folders or the standard input
    Send(Box<Send>),
    /// What you were sent
    Inbox(Limit),
    /// Receive transfers, verified, into a folder
    Receive(Receive),
    /// Receive unattended, into folders by sender: all that waits, or with --watch for ever
    Pull(Box<Pull>),
    /// Open a link that somebody sent you; you need no account
    Get(Get),
    /// Your own links: list them, re-arm one that is locked, burn one
    #[command(subcommand)]
    Link(Link),
    /// Withdraw transfers that you sent
    Revoke(Revoke),
    /// Give a gateway that was restored its half of your transfers' keys again
    Rearm(Rearm),
    /// Go on with what an interruption left unfinished
    Resume(Resume),
    /// Where your sent transfers stand
    Status(Status),
    /// The gateway's audit log
    #[command(subcommand)]
    Audit(Audit),
    /// Look at an offline container (*.sealed)
    Inspect(Inspect),
    /// Your own keys
    #[command(subcommand)]
    Keys(Keys),
    /// The people whom you can send to
    #[command(subcommand)]
    Directory(Directory),
}

#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// At most so many, the newest first
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        use clap::CommandFactory as _;
        Cli::command().debug_assert();
    }

    #[test]
    fn send_needs_a_recipient_and_receive_an_id() {
        assert!(Cli::try_parse_from(["sealpost", "send", "f"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "send", "f", "--link"]).is_ok());
        assert!(Cli::try_parse_from(["sealpost", "send", "f", "--link", "--words", "4"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "send", "f", "--link-secret", "--words", "12"]).is_ok());
        assert!(Cli::try_parse_from(["sealpost", "get", "--pin", "abc"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "receive"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "receive", "--all", "--keep-sealed", "x"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "receive", "abcd", "--with-share"]).is_err());
        assert!(Cli::try_parse_from(["sealpost", "send", "f", "--to", "a@b", "--openings", "0"]).is_err());
        let twice = [
            "sealpost",
            "send",
            "--to",
            "a@b",
            "--subject",
            "x",
            "--subject-file",
            "f",
        ];
        assert!(Cli::try_parse_from(twice).is_err());
        assert!(Cli::try_parse_from(["sealpost", "send", "f", "--to", "a@b", "--expires", "400d"]).is_err());
    }
}
