//! Exit codes: one list, from which `--help` is made and with which docs/cli.md is compared.

use sealpost_client::Error;
use sealpost_client::api::ApiError;
use sealpost_proto::problem::ProblemKind;

macro_rules! exits {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $meaning:literal;)*) => {
        /// How a command ended.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Exit {
            $($(#[$doc])* $name,)*
        }

        impl Exit {
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The process's exit code.
            pub(crate) const fn code(self) -> u8 {
                match self { $(Self::$name => $code,)* }
            }

            /// What it means, in a few words.
            #[cfg(test)]
            pub(crate) const fn meaning(self) -> &'static str {
                match self { $(Self::$name => $meaning,)* }
            }

            /// Its name in JSON, in snake case.
            pub(crate) fn name(self) -> String {
                let name = match self { $(Self::$name => stringify!($name),)* };
                let mut snake = String::new();
                for letter in name.chars() {
                    if letter.is_ascii_uppercase() && !snake.is_empty() {
                        snake.push('_');
                    }
                    snake.push(letter.to_ascii_lowercase());
                }
                snake
            }
        }

        /// The list for `--help`.
        pub(crate) const HELP: &str = concat!(
            "Exit codes:\n",
            $("  ", $code, "\t", $meaning, "\n",)*
        );
    };
}

exits! {
    /// Done.
    Ok = 0, "done";
    /// A bug, or the system refused something basic.
    Internal = 1, "the client failed inside";
    /// Arguments are wrong (also clap's own code).
    Usage = 2, "the arguments or the input are wrong";
    /// No connection.
    Unreachable = 3, "the gateway cannot be reached";
    /// Somebody may be in between.
    WrongGateway = 4, "the gateway's key, name or organisation is not the one of the enrolment, the pin or the link";
    /// A check failed.
    NotValid = 5, "a transfer, a receipt or posted keys failed a check, and nothing was kept";
    /// Nothing by that name.
    NotFound = 6, "there is no such transfer, invitation or file for you";
    /// Too late.
    Over = 7, "expired, withdrawn, or all openings used";
    /// The gateway said no.
    Refused = 8, "the gateway refused: not enrolled, not confirmed, or not allowed";
    /// The file system said no.
    File = 9, "a local file could not be read or written, or changed while it was read";
    /// Keys are closed.
    KeyFile = 10, "the key file is missing, damaged or in the way, or the passphrase is wrong or open to others";
    /// No key to seal to.
    Recipient = 11, "a recipient has no verified key in the directory";
    /// A log lies.
    Log = 12, "a log of the gateway, or what the directory says of you, cannot be trusted";
    /// Clocks differ.
    Clock = 13, "this device's clock and the gateway's differ too much";
    /// The gateway has trouble.
    Gateway = 14, "the gateway failed or is not ready; try again later";
    /// Nothing to do.
    AlreadyReceived = 15, "the transfer was received before";
    /// The user said no.
    Declined = 16, "you answered no";
    /// Words and link do not fit, or the link is locked.
    Link = 17, "the words are not right or there is no such link, or it is locked after wrong tries";
    /// The transfer stays as it is.
    TimedOut = 18, "the time of --wait ran out; the transfer stays";
    /// Nothing came from somebody who is expected.
    Silent = 19, "`pull`: nothing has come from a sender who is expected to send";
    /// Another program failed.
    Command = 20, "`pull`: the command that follows a transfer failed, or is given up";
    /// Ctrl-C.
    Interrupted = 130, "interrupted; what was not finished was taken back, or is kept to be resumed";
}

impl From<&Error> for Exit {
    fn from(error: &Error) -> Self {
        match error {
            Error::Api(error) | Error::NotSent(error) | Error::PerhapsSent(error) | Error::Unfinished(error) => {
                Self::from(error)
            }
            Error::KeyFile(_)
            | Error::NoKeyFile(_)
            | Error::AlreadyEnrolled(_)
            | Error::OpenPassphraseFile(_)
            | Error::OpenCredential(_)
            | Error::OpenKeyFile(_)
            | Error::Taken(_)
            | Error::State => Self::KeyFile,
            Error::File { .. }
            | Error::Gone { .. }
            | Error::NoSetupFile(_)
            | Error::Changed(_)
            | Error::ChangedSince(_) => Self::File,
            Error::TooLate(_) | Error::Lapsed(_) | Error::Ended(_) => Self::Over,
            Error::Log(_) | Error::UnexpectedStatement => Self::Log,
            Error::UnknownRecipient(_) | Error::InvalidRecipient(_) | Error::NoReceiver(_) => Self::Recipient,
            Error::Rejected(_)
            | Error::Container(_)
            | Error::Receipt(_)
            | Error::Anonymous
            | Error::NotTheInvitee(..) => Self::NotValid,
            Error::Mismatch(_) | Error::WrongPin(_) => Self::WrongGateway,
            Error::NotRegistrar | Error::NotAService(_) | Error::HasKeys(_) | Error::NoShare(_) => Self::Refused,
            Error::NotFound(_) => Self::NotFound,
            Error::AlreadyReceived(_) | Error::AlreadySaved(_) => Self::AlreadyReceived,
            Error::Declined => Self::Declined,
            Error::Interrupted => Self::Interrupted,
            Error::Words(_) => Self::Link,
            Error::String(_) | Error::Link(_) | Error::Input(_) | Error::Busy(_) | Error::OtherUnderKey(_) => {
                Self::Usage
            }
            Error::Internal(_) => Self::Internal,
        }
    }
}

impl From<&ApiError> for Exit {
    fn from(error: &ApiError) -> Self {
        let problem = match error {
            ApiError::Unreachable(_) => return Self::Unreachable,
            ApiError::WrongKey | ApiError::Intercepted(_) | ApiError::Untrusted(_) => return Self::WrongGateway,
            ApiError::Request(_) => return Self::Internal,
            ApiError::Answer(_) | ApiError::TooMuch(_) | ApiError::Damaged(_) => return Self::Gateway,
            ApiError::Refused { problem, .. } => problem,
        };
        match problem.kind() {
            Some(ProblemKind::NotFound) => Self::NotFound,
            Some(
                ProblemKind::Expired | ProblemKind::Revoked | ProblemKind::LimitReached | ProblemKind::InviteEnded,
            ) => Self::Over,
            Some(ProblemKind::LinkRefused | ProblemKind::LinkLocked | ProblemKind::LinkDelayed) => Self::Link,
            Some(ProblemKind::ClockSkew) => Self::Clock,
            Some(ProblemKind::UnknownRecipient) => Self::Recipient,
            Some(ProblemKind::DirectoryBehind) => Self::Log,
            Some(ProblemKind::Held) => Self::Gateway,
            _ if problem.status >= 500 || problem.status == 429 => Self::Gateway,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// docs/cli.md says of every code what this file says, and names no other.
    #[test]
    fn documented_codes_are_the_codes() {
        let docs = include_str!("../../../../docs/cli.md");
        let table: Vec<(String, String)> = docs
            .lines()
            .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "))
            .filter(|(code, _)| code.parse::<u8>().is_ok())
            .map(|(code, meaning)| (code.to_owned(), meaning.to_owned()))
            .collect();
        let codes: Vec<(String, String)> = Exit::ALL
            .iter()
            .map(|exit| (exit.code().to_string(), exit.meaning().to_owned()))
            .collect();
        assert_eq!(table, codes);
    }

    #[test]
    fn names_are_snake_case() {
        assert_eq!(Exit::WrongGateway.name(), "wrong_gateway");
        assert_eq!(Exit::Ok.name(), "ok");
    }

    #[test]
    fn codes_are_distinct() {
        let mut codes: Vec<u8> = Exit::ALL.iter().map(|exit| exit.code()).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Exit::ALL.len());
    }
}
