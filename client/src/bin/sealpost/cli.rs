//! The arguments. Secrets are never among them: they come from files, the standard input or the terminal.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sealpost_client::words::{MAX_WORDS, MIN_WORDS};
use sealpost_proto::api::PublicLabel;
use sealpost_proto::id::Address;

use crate::{exit, purpose};

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
    /// File whose first line is the passphrase of the key file [default: ask on the terminal]
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

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Files and folders; `-` is the standard input. None sends a message only
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// A recipient's address; may be given several times
    #[arg(long, required_unless_present_any = ["link", "link_secret"], value_name = "ADDRESS", value_parser = address)]
    pub(crate) to: Vec<Address>,
    /// Make a link and words for somebody without an account; the link holds no secret
    #[arg(long)]
    pub(crate) link: bool,
    /// The same with a link that is itself half of the key, for a channel of your own; the words are needed as well
    #[arg(long)]
    pub(crate) link_secret: bool,
    /// How many words
    #[arg(long, default_value_t = 5, value_parser = words)]
    pub(crate) words: u8,
    /// A message to the recipients; other users of this computer can see arguments: see --note-file
    #[arg(long, conflicts_with = "note_file")]
    pub(crate) note: Option<String>,
    /// File with the message
    #[arg(long, value_name = "FILE")]
    pub(crate) note_file: Option<PathBuf>,
    /// One line about the transfer, sealed like the rest; other users of this computer can see arguments: see --subject-file
    #[arg(long, conflicts_with = "subject_file")]
    pub(crate) subject: Option<String>,
    /// File with that line
    #[arg(long, value_name = "FILE")]
    pub(crate) subject_file: Option<PathBuf>,
    /// A patient's reference: `system|value`, or a value of your own numbering; may be given several times. Other users of this
    /// computer can see arguments: see --patient-file
    #[arg(long, value_name = "REFERENCE")]
    pub(crate) patient: Vec<String>,
    /// File with patients' references, one a line
    #[arg(long, value_name = "FILE")]
    pub(crate) patient_file: Option<PathBuf>,
    #[arg(long, default_value = "TREAT", value_parser = purpose::parse, help = purpose::HELP)]
    pub(crate) purpose: String,
    /// When it can no longer be opened: 30m, 12h, 7d, 2w; at most 366 days
    #[arg(long, default_value = "7d", value_parser = lifetime)]
    pub(crate) expires: u64,
    /// How often each recipient, and whoever has the link, may open it [default: no limit; a link 5 times]
    #[arg(long, value_parser = openings)]
    pub(crate) openings: Option<u32>,
    /// What the gateway may show of the contents
    #[arg(long)]
    pub(crate) label: Option<PublicLabelArg>,
    /// Ask the recipients not to forward it (a rule, not a lock)
    #[arg(long)]
    pub(crate) no_forward: bool,
    /// Name of the file that the standard input becomes
    #[arg(long, default_value = "stdin.bin")]
    pub(crate) name: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PublicLabelArg {
    Referral,
    Results,
    Claims,
}

impl From<PublicLabelArg> for PublicLabel {
    fn from(label: PublicLabelArg) -> Self {
        match label {
            PublicLabelArg::Referral => Self::Referral,
            PublicLabelArg::Results => Self::Results,
            PublicLabelArg::Claims => Self::Claims,
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct Limit {
    /// At most so many, the newest first
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

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

/// SHA-256 of the gateway's public key.
pub(crate) type Pin = [u8; 32];

#[derive(Debug, Subcommand)]
pub(crate) enum Link {
    /// Links of your sent transfers and where they stand
    List(Limit),
    /// Unlock a link after too many wrong tries
    Rearm {
        /// The link, or its number in `link list`
        link: String,
    },
    /// End a link for good
    Burn {
        /// The link, or its number in `link list`
        link: String,
        /// Do not ask
        #[arg(long)]
        yes: bool,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Revoke {
    /// Ids of transfers, or the first four or more digits of them
    #[arg(value_name = "ID", required = true)]
    pub(crate) ids: Vec<String>,
    /// Do not ask
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Rearm {
    /// Ids of transfers, or the first four or more digits of them [default: all that are held]
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// Do not ask before all that are held are armed again
    #[arg(long)]
    pub(crate) yes: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Resume {
    /// Id of a transfer, or its first digits [default: all that is unfinished]
    pub(crate) transfer: Option<String>,
    /// Throw away what is kept instead: of a transfer that was being sent nobody can open any part, one that was being received starts
    /// again from its beginning
    #[arg(long)]
    pub(crate) discard: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Status {
    /// Ids of transfers, or their first four or more digits [default: all]
    #[arg(value_name = "ID")]
    pub(crate) ids: Vec<String>,
    /// At most so many, the newest first
    #[arg(long, default_value_t = 50)]
    pub(crate) limit: usize,
}

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

fn address(text: &str) -> Result<Address, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let shown = sealpost_client::text::line(text);
        format!("'{shown}' is not an address; write it like reyes@practice.example, without spaces.")
    })
}

/// An address for somebody new: with something on both sides of an `@`.
fn full_address(text: &str) -> Result<Address, String> {
    let address = address(text)?;
    match address.as_str().split_once('@') {
        Some((name, place)) if !name.is_empty() && !place.is_empty() && !place.contains('@') => Ok(address),
        _ => Err(format!(
            "'{address}' is not a whole address; write it like reyes@practice.example."
        )),
    }
}

fn pin(text: &str) -> Result<Pin, String> {
    let lower = text.trim().to_ascii_lowercase();
    sealpost_proto::encoding::unhex_array(&lower)
        .map_err(|_| "64 of the digits 0-9 and a-f, as the sender gave them".to_owned())
}

fn lifetime(text: &str) -> Result<u64, String> {
    let parsed = sealpost_client::time::parse_lifetime(text);
    parsed.ok_or_else(|| {
        let number = text.trim_end_matches(['m', 'h', 'd', 'w']);
        let is_form =
            text.len() == number.len() + 1 && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        match number.parse::<u64>() {
            _ if !is_form => "write a whole number and m, h, d or w, such as 30m, 12h, 7d or 2w".to_owned(),
            Ok(0) => "it must be more than nothing".to_owned(),
            _ => "it is longer than 366 days, the most that is possible".to_owned(),
        }
    })
}

fn words(text: &str) -> Result<u8, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (MIN_WORDS..=MAX_WORDS).contains(&usize::from(*number)));
    number.ok_or_else(|| format!("a whole number, {MIN_WORDS} to {MAX_WORDS}"))
}

fn openings(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(openings) => Ok(openings),
        Err(_) => Err("a whole number, at least 1".to_owned()),
    }
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

    #[test]
    fn a_lifetime_is_refused_with_the_rule_that_it_breaks() {
        for (text, rule) in [
            ("400d", "366 days"),
            ("0d", "more than nothing"),
            ("7", "whole number"),
            ("1.5h", "whole number"),
        ] {
            let refused = lifetime(text).unwrap_err();
            assert!(refused.contains(rule), "{text}: {refused}");
        }
        assert_eq!(lifetime("12h"), Ok(43_200));
        assert_eq!(openings("0"), Err("at least 1".to_owned()));
    }

    #[test]
    fn addresses_are_trimmed_and_new_ones_are_whole() {
        assert_eq!(address(" Reyes@B.example\n").unwrap().as_str(), "reyes@b.example");
        assert!(
            address("Dr. Reyes")
                .unwrap_err()
                .contains("'Dr. Reyes' is not an address")
        );
        assert!(address("reyes").is_ok(), "an address that an organisation has already");
        for bad in ["reyes", "@b", "a@", "a@b@c"] {
            assert!(full_address(bad).is_err(), "{bad}");
        }
        assert!(full_address("a@b.example").is_ok());
    }
}
