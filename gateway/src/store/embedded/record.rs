//! A record of the ledger as it stands in the journal: JSON, versioned. Fields are only added.

use sealpost_proto::log::Object;
use serde::{Deserialize, Serialize};

use crate::domain::Change;

const VERSION: u8 = 1;

/// What one decision did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    v: u8,
    /// Its number, from 1.
    pub(super) seq: u64,
    /// Its stamp.
    pub(super) millis: u64,
    /// Changes of state, in order.
    pub(super) changes: Vec<Change>,
    /// Lines of the audit log, in order.
    pub(super) leaves: Vec<String>,
}

impl Record {
    pub(super) fn new(seq: u64, millis: u64, changes: Vec<Change>, leaves: Vec<String>) -> Self {
        Self {
            v: VERSION,
            seq,
            millis,
            changes,
            leaves,
        }
    }

    pub(super) fn encode(&self) -> serde_json::Result<Vec<u8>> {
        serde_json::to_vec(self)
    }

    /// Reads record number `seq`.
    pub(super) fn decode(seq: u64, bytes: &[u8]) -> Result<Self, String> {
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| format!("record {seq} cannot be read ({error})"))?;
        if record.v != VERSION || record.seq != seq {
            return Err(format!("record {seq} is of another version or has another number"));
        }
        Ok(record)
    }
}

/// The lines of a record alone.
#[derive(Deserialize)]
struct Lines {
    leaves: Vec<String>,
}

/// Lines of the audit log in an encoded record.
pub(super) fn lines_of(bytes: &[u8]) -> serde_json::Result<Vec<String>> {
    serde_json::from_slice::<Lines>(bytes).map(|lines| lines.leaves)
}

/// What the views need of a leaf. The frame's hash vouches for the rest, and auditors read it whole.
#[derive(Deserialize)]
pub(super) struct OfLeaf {
    pub(super) object: Object,
}

impl OfLeaf {
    pub(super) fn read(line: &str) -> Result<Self, String> {
        serde_json::from_str(line).map_err(|error| format!("it has a leaf that is none ({error})"))
    }
}
