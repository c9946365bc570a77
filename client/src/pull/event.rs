//! What a puller tells, for people as a line and for programs as an object.
//!
//! Names of files are health data: lines never hold one. The JSON of `received` does, because whoever asks for JSON has a program that
//! needs the paths.

use std::path::Path;

use sealpost_proto::id::{Address, TransferId};
use serde_json::{Map, Value, json};

use super::job::Job;
use crate::error::Error;
use crate::text;
use crate::transfers::short_id;

/// Takes what is told; called from any task.
pub trait Listener: std::fmt::Debug + Send + Sync {
    /// Something happened.
    fn event(&self, event: &Event);
}

/// Something that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// Its name.
    pub name: &'static str,
    /// Whether somebody should do something about it.
    pub is_error: bool,
    /// For people: one line, without the time.
    pub text: String,
    /// For programs: members beside `schema`, `event` and `time`.
    pub json: Map<String, Value>,
}

impl Event {
    fn new(name: &'static str, text: &str, json: Value) -> Self {
        let json = match json {
            Value::Object(members) => members,
            _ => Map::new(),
        };
        Self {
            name,
            is_error: false,
            text: text::line(text),
            json,
        }
    }

    fn error(name: &'static str, text: &str, json: Value) -> Self {
        Self {
            is_error: true,
            ..Self::new(name, text, json)
        }
    }

    pub(super) fn watching(is_live: bool) -> Self {
        let how = if is_live {
            "on the live feed"
        } else {
            "by asking now and then"
        };
        Self::new("watching", &format!("watching {how}"), json!({"feed": is_live}))
    }

    pub(super) fn away() -> Self {
        Self::error("away", "the gateway is away, waiting for it", json!({}))
    }

    pub(super) fn back() -> Self {
        Self::new("back", "the gateway is back", json!({}))
    }

    pub(super) fn received(job: &Job) -> Self {
        let bytes: u64 = job.files.iter().map(|file| file.bytes).sum();
        let files = match job.files.len() {
            1 => "1 file".to_owned(),
            number => format!("{number} files"),
        };
        let text = format!(
            "received {files} ({bytes} bytes) from {}, transfer {}",
            job.sender_name(),
            short_id(&job.transfer)
        );
        Self::new("received", &text, job.facts())
    }

    /// A transfer could not be received, for now or for good.
    pub(super) fn failed(transfer: &TransferId, is_final: bool, error: &Error) -> Self {
        let why = nameless(error);
        let what = if is_final {
            "is not received"
        } else {
            "will be tried again"
        };
        let text = format!("transfer {} {what}: {why}", short_id(transfer));
        let json = json!({"transfer": transfer, "final": is_final, "message": why});
        Self::error("failed", &text, json)
    }

    /// Something beside a transfer went wrong.
    pub(super) fn trouble(error: &Error) -> Self {
        Self::about(&nameless(error))
    }

    /// A record of what is left to do cannot be read; its name is the client's own.
    pub(super) fn damaged(record: &Path) -> Self {
        Self::about(&format!("{}: {}", record.display(), Error::State))
    }

    /// There are files in a folder from which nothing is sent.
    pub(super) fn strange(folder: &Path) -> Self {
        let shown = folder.display();
        Self::about(&format!(
            "there are files in {shown}, and nobody's folder has this name; they are not sent"
        ))
    }

    /// Why, as a command ended.
    pub(super) fn alarm_failed(why: &str) -> Self {
        Self::about(&format!("the alarm command failed: {why}"))
    }

    fn about(why: &str) -> Self {
        Self::error("trouble", why, json!({"message": why}))
    }

    pub(super) fn command_done(transfer: &TransferId) -> Self {
        let text = format!("the command has taken transfer {}", short_id(transfer));
        Self::new("command_done", &text, json!({"transfer": transfer}))
    }

    pub(super) fn command_failed(transfer: &TransferId, tries: u32, why: &str) -> Self {
        let text = format!(
            "the command failed for transfer {} ({why}), try {tries}; it is tried again",
            short_id(transfer)
        );
        let json = json!({"transfer": transfer, "tries": tries, "message": why});
        Self::error("command_failed", &text, json)
    }

    pub(super) fn given_up(transfer: &TransferId, tries: u32, why: &str) -> Self {
        let text = format!(
            "the command has failed {tries} times for transfer {} ({why}) and is given up; `sealpost pull --retry` tries it again",
            short_id(transfer)
        );
        let json = json!({"transfer": transfer, "tries": tries, "message": why});
        Self::error("given_up", &text, json)
    }

    /// A line that a command wrote.
    pub(super) fn output(transfer: Option<&TransferId>, line: &str) -> Self {
        let of = transfer.map_or_else(|| "alarm".to_owned(), short_id);
        let json = json!({"transfer": transfer, "line": line});
        Self::new("output", &format!("command ({of}): {line}"), json)
    }

    pub(super) fn replied(to: &Address, answered: Option<&TransferId>, sent: &TransferId, was_sent: bool) -> Self {
        let what = if was_sent { "had been sent before" } else { "is sent" };
        let text = format!("a reply to {to} {what}, transfer {}", short_id(sent));
        let json = json!({"to": to, "reply_to": answered, "transfer": sent, "sent_before": was_sent});
        Self::new("replied", &text, json)
    }

    pub(super) fn reply_failed(to: &str, answered: Option<&TransferId>, error: &Error) -> Self {
        let why = nameless(error);
        let text = format!("a reply to {to} could not be sent: {why}");
        let json = json!({"to": to, "reply_to": answered, "message": why});
        Self::error("reply_failed", &text, json)
    }

    pub(super) fn silent(from: &Address, hours: u64, last: Option<u64>) -> Self {
        let since = match last {
            Some(_) => format!("nothing has come from {from} for {hours} hours"),
            None => format!("nothing has ever come from {from}, and {hours} hours have passed"),
        };
        let json = json!({"from": from, "hours": hours, "last": last});
        Self::error("silent", &since, json)
    }
}

/// What went wrong, without the name of a file, which may be a patient's. Folders are named: by the operator, by an address or by an id.
#[must_use]
pub fn nameless(error: &Error) -> String {
    match error {
        Error::File { doing, source, .. } if !doing.ends_with("the folder") => {
            format!("Could not {doing} a file: {source}.")
        }
        Error::Changed(_) | Error::ChangedSince(_) => {
            "A file changed while it was being read; nothing was sent.".to_owned()
        }
        Error::Gone { transfer, .. } => format!("A file is not there any more, so transfer {transfer} cannot go on."),
        Error::Taken(_) => "A file is in the way of one that is never replaced.".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::path::PathBuf;

    use super::*;

    const CANARY: &str = "smith-john";

    #[test]
    fn no_event_tells_the_name_of_a_file() {
        let id = TransferId::from_bytes([7; 16]);
        let path = || PathBuf::from(format!("/srv/claims/{CANARY}.837"));
        let errors = [
            Error::file("write", &path(), ErrorKind::StorageFull.into()),
            Error::file("open", &path(), ErrorKind::AlreadyExists.into()),
            Error::Changed(path()),
            Error::ChangedSince(path()),
            Error::Taken(path()),
            Error::Gone {
                file: path(),
                transfer: id,
            },
        ];
        for error in &errors {
            assert!(error.to_string().contains(CANARY), "the test tests something");
            for event in [
                Event::failed(&id, false, error),
                Event::trouble(error),
                Event::reply_failed("desk@clinic.example", Some(&id), error),
            ] {
                let told = format!("{} {}", event.text, Value::Object(event.json));
                assert!(!told.contains(CANARY), "{told}");
            }
        }
        let folder = Error::file(
            "make the folder",
            Path::new("/srv/claims"),
            ErrorKind::StorageFull.into(),
        );
        assert!(
            Event::trouble(&folder).text.contains("/srv/claims"),
            "a folder is named"
        );
    }
}
