//! What is kept of a transfer that is being sent, from before the first byte goes up until the gateway has signed for it: secrets,
//! header, stanzas, draft and paths; what the gateway has acknowledged, part by part; and the request to seal, byte for byte.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealpost_proto::api::{Part, SealOptions};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, TransferId};
use sealpost_proto::sealed::{Block, Header, PayloadLayout};
use sealpost_proto::tree::tree_head;
use sealpost_sealed::{FAST, ManifestDraft, Sealer, TransferSecret, TransferSecrets};
use serde::{Deserialize, Serialize};

use super::Input;
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::link::DrawnLink;
use crate::platform;
use crate::records::{KeptSecret, SentTo};
use crate::resume::begun::{Begun, Found};

/// The folder of unfinished sends.
pub(crate) const SENDING: &str = "sending";

/// What a list of unfinished transfers shows.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct SendingHead {
    pub(crate) transfer: TransferId,
    pub(crate) hh: Hash,
    pub(crate) recipients: Vec<Address>,
    pub(crate) files: usize,
    /// Bytes of all files.
    pub(crate) total: u64,
    pub(crate) begun_at: u64,
    pub(crate) expires_at: u64,
    /// The link with its words, so that whoever goes on can still tell them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) link: Option<DrawnLink>,
}

/// One record of the journal.
#[derive(Serialize, Deserialize)]
pub(crate) enum SendingRecord {
    /// All that makes the transfer, but the plaintext.
    Draft(Box<KeptDraft>),
    /// A part that the gateway has acknowledged.
    Part(KeptPart),
    /// The request to seal, before it goes out.
    Seal(KeptSeal),
}

/// All that makes a transfer, but the plaintext.
#[derive(Serialize, Deserialize)]
pub(crate) struct KeptDraft {
    secret: KeptSecret,
    share: Option<KeptSecret>,
    header: Base64,
    block: Base64,
    manifest: ManifestDraft,
    /// Where the files are, in the order of the manifest.
    paths: Vec<Base64>,
    pub(crate) options: SealOptions,
    pub(crate) recipients: Vec<SentTo>,
    pub(crate) directory_size: u64,
}

impl KeptDraft {
    /// None for what cannot be read again: the standard input, and paths that this system cannot write down.
    pub(crate) fn new(
        sealer: &Sealer,
        input: &Input,
        options: SealOptions,
        recipients: Vec<SentTo>,
        directory_size: u64,
    ) -> Option<Self> {
        let paths = input.paths()?;
        let paths: Option<Vec<Base64>> = paths
            .iter()
            .map(|path| platform::path_bytes(path).map(Base64))
            .collect();
        Some(Self {
            secret: KeptSecret::new(sealer.secrets().secret().as_bytes()),
            share: sealer.secrets().share().map(KeptSecret::new),
            header: Base64(sealer.header().to_bytes().to_vec()),
            block: Base64(sealer.block().to_bytes()),
            manifest: sealer.manifest().clone(),
            paths: paths?,
            options,
            recipients,
            directory_size,
        })
    }

    /// The sealer as it was, and the files, which must not have changed.
    ///
    /// # Errors
    /// [`Error::State`] when the pieces do not belong together.
    pub(crate) fn restore(&self) -> Result<(Sealer, Input), Error> {
        let paths: Option<Vec<PathBuf>> = self.paths.iter().map(|bytes| platform::path_of(&bytes.0)).collect();
        let input = Input::again(paths.ok_or(Error::State)?, &self.manifest.files);
        let secret = TransferSecret::from_bytes(self.secret.as_bytes());
        let secrets = TransferSecrets::from_parts(secret, self.share.as_ref().map(KeptSecret::as_bytes));
        let header = Header::parse(&self.header.0).map_err(|_| Error::State)?;
        let block = Block::parse(&self.block.0).map_err(|_| Error::State)?;
        let sealer = Sealer::resume(FAST, header, block, self.manifest.clone(), secrets);
        Ok((sealer.map_err(|_| Error::State)?, input))
    }
}

/// A part that the gateway holds: leaves of the stored segments, and keyed hashes of their plaintext; 32 bytes for each segment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct KeptPart {
    pub(crate) number: u64,
    leaves: Base64,
    plaintext: Base64,
}

impl KeptPart {
    pub(crate) fn new(number: u64, leaves: &[[u8; 32]], plaintext: &[[u8; 32]]) -> Self {
        Self {
            number,
            leaves: Base64(leaves.concat()),
            plaintext: Base64(plaintext.concat()),
        }
    }

    /// The leaves of its segments.
    pub(crate) fn leaves(&self) -> &[[u8; 32]] {
        self.leaves.0.as_chunks().0
    }

    /// The keyed hashes of its segments' plaintext.
    pub(crate) fn plaintext(&self) -> &[[u8; 32]] {
        self.plaintext.0.as_chunks().0
    }

    fn is_stored(&self, layout: &PayloadLayout, parts: &[Part]) -> bool {
        let segments = layout.part_segments(self.number).count();
        let root = Hash::from_bytes(tree_head(self.leaves()));
        let is_complete = self.leaves().len() == segments && self.plaintext().len() == segments && segments > 0;
        is_complete
            && parts
                .iter()
                .any(|part| u64::from(part.number) == self.number && part.root == root)
    }
}

/// The request to seal, as it is sent and sent again.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct KeptSeal {
    pub(crate) body: Base64,
    pub(crate) idempotency_key: String,
}

/// An unfinished send that is ours to go on with.
pub(crate) type Sending = Begun<SendingHead>;

/// What the journal of an unfinished send says.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) draft: Option<Box<KeptDraft>>,
    pub(crate) parts: BTreeMap<u64, KeptPart>,
    pub(crate) seal: Option<KeptSeal>,
}

impl Kept {
    fn take(&mut self, record: SendingRecord) {
        match record {
            SendingRecord::Draft(draft) => self.draft = Some(draft),
            // A part that was sealed again took the place of the earlier one.
            SendingRecord::Part(part) => drop(self.parts.insert(part.number, part)),
            SendingRecord::Seal(seal) => self.seal = Some(seal),
        }
    }

    /// The parts that the gateway holds exactly as they were acknowledged.
    pub(crate) fn stored(&self, layout: &PayloadLayout, parts: &[Part]) -> BTreeMap<u64, KeptPart> {
        let stored = self.parts.iter().filter(|(_, part)| part.is_stored(layout, parts));
        stored.map(|(number, part)| (*number, part.clone())).collect()
    }
}

/// Facts about a transfer for the list of what is unfinished.
pub(crate) fn head_of(sealer: &Sealer, recipients: &[SentTo], link: Option<&DrawnLink>) -> SendingHead {
    SendingHead {
        transfer: sealer.header().transfer_id,
        hh: Hash::from_bytes(sealer.header().hash()),
        recipients: recipients.iter().map(|to| to.address.clone()).collect(),
        files: sealer.manifest().files.len(),
        total: sealer.total(),
        begun_at: sealer.header().created_at,
        expires_at: sealer.header().expires_at,
        link: link.cloned(),
    }
}

/// Keeps a transfer from its first record on.
pub(crate) fn begin(state: &State, env: &Env, head: SendingHead, first: &SendingRecord) -> Result<Sending, Error> {
    let name = head.transfer.to_string();
    Begun::create(state, env, SENDING, &name, head, Some(first))
}

/// The unfinished send of this id with what was kept of it.
pub(crate) fn open(state: &State, transfer: &TransferId) -> Result<Option<(Found<SendingHead>, Kept)>, Error> {
    let mut kept = Kept::default();
    let found = Begun::open(state, SENDING, &transfer.to_string(), |record| kept.take(record))?;
    Ok(found.map(|found| (found, kept)))
}
