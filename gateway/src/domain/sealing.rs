//! Sealing: the commit point after which a transfer exists for its recipients.
//!
//! What can be checked without a key is checked here, so that no recipient is told of a transfer that every client would refuse.

use sealpost_proto::api::{MAX_LINK_OPENINGS, MAX_LINKS, MAX_SEAL_AGE, SealOptions, UNSEALED_LIFETIME};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, Kid};
use sealpost_proto::key::{Directory, TrustedDevice};
use sealpost_proto::link::link_hash;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Facts, Kind, Receipt, SignedReceipt};
use sealpost_proto::sealed::{
    Argon2Params, Envelope, LinkKdf, LinkStanza, PayloadLayout, Reason, Role, Stanza, is_box_len, share_commit,
};
use sealpost_proto::tree::tree_head;
use serde_json::{Map, Value};

use super::decision::{Data, Decision, Effects, Refusal, Requester, Stamp, ensure, object};
use super::enrolment::founded;
use super::link::LinkTerms;
use super::sealed::{EnvelopeSizes, Recipient, Sealed};
use super::transfer::{StoredPart, Transfer};
use super::uploading::layout_of;
use super::{Change, LeafDraft, Loaded, Organisation};

/// Signs the gateway's receipts: the only thing a decision asks for that is not in the state. The same receipt always gets the
/// same signature.
pub type Accept<'a> = dyn Fn(&Receipt) -> Option<SignedReceipt> + 'a;

/// A request to seal, taken apart.
#[derive(Debug, Clone)]
pub struct SealCommand {
    /// Options of the sender.
    pub options: SealOptions,
    /// Header, block, box and seal.
    pub envelope: Envelope,
    /// Lengths of the pieces of the envelope object.
    pub sizes: EnvelopeSizes,
    /// Root of the only part, if it came with the seal.
    pub inline_root: Option<Hash>,
    /// The device that signed the request.
    pub by: TrustedDevice,
    /// The gateway's own clock, unix seconds. It may be behind the ledger's stamps, which never go back.
    pub now: u64,
}

impl SealCommand {
    /// Hash of the seal, which names the envelope object.
    #[must_use]
    pub fn seal_hash(&self) -> Hash {
        seal_hash(&self.envelope.seal.to_bytes())
    }
}

/// SHA-256 of a seal's bytes.
#[must_use]
pub fn seal_hash(seal: &[u8]) -> Hash {
    Hash::from_bytes(sha256(&[seal]))
}

/// Every check of the envelope that needs no other state: audience, time, seal, sender, stanzas, share, box, lengths.
///
/// # Errors
/// `seal_refused` with the first reason that applies.
pub fn check(
    command: &SealCommand,
    audience: &[u8; 32],
    share: Option<&[u8; 32]>,
    now: u64,
) -> Result<PayloadLayout, Refusal> {
    let envelope = &command.envelope;
    let header = &envelope.header;
    header.check_audience(audience)?;
    header.check_time(now)?;
    ensure(now < header.expires_at, Reason::Expired)?;
    envelope.check_seal()?;
    let is_callers = header.sender_device == command.by.key && header.sender_identity == Some(command.by.identity);
    ensure(is_callers, Reason::Sender)?;
    envelope.block.check_as_sealed()?;
    envelope.check_stanzas()?;
    let commits = match (header.share_commit, share) {
        (Some(commit), Some(share)) => constant_time_eq(&commit, &share_commit(share)),
        (None, None) => true,
        _ => false,
    };
    ensure(commits, Reason::Share)?;
    ensure(is_box_len(envelope.manifest_box.len()), Reason::Manifest)?;
    envelope.check_box()?;
    ensure(command.options.openings != Some(0), ProblemKind::BadRequest)?;
    links(command)?;
    Ok(envelope.seal.body.layout()?)
}

/// What sealing came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealOutcome {
    /// The *accepted* receipt.
    pub receipt: String,
    /// Whether this very call sealed (else the same seal was there already).
    pub is_new: bool,
}

/// Seals a transfer whose envelope passed [`check`] and whose envelope and share are durable. The same seal again gives the same
/// answer.
///
/// # Errors
/// `not_found`, `conflict`, `already_sealed`, `part_missing`, `root_mismatch`, `unknown_recipient`, `disabled`, `clock_skew`.
pub fn seal(
    loaded: &Loaded,
    at: Stamp,
    command: &SealCommand,
    accept: &Accept<'_>,
    by: &Requester,
) -> Decision<SealOutcome> {
    let id = command.envelope.header.transfer_id;
    let organisation = founded(loaded)?;
    let directory = organisation.directory.as_ref().ok_or(ProblemKind::NotFound)?;
    let existing = loaded.transfer(&id);
    if let Some(receipt) = sealed_before(existing, command)? {
        let outcome = SealOutcome { receipt, is_new: false };
        return Ok((outcome, Effects::none()));
    }
    let device = directory.device(&command.by.key, at.seconds());
    ensure(device == Some(command.by), ProblemKind::Disabled)?;
    ensure(at.seconds() < command.envelope.header.expires_at, Reason::Expired)?;
    check_clock(command)?;
    check_payload(existing, command)?;
    let (recipients, sender_copy) = recipients(directory, command, at.seconds())?;
    let links = links(command)?;
    ensure(
        !recipients.is_empty() || !links.is_empty(),
        ProblemKind::UnknownRecipient,
    )?;
    let receipt = accepted(organisation, command, at);
    let receipt = accept(&receipt).ok_or(ProblemKind::Internal)?;
    let sealed = sealed(command, (recipients, sender_copy), links, receipt.to_string());
    let mut leaves = vec![by.did(
        EventType::TransferSealed,
        object::transfer(&id),
        leaf_data(&sealed, &receipt),
    )];
    leaves.extend(sealed.links.iter().map(|link| created(&sealed, link, by)));
    let outcome = SealOutcome {
        receipt: sealed.receipt.clone(),
        is_new: true,
    };
    let change = Change::TransferSealed {
        transfer: id,
        sender: command.by.label,
        sealed: Box::new(sealed),
    };
    let effects = Effects {
        changes: vec![change],
        leaves,
    };
    Ok((outcome, effects))
}

/// The receipt of the same seal, if it was sealed before; a different one is refused.
fn sealed_before(existing: Option<&Transfer>, command: &SealCommand) -> Result<Option<String>, Refusal> {
    let Some(transfer) = existing else {
        return Ok(None);
    };
    ensure(
        transfer.sender == command.by.label && !transfer.is_abandoned,
        ProblemKind::NotFound,
    )?;
    let Some(sealed) = &transfer.sealed else {
        return Ok(None);
    };
    let is_same = sealed.seal.0 == command.envelope.seal.to_bytes()
        && sealed.openings == command.options.openings
        && sealed.public_label == command.options.public_label
        && links(command).is_ok_and(|links| sealed.links == links);
    ensure(is_same, ProblemKind::AlreadySealed)?;
    Ok(Some(sealed.receipt.clone()))
}

/// Whether the sender states the time as it is: the seal was made just now, and the transfer begun no longer ago than an upload
/// may take. Else somebody could seal with a device that was good at an earlier time.
fn check_clock(command: &SealCommand) -> Result<(), Refusal> {
    let Envelope { header, seal, .. } = &command.envelope;
    let now = command.now;
    let is_now = seal.body.sealed_at.abs_diff(now) <= MAX_SEAL_AGE;
    let begun = now.saturating_sub(UNSEALED_LIFETIME + MAX_SEAL_AGE)..=now + MAX_SEAL_AGE;
    ensure(is_now && begun.contains(&header.created_at), ProblemKind::ClockSkew)
}

/// Whether the stored parts, or the one that came along, are what the seal signs.
fn check_payload(existing: Option<&Transfer>, command: &SealCommand) -> Result<(), Refusal> {
    let body = &command.envelope.seal.body;
    let layout = body.layout()?;
    let root = match (existing, command.inline_root) {
        (None, Some(root)) => root,
        // It was announced, so its parts come one by one; or it was not, and there is nothing to seal.
        (Some(_), Some(_)) => return Err(ProblemKind::Conflict.into()),
        (None, None) => return Err(ProblemKind::NotFound.into()),
        (Some(transfer), None) => {
            ensure(layout_of(transfer.bytes) == Some(layout), ProblemKind::RootMismatch)?;
            root_of_parts(&layout, transfer)?
        }
    };
    ensure(root.as_bytes() == &body.payload_root, ProblemKind::RootMismatch)
}

/// Payload root from part roots alone: every part but the last is a complete subtree, so the tree over the parts' roots is the
/// tree over all segments.
fn root_of_parts(layout: &PayloadLayout, transfer: &Transfer) -> Result<Hash, Refusal> {
    let stored = |number| {
        u32::try_from(number)
            .ok()
            .and_then(|number| transfer.parts.get(&number))
    };
    let roots: Option<Vec<[u8; 32]>> = (0..layout.parts())
        .map(|number| stored(number).map(|part: &StoredPart| *part.root.as_bytes()))
        .collect();
    let roots = roots.ok_or(ProblemKind::PartMissing)?;
    Ok(Hash::from_bytes(tree_head(&roots)))
}

/// Whom the stanzas are for, by the directory: everyone once, at least one, and the sender's copy only for the sender.
fn recipients(
    directory: &Directory,
    command: &SealCommand,
    now: u64,
) -> Result<(Vec<Recipient>, Option<Kid>), Refusal> {
    let mut recipients: Vec<Recipient> = Vec::new();
    let mut sender_copy = None;
    for stanza in command.envelope.block.stanzas() {
        let (Some(kid), Some(role)) = (stanza.kid(), stanza.role()) else {
            continue;
        };
        let label = directory.label_of_kid(kid).ok_or(ProblemKind::UnknownRecipient)?;
        let is_good = match role {
            // A service account keeps copies of what it sends, whether others may send to it or not.
            Role::SenderCopy => directory.current(&label, now),
            _ => directory.recipient(&label, now),
        };
        ensure(is_good.is_some(), ProblemKind::UnknownRecipient)?;
        match role {
            Role::Recipient => {
                ensure(recipients.iter().all(|r| r.label != label), Reason::Stanzas)?;
                recipients.push(Recipient { label, kid: *kid });
            }
            Role::SenderCopy if label == command.by.label && sender_copy.is_none() => sender_copy = Some(*kid),
            // Recovery and group keys are in no directory yet.
            _ => return Err(ProblemKind::UnknownRecipient.into()),
        }
    }
    Ok((recipients, sender_copy))
}

/// What is kept of the block's links, in the order of the block: each of them is registered, and nothing else.
fn links(command: &SealCommand) -> Result<Vec<LinkTerms>, Refusal> {
    let stanzas = command.envelope.block.stanzas().iter();
    let links: Result<Vec<LinkTerms>, Refusal> = stanzas
        .filter_map(|stanza| match stanza {
            Stanza::Link(stanza) => Some(link_terms(command, stanza)),
            _ => None,
        })
        .collect();
    let links = links?;
    let is_all = links.len() == command.options.links.len() && links.len() <= MAX_LINKS;
    ensure(is_all, ProblemKind::BadRequest)?;
    Ok(links)
}

fn link_terms(command: &SealCommand, stanza: &LinkStanza) -> Result<LinkTerms, Refusal> {
    let mut registered = command.options.links.iter().filter(|new| new.link == stanza.link_id);
    let (Some(new), None) = (registered.next(), registered.next()) else {
        return Err(ProblemKind::BadRequest.into());
    };
    ensure((1..=MAX_LINK_OPENINGS).contains(&new.openings), ProblemKind::BadRequest)?;
    // A link that opens without words needs the owner's permission (4.1), which no statement can give yet.
    let LinkKdf::Argon2id { params, salt } = stanza.kdf else {
        return Err(ProblemKind::Forbidden.into());
    };
    // The gateway makes up the same ones for a link that does not exist, which others could be told from.
    ensure(params == Argon2Params::DEFAULT, ProblemKind::BadRequest)?;
    Ok(LinkTerms {
        link: link_hash(&stanza.link_id),
        auth_sha256: new.auth_sha256,
        m_kib: params.m_kib(),
        t: params.t(),
        salt,
        openings: new.openings,
    })
}

fn created(sealed: &Sealed, link: &LinkTerms, by: &Requester) -> LeafDraft {
    let data = Data::default()
        .hash("hh", &sealed.hh)
        .number("openings", u64::from(link.openings))
        .done();
    by.did(EventType::LinkCreated, object::link(&link.link), data)
}

fn accepted(organisation: &Organisation, command: &SealCommand, at: Stamp) -> Receipt {
    let body = &command.envelope.seal.body;
    Receipt {
        facts: Facts::of(body, at.seconds()),
        kind: Kind::Accepted {
            directory_size: organisation.size(),
            directory_root: organisation.head(),
        },
    }
}

fn sealed(
    command: &SealCommand,
    (recipients, sender_copy): (Vec<Recipient>, Option<Kid>),
    links: Vec<LinkTerms>,
    receipt: String,
) -> Sealed {
    let Envelope { header, seal, .. } = &command.envelope;
    Sealed {
        header: Base64(header.to_bytes().to_vec()),
        seal: Base64(seal.to_bytes().to_vec()),
        hh: Hash::from_bytes(seal.body.header_hash),
        segments: seal.body.segments,
        payload_len: seal.body.payload_len,
        payload_root: Hash::from_bytes(seal.body.payload_root),
        mic: Hash::from_bytes(seal.body.box_hash),
        sealed_at: seal.body.sealed_at,
        expires_at: header.expires_at,
        share_commit: header.share_commit.map(Hash::from_bytes),
        envelope: command.sizes,
        openings: command.options.openings,
        public_label: command.options.public_label,
        recipients,
        links,
        sender_copy,
        receipt,
    }
}

fn leaf_data(sealed: &Sealed, receipt: &SignedReceipt) -> Option<Map<String, Value>> {
    Data::default()
        .hash("hh", &sealed.hh)
        .hash("root", &sealed.payload_root)
        .number("n", sealed.segments)
        .optional_hash("share_commit", sealed.share_commit.as_ref())
        .number("expires", sealed.expires_at)
        .optional_number("openings", sealed.openings.map(u64::from))
        .hash("receipt", &receipt.text_hash())
        .done()
}
