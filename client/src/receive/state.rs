//! What is kept of a transfer that is being received: the opening and where the files go, from before the gateway is asked; then how
//! far the staging folder has come; then the names that the verified files get.

use std::path::PathBuf;

use sealpost_proto::api::{TransferState, TransferSummary};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, OpeningId, TransferId};
use sealpost_proto::sealed::MAX_LIFETIME;
use sealpost_sealed::Manifest;
use serde::{Deserialize, Serialize};

use super::{KeepSealed, Options};
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::platform;
use crate::resume::begun::{Begun, Found};

/// The folder of unfinished receives.
pub(crate) const RECEIVING: &str = "receiving";

/// The facts of an unfinished receive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ReceivingHead {
    pub(crate) transfer: TransferId,
    pub(crate) hh: Hash,
    /// The opening that this device drew; repeated after a crash, so it is counted once.
    pub(crate) opening: OpeningId,
    target: Base64,
    keep_sealed: Option<Base64>,
    with_share: bool,
    again: bool,
    pub(crate) begun_at: u64,
    /// Absent in what earlier versions began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_at: Option<u64>,
    /// Absent in what was not begun unattended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pulled: Option<Pulled>,
}

/// What a puller needs to finish without the gateway what it began: more than files is owed then, so nobody else finishes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pulled {
    header: Base64,
    seal: Base64,
    receipt: String,
    /// The sender's, as far as it was proven.
    pub(crate) address: Option<Address>,
}

impl Pulled {
    pub(crate) fn new(summary: &TransferSummary, address: Option<&Address>) -> Self {
        Self {
            header: summary.header.clone(),
            seal: summary.seal.clone(),
            receipt: summary.receipt.clone(),
            address: address.cloned(),
        }
    }

    /// What was known of the transfer when it was begun.
    pub(crate) fn summary(&self, transfer: TransferId) -> TransferSummary {
        TransferSummary {
            transfer,
            header: self.header.clone(),
            seal: self.seal.clone(),
            receipt: self.receipt.clone(),
            public_label: None,
            state: TransferState::Available,
            openings: None,
            recipients: Vec::new(),
            position: None,
            links: Vec::new(),
        }
    }
}

impl ReceivingHead {
    /// [`Error::Input`] for paths that this system cannot write down.
    pub(crate) fn new(
        transfer: TransferId,
        hh: Hash,
        opening: OpeningId,
        options: &Options,
        begun_at: u64,
        expires_at: u64,
    ) -> Result<Self, Error> {
        let unwritable = || Error::Input("The folder for the files has a name that cannot be written down.".to_owned());
        let bytes = |path: &std::path::Path| {
            let absolute = std::path::absolute(path).ok();
            let bytes = absolute.and_then(|path| platform::path_bytes(&path));
            bytes.map(Base64).ok_or_else(unwritable)
        };
        let keep = options.keep_sealed.as_ref();
        Ok(Self {
            transfer,
            hh,
            opening,
            target: bytes(&options.target)?,
            keep_sealed: keep.map(|keep| bytes(&keep.path)).transpose()?,
            with_share: keep.is_some_and(|keep| keep.with_share),
            again: options.again,
            begun_at,
            expires_at: Some(expires_at),
            pulled: None,
        })
    }

    /// The same, begun by a puller.
    pub(crate) fn of_puller(self, pulled: Option<Pulled>) -> Self {
        Self { pulled, ..self }
    }

    /// Until when the transfer can be opened, unix seconds; at the latest.
    pub(crate) fn expires_at(&self) -> u64 {
        let latest = self.begun_at.saturating_add(MAX_LIFETIME);
        self.expires_at.unwrap_or(latest)
    }

    /// The folder for the files.
    pub(crate) fn target(&self) -> Result<PathBuf, Error> {
        platform::path_of(&self.target.0).ok_or(Error::State)
    }

    /// How it was to be received.
    pub(crate) fn options(&self) -> Result<Options, Error> {
        let keep = self.keep_sealed.as_ref();
        let keep = keep
            .map(|bytes| platform::path_of(&bytes.0).ok_or(Error::State))
            .transpose()?;
        Ok(Options {
            target: self.target()?,
            again: self.again,
            keep_sealed: keep.map(|path| KeepSealed {
                path,
                with_share: self.with_share,
            }),
        })
    }

    /// Whether it is received in the same way, so that what is staged can serve.
    pub(crate) fn is_alike(&self, other: &Self) -> bool {
        (&self.target, &self.keep_sealed) == (&other.target, &other.keep_sealed)
    }
}

/// One record of the journal.
#[derive(Serialize, Deserialize)]
pub(crate) enum ReceivingRecord {
    /// A part is verified and durable in staging.
    Part {
        /// Its number; parts are staged in order.
        number: u64,
        /// BLAKE3 over the digests, as they stand behind it, of the files that have bytes in it.
        blake3: Hash,
    },
    /// Everything is verified and durable, and is about to get these names.
    Placing(Box<Placing>),
}

/// The names that verified files get in the target folder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Placing {
    pub(crate) manifest: Manifest,
    pub(crate) names: Vec<String>,
    /// The file system knows no exclusive rename, so a file gets its name by a second link. Absent where it does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) by_links: bool,
}

/// An unfinished receive that is ours to go on with.
pub(crate) type Receiving = Begun<ReceivingHead>;

/// What the journal of an unfinished receive says.
#[derive(Debug, Default)]
pub(crate) struct Staged {
    /// The marks of the parts that are staged, from the first on.
    pub(crate) parts: Vec<Hash>,
    pub(crate) placing: Option<Box<Placing>>,
}

impl Staged {
    /// Whether nothing would be lost with it.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.placing.is_none()
    }

    fn take(&mut self, record: ReceivingRecord) {
        match record {
            ReceivingRecord::Part { number, blake3 } => {
                // A part that had to be fetched again ends what was staged behind it.
                self.parts.truncate(usize::try_from(number).unwrap_or(usize::MAX));
                if self.parts.len() as u64 == number {
                    self.parts.push(blake3);
                }
            }
            ReceivingRecord::Placing(placing) => self.placing = Some(placing),
        }
    }
}

/// Keeps a receive from now on, under its header hash or, of a visitor, under the name of link and words.
pub(crate) fn begin(state: &State, env: &Env, name: &str, head: ReceivingHead) -> Result<Receiving, Error> {
    Begun::create(state, env, RECEIVING, name, head, None::<&ReceivingRecord>)
}

/// The unfinished receive of this name with what was kept of it.
pub(crate) fn open(state: &State, name: &str) -> Result<Option<(Found<ReceivingHead>, Staged)>, Error> {
    let mut staged = Staged::default();
    let found = Begun::open(state, RECEIVING, name, |record| staged.take(record))?;
    Ok(found.map(|found| (found, staged)))
}
