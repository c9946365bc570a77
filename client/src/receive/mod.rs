//! Receiving, in the order of security.md 3.8: every check before a file gets its name, then a signed receipt.
//!
//! The opening is drawn and kept here before the gateway is asked, so that a second try after a crash repeats it and is not
//! counted; what was verified by then stays in staging and is not fetched again. A transfer that fails a check leaves nothing behind
//! but a *rejected* receipt.

mod again;
mod download;
mod fetch;
mod keep;
mod receipts;
mod recorder;
mod resume;
mod staging;
pub(crate) mod state;
#[cfg(test)]
pub(crate) mod tests;
mod visit;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::api::{OpenRequest, OpenResponse, TransferSummary};
use sealpost_proto::id::{Address, Hash, Label, TransferId};
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::{Envelope, Header, MAX_BOX_LEN, Reason, Seal, VerifiedEnvelope};
use sealpost_sealed::{FAST, Manifest, OpenWith, Opener, unwrap_secret};
use zeroize::Zeroizing;

pub use keep::{KeepSealed, write_digits};
pub(crate) use receipts::Receiver;
pub use receipts::{deliver_receipt, deliver_receipts};
pub use resume::{discard, resume};
pub(crate) use resume::{expire, forget_finished, is_over, place_pulled, pulled};
pub(crate) use visit::{Visiting, is_staged, remove_unopened};

use crate::error::Error;
use crate::progress::Progress;
use crate::records::ReceivedRecord;
use crate::resume::patience::persist;
use crate::session::Session;
use crate::verify::{self, Accepted};
use fetch::{Place, Resumable};
use state::{Pulled, Receiving, ReceivingHead, Staged};

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
    /// The gateway has the receipt; else it is sent with the next `receive`, `resume` or `inbox`.
    pub is_receipted: bool,
    /// Stored bytes that were staged before and not fetched again.
    pub kept_bytes: u64,
}

/// Receives one transfer. The directory has been brought up to date.
///
/// # Errors
/// [`Error`]; [`Error::Unfinished`] when [`resume`] can go on with it.
pub async fn receive(
    session: &Session,
    summary: &TransferSummary,
    options: &Options,
    progress: Arc<dyn Progress>,
) -> Result<Received, Error> {
    let kind = Try {
        is_resumed: false,
        unattended: None,
    };
    attempt(session, summary, options, kind, progress).await
}

/// What a puller writes down of a transfer whose files are in place, before this client counts it as received.
pub(crate) type Note<'a> = &'a (dyn Fn(&Received, &ReceivingHead) -> Result<(), Error> + Sync);

/// What is done for a puller beside receiving.
#[derive(Clone, Copy)]
pub(crate) struct Unattended<'a> {
    /// The sender's address, as far as it is proven.
    pub(crate) address: Option<&'a Address>,
    pub(crate) note: Note<'a>,
}

/// As [`receive`], for a puller; its note is called when the files are in place, before that is recorded: after a crash between the
/// two it is called again, so whatever it wrote down is there for every transfer that counts as received.
pub(crate) async fn receive_noting(
    session: &Session,
    summary: &TransferSummary,
    options: &Options,
    unattended: Unattended<'_>,
    progress: Arc<dyn Progress>,
) -> Result<Received, Error> {
    let kind = Try {
        is_resumed: false,
        unattended: Some(unattended),
    };
    attempt(session, summary, options, kind, progress).await
}

/// Of which kind a try is.
#[derive(Clone, Copy)]
struct Try<'a> {
    /// It makes no other opening than the one that was interrupted.
    is_resumed: bool,
    /// It is a puller's.
    unattended: Option<Unattended<'a>>,
}

/// One try.
async fn attempt(
    session: &Session,
    summary: &TransferSummary,
    options: &Options,
    kind: Try<'_>,
    progress: Arc<dyn Progress>,
) -> Result<Received, Error> {
    let is_resumed = kind.is_resumed;
    let (header, seal) = verify::pieces(summary)?;
    if header.sender_identity.is_none() {
        return Err(Error::Anonymous);
    }
    let hh = Hash::from_bytes(header.hash());
    let earlier = ReceivedRecord::get(&session.state, &hh)?;
    let is_received = earlier.as_ref().is_some_and(ReceivedRecord::is_received);
    if is_received && !options.again && !is_resumed {
        return Err(Error::AlreadyReceived(summary.transfer));
    }
    if let Some(keep) = &options.keep_sealed {
        keep.check_free()?;
    }
    if !is_resumed {
        forget_finished(session, &hh)?;
    }
    let pulled = kind.unattended.map(|by| Pulled::new(summary, by.address));
    let (receiving, staged) = resume::state_for(session, &header, options, earlier.as_ref(), pulled)?;
    let attempt = Attempt {
        session,
        summary,
        header,
        seal,
        record: resume::opened(&receiving.head),
        note: kind.unattended.map(|by| by.note),
    };
    if let Some(placing) = &staged.placing
        && let Some(paths) = again::place_again(&receiving.head, placing)?
    {
        let accepted = verify::accepted(&summary.receipt, &session.account.at, &seal, &session.mirror)?;
        let received = attempt.received(&placing.manifest, accepted, paths, seal.body.payload_len);
        return attempt.finish(received, receiving).await;
    }
    attempt.run(receiving, staged, options, is_resumed, progress).await
}

/// One try at a transfer.
struct Attempt<'a> {
    session: &'a Session,
    summary: &'a TransferSummary,
    header: Header,
    seal: Seal,
    record: ReceivedRecord,
    note: Option<Note<'a>>,
}

impl Attempt<'_> {
    async fn run(
        mut self,
        mut receiving: Receiving,
        staged: Staged,
        options: &Options,
        is_resumed: bool,
        progress: Arc<dyn Progress>,
    ) -> Result<Received, Error> {
        let opened = match self.open(&mut receiving, is_resumed, &progress).await {
            Ok(opened) => opened,
            Err(Error::Api(error)) if resume::is_end(&error, &staged, is_resumed) => {
                resume::end(self.session, receiving)?;
                return Err(error.into());
            }
            Err(Error::Api(error)) => return Err(resume::interrupted(error)),
            Err(error) => return Err(error),
        };
        self.record = resume::opened(&receiving.head);
        let resumable = Resumable {
            receiving,
            staged,
            env: self.session.env.clone(),
        };
        match self.verify_and_place(opened, options, resumable, progress).await {
            Ok((received, receiving)) => self.finish(received, receiving).await,
            Err(Error::Rejected(reason)) => {
                discard(self.session, &self.record.hh)?;
                // The person is told in any case; the sender only if the gateway takes the receipt.
                let _ = receipts::post(self.session, &self.record, &self.seal, Some(reason)).await;
                Err(reason.into())
            }
            Err(Error::Api(error)) => Err(resume::interrupted(error)),
            Err(error) => Err(error),
        }
    }

    /// Asks the gateway for its share.
    async fn open(
        &self,
        receiving: &mut Receiving,
        is_resumed: bool,
        progress: &Arc<dyn Progress>,
    ) -> Result<OpenResponse, Error> {
        let (api, transfer, hh) = (&self.session.api, self.summary.transfer, receiving.head.hh);
        let opening = receiving.head.opening;
        let request = OpenRequest { hh, opening };
        match persist(&**progress, || api.open(&transfer, &request)).await {
            Err(error) if error.kind() == Some(ProblemKind::Conflict) && is_resumed => Err(Error::Lapsed(transfer)),
            Err(error) if error.kind() == Some(ProblemKind::Conflict) => {
                resume::open_anew(self.session, receiving)?;
                let opening = receiving.head.opening;
                let request = OpenRequest { hh, opening };
                Ok(persist(&**progress, || api.open(&transfer, &request)).await?)
            }
            answer => Ok(answer?),
        }
    }

    async fn verify_and_place(
        &self,
        opened: OpenResponse,
        options: &Options,
        resumable: Resumable,
        progress: Arc<dyn Progress>,
    ) -> Result<(Received, Receiving), Error> {
        let api = &self.session.api;
        let transfer = self.summary.transfer;
        let manifest_box = persist(&*progress, || api.manifest_box(&transfer, MAX_BOX_LEN)).await?;
        let (opener, accepted) = self.open_envelope(&opened, &manifest_box)?;
        let place = Place {
            target: &options.target,
            keep_sealed: options.keep_sealed.as_ref(),
        };
        let fetched = fetch::fetch_and_place(api, opener, place, resumable, progress).await?;
        let manifest = fetched.opener.manifest();
        let received = self.received(manifest, accepted, fetched.paths, fetched.kept_bytes);
        Ok((received, fetched.receiving))
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

    fn received(&self, manifest: &Manifest, accepted: Accepted, paths: Vec<PathBuf>, kept_bytes: u64) -> Received {
        let directory = self.session.mirror.directory();
        let sender = self.header.sender_identity;
        let sender = sender.and_then(|identity| directory.member_by_identity(&identity));
        Received {
            transfer: self.summary.transfer,
            sender: sender.map(|member| member.label),
            manifest: manifest.clone(),
            files: files_at(manifest, paths),
            sealed_at: self.seal.body.sealed_at,
            accepted,
            expires_at: self.header.expires_at,
            is_receipted: false,
            kept_bytes,
        }
    }

    /// The files are in place: whoever receives unattended writes that down first, so that no crash hides it.
    async fn finish(self, mut received: Received, receiving: Receiving) -> Result<Received, Error> {
        self.placed(&received, receiving)?;
        received.is_receipted = deliver_receipt(self.session, self.summary).await.is_ok();
        Ok(received)
    }

    fn placed(&self, received: &Received, receiving: Receiving) -> Result<(), Error> {
        if let Some(note) = self.note {
            note(received, &receiving.head)?;
        }
        resume::placed(self.session, receiving)
    }
}

/// The files of an opened transfer, where they were put.
pub(crate) fn files_at(manifest: &Manifest, paths: Vec<PathBuf>) -> Vec<ReceivedFile> {
    let entries = manifest.files.iter().zip(paths);
    let files = entries.map(|(entry, path)| ReceivedFile {
        name: entry.name.clone(),
        path,
        len: entry.len,
    });
    files.collect()
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
