//! Arguments of senders: what is sent, to whom, and what becomes of it.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use sealpost_proto::api::PublicLabel;
use sealpost_proto::id::Address;

use super::Limit;
use super::values::{address, duration, lifetime, openings, words};
use crate::purpose;

#[derive(Debug, Args)]
pub(crate) struct Send {
    /// Files and folders; `-` is the standard input. None sends a message only
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<PathBuf>,
    /// A recipient's address; may be given several times
    #[arg(long, required_unless_present_any = ["link", "link_secret", "batch"], value_name = "ADDRESS", value_parser = address)]
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
    /// Send it once under this key of your own, such as the number of a batch of claims: whoever runs it again with the same key, after
    /// whatever end of the first run, does not send twice
    #[arg(long, value_name = "KEY", conflicts_with_all = ["link", "link_secret"])]
    pub(crate) once: Option<String>,
    /// Wait until it is sealed, as always, or until every recipient's device has signed that everything arrived intact
    #[arg(long, value_name = "UNTIL", conflicts_with = "dry_run")]
    pub(crate) wait: Option<Until>,
    /// How long --wait waits: 30s, 5m, 1h, 2d [default: until the transfer's end]
    #[arg(long, requires = "wait", value_parser = duration)]
    pub(crate) timeout: Option<Duration>,
    /// Check everything and send nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Many transfers, each a line of this file as a JSON object; `-` is the standard input
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "paths", "to", "link", "link_secret", "note", "note_file", "subject", "subject_file", "patient", "patient_file", "purpose",
        "expires", "openings", "label", "no_forward", "name", "once", "wait",
    ])]
    pub(crate) batch: Option<PathBuf>,
    /// Begin no transfer of a batch after one that failed
    #[arg(long, requires = "batch")]
    pub(crate) stop_on_error: bool,
}

/// How long `send` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Until {
    /// The gateway has signed for it
    Sealed,
    /// Every recipient's device has signed for it
    Verified,
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
    /// Put the transfers of these ids aside, which the gateway does not show any more: no list names them from now on
    #[arg(long, requires = "ids")]
    pub(crate) forget: bool,
    /// Do not ask before they are put aside
    #[arg(long, requires = "forget")]
    pub(crate) yes: bool,
}
