//! Receiving, in the order of security.md 3.8: every check before a file gets its name, then a signed receipt.
//!
//! The opening is drawn and kept here before the gateway is asked, so that a second try after a crash repeats it and is not
//! counted. A transfer that fails a check leaves nothing behind but a *rejected* receipt.

mod download;
mod keep;
mod staging;
#[cfg(test)]
pub(crate) mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::api::{OpenRequest, OpenResponse, ReceiptRequest, TransferSummary};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::{Hash, Label, OpeningId, PublicKey, TransferId};
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, Signer};
use sealpost_proto::sealed::{Envelope, Header, MAX_BOX_LEN, Reason, Seal, VerifiedEnvelope};
use sealpost_sealed::{FAST, Manifest, OpenWith, Opener, unwrap_secret};
use zeroize::Zeroizing;

pub use keep::{KeepSealed, write_digits};

use crate::api::Api;
use crate::buffers::BufferPool;
use crate::error::Error;
use crate::progress::Progress;
use crate::records::{Progress as Stage, ReceivedRecord};
use crate::session::Session;
use crate::verify::{self, Accepted};
use download::DOWNLOADS;
use keep::ContainerWriter;
use staging::Staging;

/// How to receive.
#[derive(Debug, Clone)]
pub struct Options {
    /// The folder for the files.
    pub target: PathBuf,
    /// Receive again what was received before.
    pub again: bool,
    /// Keep the transfer sealed as well.
    pub keep_sealed: Option<KeepSealed>,
}

/// A file that was received.
#[derive(Debug, Clone)]
pub struct ReceivedFile {
    /// The sender's name for it.
    pub name: String,
    /// Where it is.
    pub path: PathBuf,
    /// Bytes.
    pub len: u64,
}

/// A transfer that was received and verified.
#[derive(Debug)]
pub struct Received {
    /// Its id.
    pub transfer: TransferId,
    /// The sender; none if the directory has another identity for this person by now.
    pub sender: Option<Label>,
    /// What the sender wrote.
    pub manifest: Manifest,
    /// The files.
    pub files: Vec<ReceivedFile>,
    /// When the sender says it was sealed, unix seconds.
    pub sealed_at: u64,
    /// What the gateway signed when it accepted it.
    pub accepted: Accepted,
    /// Until when it could be opened.
    pub expires_at: u64,
    /// The gateway has the receipt; else it is sent with the next `receive` or `inbox`.
    pub is_receipted: bool,
}

/// Receives one transfer. The directory has been brought up to date.
///
/// # Errors
/// [`Error`].
pub async fn receive(
    session: &Session,
    summary: &TransferSummary,
    options: &Options,
    progress: Arc<dyn Progress>,
) -> Result<Received, Error> {
    if let Some(keep) = &options.keep_sealed {
        keep.check_free()?;
    }
    let (header, seal) = verify::pieces(summary)?;
    if header.sender_identity.is_none() {
        return Err(Error::Anonymous);
    }
    let hh = Hash::from_bytes(header.hash());
    let earlier = ReceivedRecord::get(&session.state, &hh)?;
    if earlier.as_ref().is_some_and(ReceivedRecord::is_received) && !options.again {
        return Err(Error::AlreadyReceived(summary.transfer));
    }
    let (opened, record) = open(session, summary.transfer, hh, earlier).await?;
    let attempt = Attempt {
        session,
        summary,
        header,
        seal,
        record,
    };
    attempt.run(opened, options, progress).await
}

/// Asks the gateway for its share. The opening is on disk before, so that it can be repeated.
async fn open(
    session: &Session,
    transfer: TransferId,
    hh: Hash,
    earlier: Option<ReceivedRecord>,
) -> Result<(OpenResponse, ReceivedRecord), Error> {
    let repeatable = earlier.filter(|record| !record.is_received());
    if let Some(record) = repeatable {
        let request = OpenRequest {
            hh,
            opening: record.opening,
        };
        match session.api.open(&transfer, &request).await {
            Ok(opened) => return Ok((opened, record)),
            // The opening lapsed; what follows is a new one.
            Err(error) if error.kind() == Some(sealpost_proto::problem::ProblemKind::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let record = ReceivedRecord {
        transfer,
        hh,
        opening: OpeningId::from_bytes(session.env.draw()),
        progress: Stage::Opened,
        receipt: None,
    };
    // When receiving once more, the record of the first time stays until the new files are in place.
    if ReceivedRecord::get(&session.state, &hh)?.is_none_or(|earlier| !earlier.is_received()) {
        record.put(&session.state, &session.env)?;
    }
    let request = OpenRequest {
        hh,
        opening: record.opening,
    };
    Ok((session.api.open(&transfer, &request).await?, record))
}

/// One try at a transfer whose opening has been made.
struct Attempt<'a> {
    session: &'a Session,
    summary: &'a TransferSummary,
    header: Header,
    seal: Seal,
    record: ReceivedRecord,
}

impl Attempt<'_> {
    async fn run(
        mut self,
        opened: OpenResponse,
        options: &Options,
        progress: Arc<dyn Progress>,
    ) -> Result<Received, Error> {
        match self.verify_and_place(opened, options, progress).await {
            Ok(received) => self.finish(received).await,
            Err(Error::Rejected(reason)) => {
                // The person is told in any case; the sender only if the gateway takes the receipt.
                let _ = self.post(Some(reason)).await;
                Err(reason.into())
            }
            Err(error) => Err(error),
        }
    }

    async fn verify_and_place(
        &self,
        opened: OpenResponse,
        options: &Options,
        progress: Arc<dyn Progress>,
    ) -> Result<Received, Error> {
        let api = &self.session.api;
        let transfer = self.summary.transfer;
        let manifest_box = api.manifest_box(&transfer, MAX_BOX_LEN).await?;
        let (opener, accepted) = self.open_envelope(&opened, &manifest_box)?;
        let place = Place {
            target: &options.target,
            keep_sealed: options.keep_sealed.as_ref(),
        };
        let (opener, paths) = fetch_and_place(api, opener, place, progress).await?;
        Ok(self.received(&opener, accepted, paths))
    }

    /// Audience, time, seal, sender, stanzas; own stanza, share, commitment, manifest.
    fn open_envelope(&self, opened: &OpenResponse, manifest_box: &[u8]) -> Result<(Opener, Accepted), Error> {
        let (session, account) = (self.session, &self.session.account);
        let (header, seal) = (&self.summary.header.0, &self.summary.seal.0);
        let envelope = Envelope::parse(header, &opened.block.0, manifest_box, seal)?;
        let accepted = verify::accepted(&self.summary.receipt, &account.at, &self.seal, &session.mirror);
        let directory = session.mirror.directory();
        // Without a good receipt any revocation counts while the envelope is checked, so that the sender hears of a fault there;
        // then it is refused all the same.
        let size = accepted
            .as_ref()
            .map_or(directory.size(), |receipt| receipt.directory_size);
        let identity_of = |device: &_| verify::sender(directory, device, &self.seal, size);
        let audience = account.at.gateway.audience();
        let verified = envelope.verify(&audience, session.env.now(), identity_of)?;
        let accepted = accepted?;
        let own = account.encryption.iter().map(|epoch| &epoch.key);
        let mine = |verified: &VerifiedEnvelope, kid| verified.envelope().block.for_kid(&kid).is_some();
        let key = own
            .into_iter()
            .find(|key| mine(&verified, *key.kid()))
            .ok_or(Reason::Key)?;
        let secret = unwrap_secret(FAST, &verified, OpenWith::Key(key), None)?;
        let share = opened.share.as_ref().map(|share| Zeroizing::new(share.0.clone()));
        let opener = Opener::new(FAST, verified, secret, share.as_ref().map(|share| share.as_slice()))?;
        Ok((opener, accepted))
    }

    fn received(&self, opener: &Opener, accepted: Accepted, paths: Vec<PathBuf>) -> Received {
        let directory = self.session.mirror.directory();
        let sender = self.header.sender_identity;
        let sender = sender.and_then(|identity| directory.member_by_identity(&identity));
        Received {
            transfer: self.summary.transfer,
            sender: sender.map(|member| member.label),
            manifest: opener.manifest().clone(),
            files: files_at(opener, paths),
            sealed_at: self.seal.body.sealed_at,
            accepted,
            expires_at: self.header.expires_at,
            is_receipted: false,
        }
    }

    /// The files are in place: that is on disk before the receipt goes out, so that a crash costs neither.
    async fn finish(mut self, mut received: Received) -> Result<Received, Error> {
        self.record.progress = Stage::Placed;
        self.record.put(&self.session.state, &self.session.env)?;
        if let Ok(receipt) = self.post(None).await {
            self.record.progress = Stage::Receipted;
            self.record.receipt = Some(receipt);
            self.record.put(&self.session.state, &self.session.env)?;
            received.is_receipted = true;
        }
        Ok(received)
    }

    async fn post(&mut self, rejected: Option<Reason>) -> Result<String, Error> {
        post_receipt(self.session, &self.record, &self.seal, rejected).await
    }
}

/// Signs and posts a receipt, and returns it with the gateway's countersignature, verified.
async fn post_receipt(
    session: &Session,
    record: &ReceivedRecord,
    seal: &Seal,
    rejected: Option<Reason>,
) -> Result<String, Error> {
    let account = &session.account;
    let by = Receiver {
        identity: account.identity.public(),
        device: &account.device,
        assurance: Assurance::Member,
        opening: record.opening,
        now: session.env.now(),
    };
    by.post_receipt(&session.api, &record.transfer, seal, rejected).await
}

/// Who signs a receipt, of which opening, and when.
pub(crate) struct Receiver<'a> {
    pub(crate) identity: PublicKey,
    pub(crate) device: &'a SigningKey,
    pub(crate) assurance: Assurance,
    pub(crate) opening: OpeningId,
    /// Unix seconds.
    pub(crate) now: u64,
}

impl Receiver<'_> {
    /// Signs and posts a receipt, and returns it with the gateway's countersignature, verified.
    pub(crate) async fn post_receipt(
        &self,
        api: &Api,
        transfer: &TransferId,
        seal: &Seal,
        rejected: Option<Reason>,
    ) -> Result<String, Error> {
        let signer = Signer {
            identity: self.identity,
            device: self.device.public(),
            client: crate::CLIENT.to_owned(),
            assurance: self.assurance,
        };
        let receipt = Receipt {
            facts: Facts::of(&seal.body, self.now),
            kind: match rejected {
                None => Kind::Verified(signer),
                Some(reason) => Kind::Rejected(signer, reason),
            },
        };
        let mut note = receipt.note().map_err(|_| Error::Internal("a receipt"))?;
        note.sign_as("dk", self.device);
        let request = ReceiptRequest {
            opening: self.opening,
            receipt: note.to_string(),
        };
        let answer = api.post_receipt(transfer, &request).await?;
        let signed = verify::countersigned(&answer.receipt, api.at(), seal)?;
        if signed.note().text() != note.text() {
            return Err(Error::Receipt("it is another receipt than the one that was posted"));
        }
        Ok(answer.receipt)
    }
}

/// Where the files go.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The folder.
    pub(crate) target: &'a Path,
    /// Keep the transfer sealed as well.
    pub(crate) keep_sealed: Option<&'a KeepSealed>,
}

/// Fetches the payload of an opened transfer, verifies all of it, and only then gives the files their names.
pub(crate) async fn fetch_and_place(
    api: &Arc<Api>,
    opener: Opener,
    place: Place<'_>,
    progress: Arc<dyn Progress>,
) -> Result<(Opener, Vec<PathBuf>), Error> {
    let envelope = opener.envelope().envelope();
    let transfer = envelope.header.transfer_id;
    let layout = opener.layout()?;
    let leaves_len = usize::try_from(layout.segments() * 32).map_err(|_| Reason::Leaves)?;
    let leaf_list = api.leaf_list(&transfer, leaves_len).await?;
    let mut staging = Staging::create(place.target, &transfer)?;
    let keep = place.keep_sealed;
    let mut container = keep.map(|keep| ContainerWriter::create(keep, envelope)).transpose()?;

    progress.start(layout.stored_len());
    let (parts, taken) = tokio::sync::mpsc::channel(1);
    let told = Arc::clone(&progress);
    let worker = tokio::task::spawn_blocking(move || {
        let container_ref = container.as_mut();
        download::unpack(&opener, &leaf_list, taken, &mut staging, container_ref, &*told)?;
        let paths = staging.place(&opener.manifest().files)?;
        if let Some(container) = container {
            container.finish(opener.envelope().envelope(), opener.secrets().share())?;
        }
        Ok::<_, Error>((opener, paths))
    });
    let fetched = download::fetch(api, transfer, layout, BufferPool::new(DOWNLOADS + 1), parts).await;
    let unpacked = worker
        .await
        .map_err(|_| Error::Internal("the opening thread stopped"))?;
    progress.finish();
    // A failed download makes the worker stop too; the download's error is the one to tell.
    fetched?;
    unpacked
}

/// The files of an opened transfer, where they were put.
pub(crate) fn files_at(opener: &Opener, paths: Vec<PathBuf>) -> Vec<ReceivedFile> {
    let entries = opener.manifest().files.iter().zip(paths);
    let files = entries.map(|(entry, path)| ReceivedFile {
        name: entry.name.clone(),
        path,
        len: entry.len,
    });
    files.collect()
}

/// Sends receipts that could not be sent when the files were put in place, signed anew.
///
/// # Errors
/// [`Error`].
pub async fn deliver_receipt(session: &Session, summary: &TransferSummary) -> Result<(), Error> {
    let (header, seal) = verify::pieces(summary)?;
    let record = ReceivedRecord::get(&session.state, &Hash::from_bytes(header.hash()))?;
    let Some(mut record) = record.filter(|record| record.progress == Stage::Placed) else {
        return Ok(());
    };
    record.receipt = Some(post_receipt(session, &record, &seal, None).await?);
    record.progress = Stage::Receipted;
    record.put(&session.state, &session.env)
}

/// Whether this client has received the transfer of this header hash before.
///
/// # Errors
/// [`Error`].
pub fn is_received(session: &Session, hh: &Hash) -> Result<bool, Error> {
    let record = ReceivedRecord::get(&session.state, hh)?;
    Ok(record.is_some_and(|record| record.is_received()))
}

/// Refuses a target that is not a folder.
///
/// # Errors
/// [`Error::Input`].
pub fn check_target(target: &Path) -> Result<(), Error> {
    if target.exists() && !target.is_dir() {
        return Err(Error::Input(format!(
            "{} is not a folder; name one with --into.",
            target.display()
        )));
    }
    Ok(())
}
