//! What is still to be done about a received transfer: told, handed to the command, answered. Kept sealed from before the transfer counts
//! as received until nothing is left to do.

use std::path::{Path, PathBuf};

use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, Label, TransferId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::Error;
use crate::platform;
use crate::receive::Received;
use crate::session::Session;

/// The folder of jobs.
const JOBS: &str = "pulled";

/// A file that is in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobFile {
    /// The sender's name for it.
    pub(super) name: String,
    path: Base64,
    pub(super) bytes: u64,
}

/// What is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Step {
    /// It is to be told, and handed to the command if there is one.
    Placed,
    /// The command has failed so often; it is due again at this time, unix seconds.
    Failed { tries: u32, due: u64 },
    /// The command was tried often enough.
    GivenUp { tries: u32 },
    /// The command has done its work, and what it left as a reply is to be sent; that has failed so often, and is due at this time.
    Answering { tries: u32, due: u64 },
}

/// What is still to be done about a received transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Job {
    pub(super) transfer: TransferId,
    pub(super) hh: Hash,
    pub(super) sender: Option<Label>,
    pub(super) address: Option<Address>,
    folder: Base64,
    pub(super) files: Vec<JobFile>,
    subject: Option<String>,
    sealed_at: u64,
    accepted_at: u64,
    pub(super) received_at: u64,
    pub(super) step: Step,
    /// Whether it has been told.
    pub(super) is_told: bool,
}

impl Job {
    /// Of files that are in `folder` now.
    pub(super) fn new(
        received: &Received,
        hh: Hash,
        address: Option<Address>,
        folder: &Path,
        now: u64,
    ) -> Result<Self, Error> {
        let bytes = |path: &Path| platform::path_bytes(path).map(Base64).ok_or(Error::State);
        let files = received.files.iter().map(|file| {
            Ok(JobFile {
                name: file.name.clone(),
                path: bytes(&file.path)?,
                bytes: file.len,
            })
        });
        Ok(Self {
            transfer: received.transfer,
            hh,
            sender: received.sender,
            address,
            folder: bytes(folder)?,
            files: files.collect::<Result<_, Error>>()?,
            subject: received.manifest.subject.clone(),
            sealed_at: received.sealed_at,
            accepted_at: received.accepted.time,
            received_at: now,
            step: Step::Placed,
            is_told: false,
        })
    }

    /// Keeps it, durably.
    pub(super) fn put(&self, session: &Session) -> Result<(), Error> {
        session.state.put(JOBS, &self.hh.to_string(), self, &session.env)
    }

    /// Nothing is left to do.
    pub(super) fn remove(&self, session: &Session) -> Result<(), Error> {
        session.state.remove(JOBS, &self.hh.to_string())
    }

    /// The one of this header hash.
    pub(super) fn get(session: &Session, hh: &Hash) -> Result<Option<Self>, Error> {
        session.state.get(JOBS, &hh.to_string())
    }

    /// All of them, the oldest first, and the files of those that cannot be read.
    pub(super) fn all(session: &Session) -> Result<(Vec<Self>, Vec<PathBuf>), Error> {
        let (mut jobs, mut damaged) = (Vec::new(), Vec::new());
        for name in session.state.names(JOBS)? {
            match session.state.get::<Self>(JOBS, &name) {
                Ok(job) => jobs.extend(job),
                // One that cannot be read, for whatever reason, stops no other.
                Err(_) => damaged.push(session.state.path(JOBS, &name)),
            }
        }
        jobs.sort_by_key(|job| (job.received_at, job.transfer));
        Ok((jobs, damaged))
    }

    /// The sender for people.
    pub(super) fn sender_name(&self) -> String {
        match (&self.address, &self.sender) {
            (Some(address), _) => address.to_string(),
            (None, Some(label)) => format!("person {}", label.to_string().chars().take(12).collect::<String>()),
            (None, None) => "an unverified sender".to_owned(),
        }
    }

    /// Everything that a program may need to know: the command's standard input.
    pub(super) fn facts(&self) -> Value {
        let shown = |bytes: &Base64| platform::path_of(&bytes.0).map(|path| path.to_string_lossy().into_owned());
        let files: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({"name": file.name, "path": shown(&file.path), "bytes": file.bytes}))
            .collect();
        json!({
            "transfer": self.transfer,
            "hh": self.hh,
            "sender": self.address,
            "sender_label": self.sender,
            "folder": shown(&self.folder),
            "files": files,
            "subject": self.subject,
            "sealed_at": self.sealed_at,
            "accepted_at": self.accepted_at,
            "received_at": self.received_at,
        })
    }
}
