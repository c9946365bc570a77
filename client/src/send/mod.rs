//! Sending: check the recipients' keys, seal, upload, hand over the seal, and believe only the gateway's signed receipt.
//!
//! One thread reads and seals; parts are uploaded in parallel from a fixed set of buffers. A transfer of one small part goes in a
//! single request. If a file changes on the way, nothing is sealed, so nobody ever sees half a transfer.

mod files;
mod spool;
pub(crate) mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::api::{AnnounceRequest, MAX_INLINE_PART, PublicLabel, SealOptions};
use sealpost_proto::id::{Address, Hash, TransferId};
use sealpost_proto::seal_request::SealRequest;
use sealpost_proto::sealed::{MAX_STANZAS, Role};
use sealpost_sealed::{
    Disclosure, FAST, ManifestDraft, Patient, Recipient, SealError, Sealer, TransferDraft, TransferSecrets,
};
use tokio::task::JoinSet;

pub use files::{Input, InputFile};
pub use spool::Spool;

use crate::api::{Api, ApiError};
use crate::error::Error;
use crate::progress::Progress;
use crate::records::{KeptSecret, SentRecord, SentTo};
use crate::session::Session;
use crate::verify::Accepted;
use work::{SealedPart, SealedPayload};

/// Parts that are on their way at once; one more is being sealed.
const UPLOADS: usize = 3;

/// Disclosures under these purposes need no accounting (45 CFR 164.528(a)(1)(i)): treatment, payment, operations.
const EXEMPT_PURPOSES: [&str; 4] = ["TREAT", "ETREAT", "HPAYMT", "HOPERAT"];

/// What the user wants to send, and how.
#[derive(Debug)]
pub struct Draft {
    /// The files.
    pub input: Input,
    /// For whom.
    pub recipients: Vec<Address>,
    /// One line.
    pub subject: Option<String>,
    /// A message.
    pub note: Option<String>,
    /// Whom it is about.
    pub patients: Vec<Patient>,
    /// HL7 v3 PurposeOfUse.
    pub purpose: String,
    /// Seconds until it expires.
    pub lifetime: u64,
    /// How often each recipient may open it.
    pub openings: Option<u32>,
    /// What the gateway may know of the contents.
    pub public_label: Option<PublicLabel>,
    /// Ask the recipients not to forward it.
    pub no_forward: bool,
}

/// A transfer that the gateway has accepted.
#[derive(Debug, Clone)]
pub struct Sent {
    /// Its id.
    pub transfer: TransferId,
    /// Its header hash.
    pub hh: Hash,
    /// Bytes of all files.
    pub total: u64,
    /// Until when it can be opened.
    pub expires_at: u64,
    /// For whom.
    pub recipients: Vec<Address>,
}

/// Sends. The gateway's receipt has been verified when this returns.
///
/// # Errors
/// [`Error`].
pub async fn send(session: &mut Session, draft: Draft, progress: Arc<dyn Progress>) -> Result<Sent, Error> {
    session.update_and_check().await?;
    let options = SealOptions {
        links: Vec::new(),
        openings: draft.openings,
        public_label: draft.public_label,
    };
    let files = draft.input.drafts().into_iter().map(|file| file.name).collect();
    let (sealer, input, recipients) = prepare(session, draft)?;
    let sealer = Arc::new(sealer);
    let transfer = sealer.header().transfer_id;
    progress.start(sealer.layout().stored_len());
    let stored = sealer.layout().stored_len();
    let is_small = stored <= MAX_INLINE_PART as u64;
    if !is_small {
        let announce = AnnounceRequest {
            transfer,
            bytes: stored,
        };
        session
            .api
            .announce(&announce)
            .await
            .map_err(Error::from)
            .map_err(not_sent)?;
    }
    let uploaded = seal_and_upload(session, &sealer, input, is_small, &progress).await;
    let (payload, inline) = uploaded.map_err(not_sent)?;
    let record = SentRecord {
        transfer,
        hh: Hash::from_bytes(sealer.header().hash()),
        recipients,
        directory_size: session.mirror.size(),
        files,
        expires_at: sealer.header().expires_at,
        accepted: None,
        verified: BTreeMap::new(),
        share: sealer.secrets().share().map(KeptSecret::new),
    };
    hand_over(session, &sealer, &payload, &inline, options, record).await
}

/// Checks every recipient's key, and makes header and stanzas. Also returns to whom it is sealed.
pub(crate) fn prepare(session: &Session, draft: Draft) -> Result<(Sealer, Input, Vec<SentTo>), Error> {
    let (account, env) = (&session.account, &session.env);
    let now = env.now();
    let (recipients, sent_to) = recipients(session, &draft.recipients, now)?;
    let terms = TransferDraft {
        transfer_id: TransferId::from_bytes(env.draw()),
        audience: account.at.gateway.audience(),
        sender_identity: Some(account.identity.public()),
        sender_device: account.device.public(),
        created_at: now,
        expires_at: now + draft.lifetime,
        no_forward: draft.no_forward,
    };
    let manifest = ManifestDraft {
        subject: draft.subject,
        note: draft.note,
        patients: draft.patients,
        disclosure: disclosure(&draft.purpose),
        purpose: draft.purpose,
        reply_to: None,
        files: draft.input.drafts(),
    };
    let secrets = TransferSecrets::generate(true, &mut env.rng());
    let sealer = Sealer::new(FAST, &terms, &recipients, manifest, secrets, &mut env.rng()).map_err(seal_error)?;
    Ok((sealer, draft.input, sent_to))
}

/// One stanza for each person, and one for the sender, who can read what was sent until it expires.
fn recipients(session: &Session, addresses: &[Address], now: u64) -> Result<(Vec<Recipient>, Vec<SentTo>), Error> {
    let account = &session.account;
    let own_key = account.newest_encryption()?.key.public();
    let mut recipients = Vec::with_capacity(addresses.len() + 1);
    let mut sent_to = Vec::with_capacity(addresses.len());
    let mut kids = BTreeSet::new();
    for address in addresses {
        let member = session.mirror.recipient(account, address, now)?;
        if kids.insert(member.encryption.kid()) {
            sent_to.push(SentTo {
                address: address.clone(),
                label: member.label,
                kid: member.encryption.kid(),
            });
            recipients.push(Recipient::Key {
                key: member.encryption.clone(),
                role: Role::Recipient,
            });
        }
    }
    if recipients.is_empty() || recipients.len() >= MAX_STANZAS {
        return Err(Error::Input(
            "A transfer needs 1 to 255 recipients; name each with --to.".to_owned(),
        ));
    }
    if kids.insert(own_key.kid()) {
        recipients.push(Recipient::Key {
            key: own_key.clone(),
            role: Role::SenderCopy,
        });
    }
    Ok((recipients, sent_to))
}

fn disclosure(purpose: &str) -> Disclosure {
    let (category, basis) = if EXEMPT_PURPOSES.contains(&purpose) {
        ("treatment, payment or operations", "45 CFR 164.506")
    } else {
        ("other", "")
    };
    Disclosure {
        category: category.to_owned(),
        basis: basis.to_owned(),
    }
}

/// Seals on a thread of its own and uploads what comes from there; a small payload comes back instead.
async fn seal_and_upload(
    session: &Session,
    sealer: &Arc<Sealer>,
    input: Input,
    is_small: bool,
    progress: &Arc<dyn Progress>,
) -> Result<(SealedPayload, Bytes), Error> {
    let (parts, sealed) = tokio::sync::mpsc::channel(1);
    let worker = {
        let (sealer, rng) = (Arc::clone(sealer), session.env.rng());
        tokio::task::spawn_blocking(move || work::seal_payload(&sealer, input, rng, &parts, UPLOADS + 1))
    };
    let transfer = sealer.header().transfer_id;
    let uploaded = if is_small {
        keep(sealed, progress).await
    } else {
        upload(&session.api, transfer, sealed, progress)
            .await
            .map(|()| Bytes::new())
    };
    // When uploading failed the worker stopped for want of a taker; its error is then not the one to tell.
    let payload = worker
        .await
        .map_err(|_| Error::Internal("the sealing thread stopped"))?;
    progress.finish();
    let inline = uploaded?;
    Ok((payload?, inline))
}

async fn keep(
    mut sealed: tokio::sync::mpsc::Receiver<SealedPart>,
    progress: &Arc<dyn Progress>,
) -> Result<Bytes, Error> {
    let mut kept = Bytes::new();
    while let Some(part) = sealed.recv().await {
        progress.advance(part.bytes.len() as u64);
        kept = part.bytes;
    }
    Ok(kept)
}

async fn upload(
    api: &Arc<Api>,
    transfer: TransferId,
    mut sealed: tokio::sync::mpsc::Receiver<SealedPart>,
    progress: &Arc<dyn Progress>,
) -> Result<(), Error> {
    let mut uploads: JoinSet<Result<(), Error>> = JoinSet::new();
    while let Some(part) = sealed.recv().await {
        while uploads.len() >= UPLOADS {
            finish_one(&mut uploads).await?;
        }
        let (api, progress) = (Arc::clone(api), Arc::clone(progress));
        uploads.spawn(async move {
            let len = part.bytes.len() as u64;
            api.put_part(&transfer, part.number, part.root, part.bytes).await?;
            progress.advance(len);
            Ok(())
        });
    }
    while !uploads.is_empty() {
        finish_one(&mut uploads).await?;
    }
    Ok(())
}

async fn finish_one(uploads: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    match uploads.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(Error::Internal("an upload stopped")),
        None => Ok(()),
    }
}

/// The commit point: seals manifest and transfer, hands them over, and verifies what the gateway signs in return.
async fn hand_over(
    session: &mut Session,
    sealer: &Sealer,
    payload: &SealedPayload,
    inline: &Bytes,
    options: SealOptions,
    mut record: SentRecord,
) -> Result<Sent, Error> {
    let (account, env) = (&session.account, &session.env);
    let manifest_box = sealer
        .seal_manifest(&payload.digests, &mut env.rng())
        .map_err(seal_error)?;
    let sealed_at = env.now().max(sealer.header().created_at);
    let seal = sealer
        .seal(&account.device, &manifest_box, &payload.leaves, sealed_at)
        .map_err(seal_error)?;
    let body = SealRequest {
        options,
        header: &sealer.header().to_bytes(),
        block: &sealer.block().to_bytes(),
        manifest_box: &manifest_box,
        seal: &seal.to_bytes(),
        share: sealer.secrets().share().map_or(&[], |share| &share[..]),
        part: inline,
    };
    record.put(&session.state, env)?;
    let answer = match session.api.seal(&record.transfer, &body).await {
        Ok(answer) => answer,
        Err(error) => {
            if error.is_definite_refusal() {
                record.remove(&session.state)?;
            }
            return Err(match error {
                ApiError::Unreachable(_) => Error::PerhapsSent(error),
                other => other.into(),
            });
        }
    };
    let accepted = Accepted::read(&answer.receipt, &account.at, &seal)?.check_not_before(record.directory_size)?;
    record.accepted = Some(answer.receipt);
    record.put(&session.state, env)?;
    if accepted.directory_size > session.mirror.size() {
        session.update().await?;
    }
    accepted.check_directory(&session.mirror)?;
    Ok(Sent {
        transfer: record.transfer,
        hh: record.hh,
        total: sealer.total(),
        expires_at: record.expires_at,
        recipients: record.recipients.into_iter().map(|to| to.address).collect(),
    })
}

/// Before the seal nothing exists for anybody; says so where the gateway went away.
fn not_sent(error: Error) -> Error {
    match error {
        Error::Api(error @ ApiError::Unreachable(_)) => Error::NotSent(error),
        other => other,
    }
}

/// What the user named is wrong, or the library failed.
fn seal_error(error: SealError) -> Error {
    match error {
        SealError::Crypto(_) => Error::Internal("sealing"),
        other => Error::Input(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_that_went_away_got_nothing() {
        let told = not_sent(ApiError::Unreachable("https://gw.example: gone".to_owned()).into()).to_string();
        assert!(
            told.contains("https://gw.example") && told.contains("Nothing was sent"),
            "{told}"
        );
        let refused = not_sent(ApiError::WrongKey.into());
        assert!(matches!(refused, Error::Api(ApiError::WrongKey)), "{refused}");
    }
}
