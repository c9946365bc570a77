//! The library's one error, and the few kinds of it that a caller can act on.
//!
//! Every message says what happened, why, and what to do next; none holds a secret, a file's contents or a patient's name. Paths
//! and addresses are the caller's own words.

use std::io;
use std::path::{Path, PathBuf};

use sealpost_proto::enrolment::EnrolmentError;
use sealpost_proto::id::{Address, TransferId};
use sealpost_proto::link::LinkError;
use sealpost_proto::sealed::Reason;
use thiserror::Error;

use crate::api::ApiError;
use crate::key_file::KeyFileError;
use crate::log::LogError;
use crate::words::WordsError;

/// Why an operation of the client failed.
#[derive(Debug, Error)]
pub enum Error {
    /// The gateway refused, or could not be reached or trusted.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// A key file could not be made or opened.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// There is no key file.
    #[error(
        "There is no key file at {0}, so this device has no keys yet; run `sealpost enrol` (or `sealpost org init`), or name the folder with --home or the account with --profile."
    )]
    NoKeyFile(PathBuf),
    /// There is one already.
    #[error("There is a key file at {0} already, and it is never replaced; name another folder with --home.")]
    AlreadyEnrolled(PathBuf),
    /// A sealed state file was altered.
    #[error("A file in the client's folder was altered or belongs to other keys; restore the folder from your backup.")]
    State,
    /// The file system refused.
    #[error("{}", file_sentence(.doing, .path, .source))]
    File {
        /// What was tried.
        doing: &'static str,
        /// On which path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The setup string's file is not there: it is deleted once the organisation exists.
    #[error(
        "There is no file {0}: this gateway's organisation exists already, or the path is wrong; ask its administrator for an invitation, or check the path."
    )]
    NoSetupFile(PathBuf),
    /// A file is another one than when reading began.
    #[error("{0} changed while it was being read, so nothing was sent; send it again when nobody is writing to it.")]
    Changed(PathBuf),
    /// A log of the gateway cannot be trusted.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The directory holds something about the own address that this client did not sign.
    #[error(
        "The directory holds a statement about your own address that this device did not make, so sending is blocked; tell your privacy officer at once."
    )]
    UnexpectedStatement,
    /// Nobody in the directory has this address.
    #[error(
        "{0} is not in the directory, so there is no key to seal to; check the spelling, or ask your administrator to invite or confirm this person."
    )]
    UnknownRecipient(Address),
    /// The person is in the directory and cannot be sent to now.
    #[error("{0} is in the directory, but the key is revoked or not valid today; ask your administrator.")]
    InvalidRecipient(Address),
    /// A service account that is not there to be sent to.
    #[error(
        "{0} is a service account that may not receive, or not now, so nothing can be sent to it; check the address, or ask your administrator."
    )]
    NoReceiver(Address),
    /// Nobody at this address is a service account.
    #[error(
        "{0} is no service account, and a person cannot be made one; check the address with `sealpost directory list`, or invite a new one with `sealpost admin invite --service`."
    )]
    NotAService(Address),
    /// A sealed transfer failed a check.
    #[error("{}", rejected(.0))]
    Rejected(Reason),
    /// A receipt does not belong to the transfer, or is not signed by whom it should be.
    #[error(
        "The gateway gave a receipt that does not prove what it should ({0}); do not rely on this transfer, and tell your administrator."
    )]
    Receipt(&'static str),
    /// A transfer without a sender; only file requests will allow it.
    #[error(
        "The transfer names no sender, so nobody can say who sealed it, and this client takes none without one; do not rely on it, and tell your administrator."
    )]
    Anonymous,
    /// Others can read a file with a passphrase.
    #[error(
        "The passphrase file {0} can be read or changed by other users of this computer, so it is not used; run `chmod 600` on it, and choose a new passphrase if others may have read it."
    )]
    OpenPassphraseFile(PathBuf),
    /// Others can read a key file.
    #[error(
        "The key file {0} can be read or changed by other users of this computer, so it is not used; run `chmod 600` on it, and tell your administrator if others may have copied it."
    )]
    OpenKeyFile(PathBuf),
    /// Others can read or change what a service manager should hand to this process alone.
    #[error(
        "The credential {0}, or the folder that it lies in, can be read or changed by other users of this computer, so it is not used; let systemd place it (LoadCredentialEncrypted= in the unit), and change nothing in its folder."
    )]
    OpenCredential(PathBuf),
    /// An offline container failed a check.
    #[error("{}", unfit_container(.0))]
    Container(Reason),
    /// The gateway went away while a transfer was on its way.
    #[error("{0} Nothing was sent, and nobody can open any part of it: send the whole of it again.")]
    NotSent(ApiError),
    /// The gateway went away when it had everything, before it said whether it took it.
    #[error("{0} Whether the transfer was taken is not known yet: `sealpost resume` asks, and nothing is sent twice.")]
    PerhapsSent(ApiError),
    /// The gateway went away while a transfer was on its way, and what was done is kept.
    #[error("{0} The transfer is unfinished, and what was done is kept: `sealpost resume` goes on with it.")]
    Unfinished(ApiError),
    /// A file is another one than when its transfer was interrupted.
    #[error(
        "{0} changed after its transfer was interrupted, so the unfinished transfer was thrown away and nobody can open any part of it; send it again."
    )]
    ChangedSince(PathBuf),
    /// A file of an interrupted transfer is not where it was.
    #[error(
        "{file} is not there any more, so transfer {transfer} cannot go on; put it back, or throw the transfer away with `sealpost resume {transfer} --discard`."
    )]
    Gone {
        /// The file.
        file: PathBuf,
        /// The unfinished transfer.
        transfer: TransferId,
    },
    /// The gateway has forgotten an unfinished transfer, or its own time is over.
    #[error(
        "Transfer {0} was not finished in time: a gateway keeps for 48 hours what is not sealed; nothing was sent, and nothing is kept of it here, so send it again."
    )]
    TooLate(TransferId),
    /// The opening that an interrupted receive belongs to is over.
    #[error(
        "The opening of transfer {0} has ended: it can be repeated for 24 hours; `sealpost receive {0}` opens it anew, which counts as another opening."
    )]
    Lapsed(TransferId),
    /// Another process holds the state of an unfinished transfer.
    #[error("Another process is working on transfer {0}; wait until it has finished.")]
    Busy(TransferId),
    /// A file is in the way of one that is never replaced.
    #[error("{0} exists and is not replaced; name another.")]
    Taken(PathBuf),
    /// A setup or enrolment string is damaged.
    #[error("The string cannot be used ({0}); copy the whole of it again, from `sealpost-` to its last character.")]
    String(#[from] EnrolmentError),
    /// What the gateway says of itself or of the organisation is not what the string says.
    #[error(
        "The gateway does not match the string that you were given ({0}): the string was copied with an error, or somebody poses as the gateway; compare the string with the original, and if it is right, do not continue and tell whoever gave it to you."
    )]
    Mismatch(&'static str),
    /// The gateway of a link is not the one that the pin names.
    #[error(
        "The gateway's key is not the one of --pin, and it is {0}: the pin was copied with an error, or somebody poses as the gateway; compare the pin with the sender, digit by digit, and do not continue if it is right."
    )]
    WrongPin(String),
    /// What somebody posted to an invitation does not carry the proof that only the invitee can make.
    #[error(
        "The keys posted for {0} do not carry the proof that only the invited person can make ({1}); do not confirm them, and invite this person anew."
    )]
    NotTheInvitee(Address, &'static str),
    /// Only a registrar can do this.
    #[error("This key file holds no administrator's key, so it cannot enrol people; use the administrator's key file.")]
    NotRegistrar,
    /// This person's address has its keys, which cannot be replaced.
    #[error(
        "{0} already has keys here. If they are lost, this version cannot replace them: invite the person under another address."
    )]
    HasKeys(Address),
    /// No transfer, invitation or file by that name.
    #[error("{0}")]
    NotFound(String),
    /// The transfer was received before.
    #[error("Transfer {0} was already received and verified on this device; add --again to receive it once more.")]
    AlreadyReceived(TransferId),
    /// The user answered no, or could not be asked.
    #[error(
        "Nothing was done, because you did not answer yes; run it again, or add --yes once you are sure (and have compared the numbers, if there are any)."
    )]
    Declined,
    /// Ctrl-C at a prompt.
    #[error("Interrupted; what was not finished was taken back.")]
    Interrupted,
    /// The words of a link cannot be right.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// Not a link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// A visitor's files were in place, and only the receipt was missing.
    #[error("What this link opens was saved and verified before, in {0}, and the sender has the receipt.")]
    AlreadySaved(PathBuf),
    /// No share was kept by which a held transfer could be armed again.
    #[error(
        "This device keeps no half of the key of transfer {0}, because it was sent from another folder or computer or has ended: re-arm it there, or send it again."
    )]
    NoShare(TransferId),
    /// A key of `send --once` stands for another transfer.
    #[error(
        "The key of --once stands for transfer {0}, which has other contents, recipients or rules, so nothing was sent; choose a new key for what is new."
    )]
    OtherUnderKey(TransferId),
    /// What the caller wants to change has ended.
    #[error("{0}")]
    Ended(String),
    /// The caller asked for something that cannot be.
    #[error("{0}")]
    Input(String),
    /// The cryptographic library failed, or a worker stopped.
    #[error("The client failed inside ({0}); try again, and report it if it happens again.")]
    Internal(&'static str),
}

impl Error {
    /// An error of the file system.
    #[must_use]
    pub fn file(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::File {
            doing,
            path: path.to_owned(),
            source,
        }
    }
}

impl From<Reason> for Error {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason)
    }
}

/// What the system said, and what can help against just that.
fn file_sentence(doing: &str, path: &Path, source: &io::Error) -> String {
    let path = path.display();
    let advice = match source.kind() {
        io::ErrorKind::AlreadyExists => return format!("{path} exists and is not replaced; name another."),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::IsADirectory => "check the path",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => "check its permissions, or name another",
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            "make room there, or name another place"
        }
        _ => "check the medium, and try again",
    };
    format!("Could not {doing} {path}: {source}; {advice}.")
}

fn rejected(reason: &Reason) -> String {
    let advice = match reason {
        Reason::Key => return format!("{NOT_OUR_KEY} Nothing of it was kept; ask the sender to send it again."),
        Reason::Format => "update the client, and tell your administrator if that does not help",
        Reason::Audience | Reason::Share => "tell your administrator",
        Reason::Expired => "set this device's clock if it is wrong, else ask the sender to send it again",
        _ => "ask the sender to send it again, and tell your administrator if it happens twice",
    };
    format!("{reason} Nothing of it was kept; {advice}.")
}

const NOT_OUR_KEY: &str = "The transfer does not open with the keys of this key file.";

fn unfit_container(reason: &Reason) -> String {
    let advice = match reason {
        Reason::Key => return format!("{NOT_OUR_KEY} Name the folder of one of its recipients with --home."),
        Reason::Share => {
            "Name the file that belongs to this container with --share: `receive --with-share` wrote it beside it."
        }
        Reason::Audience => "Use the key file of the gateway from which it was received.",
        _ => "Nothing in it can be relied on; take another copy of the file.",
    };
    format!("{reason} {advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_fits_what_the_file_system_said() {
        let shown = |kind: io::ErrorKind| Error::file("write", Path::new("k.hex"), kind.into()).to_string();
        assert_eq!(
            shown(io::ErrorKind::AlreadyExists),
            "k.hex exists and is not replaced; name another."
        );
        assert!(shown(io::ErrorKind::NotFound).ends_with("; check the path."));
        assert!(shown(io::ErrorKind::StorageFull).contains("room"));
        assert!(!shown(io::ErrorKind::PermissionDenied).contains("room"));
    }
}
