//! What the client remembers of transfers, in sealed state files: names are health data, so nothing of this is ever in clear.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealpost_proto::id::{Address, Hash, Kid, Label, OpeningId, TransferId};
use serde::{Deserialize, Serialize};

use crate::env::Env;
use crate::error::Error;
use crate::home::State;

const SENT: &str = "sent";
const RECEIVED: &str = "received";

/// Somebody to whom a transfer was sealed, as the directory said then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentTo {
    /// The address that was named.
    pub address: Address,
    /// The person.
    pub label: Label,
    /// The encryption key that it was sealed to.
    pub kid: Kid,
}

/// A transfer that this client sent. No key and no share is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SentRecord {
    /// The transfer.
    pub transfer: TransferId,
    /// Its header hash.
    pub hh: Hash,
    /// For whom: what the gateway lists later is compared with it.
    pub recipients: Vec<SentTo>,
    /// Size of the directory that this client had seen when it sealed.
    pub directory_size: u64,
    /// Names of the files as they were sent.
    pub files: Vec<String>,
    /// Until when it can be opened.
    pub expires_at: u64,
    /// The gateway's *accepted* receipt; absent while the outcome is not known.
    pub accepted: Option<String>,
    /// Verified receipts by recipient: once seen, they count whatever the gateway says later.
    pub verified: BTreeMap<Label, String>,
}

impl SentRecord {
    /// Keeps the record.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn put(&self, state: &State, env: &Env) -> Result<(), Error> {
        state.put(SENT, &self.transfer.to_string(), self, env)
    }

    /// Forgets the record: the gateway has refused the transfer for good.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, state: &State) -> Result<(), Error> {
        state.remove(SENT, &self.transfer.to_string())
    }

    /// The record of a transfer, if this client sent it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn get(state: &State, transfer: &TransferId) -> Result<Option<Self>, Error> {
        state.get(SENT, &transfer.to_string())
    }

    /// The file of a transfer's record, to be named when it is damaged.
    #[must_use]
    pub fn file(state: &State, transfer: &TransferId) -> PathBuf {
        state.path(SENT, &transfer.to_string())
    }

    /// All records that can be read, and the files of those that are damaged: one must not hide the others.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn all(state: &State) -> Result<(Vec<Self>, Vec<PathBuf>), Error> {
        let (mut records, mut damaged) = (Vec::new(), Vec::new());
        for name in state.names(SENT)? {
            match state.get(SENT, &name) {
                Ok(record) => records.extend(record),
                Err(Error::State) => damaged.push(state.path(SENT, &name)),
                Err(error) => return Err(error),
            }
        }
        Ok((records, damaged))
    }
}

/// How far receiving has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Progress {
    /// An opening was asked for; nothing is in place.
    Opened,
    /// The files are verified and in place; the gateway has no receipt yet.
    Placed,
    /// The gateway has the receipt.
    Receipted,
}

/// A transfer that this client received, or began to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ReceivedRecord {
    /// The transfer.
    pub transfer: TransferId,
    /// Its header hash: the same transfer offered as new is known by it.
    pub hh: Hash,
    /// The opening that this device drew; repeated after a crash, so it is counted once.
    pub opening: OpeningId,
    /// How far it came.
    pub progress: Progress,
    /// The countersigned receipt.
    pub receipt: Option<String>,
}

impl ReceivedRecord {
    /// Keeps the record.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn put(&self, state: &State, env: &Env) -> Result<(), Error> {
        state.put(RECEIVED, &self.hh.to_string(), self, env)
    }

    /// The record of a header hash, if this client has met it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn get(state: &State, hh: &Hash) -> Result<Option<Self>, Error> {
        state.get(RECEIVED, &hh.to_string())
    }

    /// Whether the files of this transfer were verified and put in place.
    #[must_use]
    pub fn is_received(&self) -> bool {
        self.progress != Progress::Opened
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    #[test]
    fn a_damaged_record_does_not_hide_the_others() {
        let dir = tempfile::tempdir().unwrap();
        let state = Home::new(dir.path()).state(&crate::account::tests::account());
        for number in [1, 2] {
            let record = SentRecord {
                transfer: TransferId::from_bytes([number; 16]),
                hh: Hash::from_bytes([number; 32]),
                recipients: Vec::new(),
                directory_size: 0,
                files: Vec::new(),
                expires_at: 9,
                accepted: None,
                verified: BTreeMap::new(),
            };
            record.put(&state, &Env::system()).unwrap();
        }
        let path = state.path(SENT, &TransferId::from_bytes([1; 16]).to_string());
        std::fs::write(&path, [0; 80]).unwrap();
        let (records, damaged) = SentRecord::all(&state).unwrap();
        assert_eq!(damaged, [path]);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].transfer, TransferId::from_bytes([2; 16]));
    }
}
