//! Sending: check the recipients' keys, seal, upload, hand over the seal, and believe only the gateway's signed receipt.
//!
//! One thread reads and seals; parts are uploaded in parallel from a fixed set of buffers. A transfer of one small part goes in a
//! single request. If a file changes on the way, nothing is sealed, so nobody ever sees half a transfer. What is needed to go on after
//! an interruption lies sealed in the client's folder from before the first byte goes up until the gateway has signed.

mod batch;
mod files;
mod hand_over;
mod once;
mod resume;
mod spool;
pub(crate) mod state;
mod upload;
pub(crate) mod work;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_proto::api::{MAX_INLINE_PART, PublicLabel, SealOptions};
use sealpost_proto::id::{Address, Hash, TransferId};
use sealpost_proto::sealed::{MAX_STANZAS, Role};
use sealpost_sealed::{
    Disclosure, FAST, ManifestDraft, Patient, Recipient, SealError, Sealer, TransferDraft, TransferSecrets,
};

pub use batch::{Done, Item, batch};
pub use files::{Input, InputFile};
pub use once::{MAX_ONCE_KEY, once, sent_under};
pub use resume::{Resumed, discard, resume};
pub use spool::Spool;

use crate::env::Env;
use crate::error::Error;
use crate::link::DrawnLink;
use crate::progress::Progress;
use crate::records::SentTo;
use crate::session::Session;
use crate::verify::Accepted;
use state::{KeptDraft, Sending, SendingRecord};
use work::SealedPayload;

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
    /// A link for somebody without an account.
    pub link: Option<DrawnLink>,
    /// The transfer that this one answers.
    pub reply_to: Option<TransferId>,
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
    /// The link, with its words: told once, and kept nowhere.
    pub link: Option<DrawnLink>,
}

/// Sends. The gateway's receipt has been verified when this returns.
///
/// # Errors
/// [`Error`]; [`Error::Unfinished`] and [`Error::PerhapsSent`] when [`resume`] can go on with it.
pub async fn send(session: &mut Session, draft: Draft, progress: Arc<dyn Progress>) -> Result<Sent, Error> {
    session.update_and_check().await?;
    let transfer = TransferId::from_bytes(session.env.draw());
    let taken = prepare_as(session, transfer, draft)?.run(session, &progress).await?;
    taken.check(session).await
}

/// What would be sent.
#[derive(Debug, Clone)]
pub struct Checked {
    /// For whom, each once.
    pub recipients: Vec<Address>,
    /// Bytes of all files.
    pub total: u64,
    /// Until when it could be opened.
    pub expires_at: u64,
}

/// Checks all that can be checked without sending: that the files can be read, names and limits, and the recipients' keys in the
/// directory of now. Nothing is kept, and nothing goes out.
///
/// # Errors
/// What [`send`] would refuse.
pub fn check(session: &Session, draft: Draft) -> Result<Checked, Error> {
    for file in &draft.input.files {
        file.check_readable()?;
    }
    let (sealer, _, recipients) = prepare(session, TransferId::from_bytes(session.env.draw()), draft)?;
    Ok(Checked {
        recipients: recipients.into_iter().map(|to| to.address).collect(),
        total: sealer.total(),
        expires_at: sealer.header().expires_at,
    })
}

/// A transfer that the gateway has accepted by a verified receipt, which is kept. What the receipt says of the directory is still to
/// be looked at, which may need the directory to be brought up to date.
#[derive(Debug)]
pub(crate) struct Taken {
    sent: Sent,
    accepted: Accepted,
}

impl Taken {
    /// Refuses a receipt that names another directory than this device sees.
    pub(crate) async fn check(self, session: &mut Session) -> Result<Sent, Error> {
        if self.needs_update(session) {
            session.update().await?;
        }
        self.check_in(session)
    }

    /// Whether the directory has grown since this session brought it up to date.
    fn needs_update(&self, session: &Session) -> bool {
        self.accepted.directory_size > session.mirror.size()
    }

    fn check_in(self, session: &Session) -> Result<Sent, Error> {
        self.accepted.check_directory(&session.mirror)?;
        Ok(self.sent)
    }
}

/// A transfer that is ready to go out: recipients and limits are checked, and nothing has been kept or sent.
pub(crate) struct Prepared {
    input: Input,
    transfer: Transfer,
}

impl Prepared {
    /// Sends it.
    async fn run(self, session: &Session, progress: &Arc<dyn Progress>) -> Result<Taken, Error> {
        let Self { input, transfer } = self;
        let stored_len = transfer.sealer.layout().stored_len();
        progress.start(stored_len);
        if stored_len <= MAX_INLINE_PART as u64 {
            let (payload, part) = upload::seal_small(session, &transfer.sealer, input, progress).await?;
            return transfer.hand_over(session, None, &payload, &part, progress).await;
        }
        let sending = transfer.keep(session, &input)?;
        let stored = BTreeMap::new();
        let uploaded = upload::upload_all(session, &transfer.sealer, input, sending.clone(), stored, progress);
        let payload = match uploaded.await {
            Ok(payload) => payload,
            Err(error) => return Err(resume::interrupted(sending, error)?),
        };
        transfer.hand_over(session, sending, &payload, &[], progress).await
    }
}

/// A transfer on its way, with everything that the seal and the record of it need.
struct Transfer {
    sealer: Arc<Sealer>,
    options: SealOptions,
    recipients: Vec<SentTo>,
    link: Option<DrawnLink>,
    directory_size: u64,
}

/// The state of an unfinished send, shared with the tasks that upload; whoever ends the send takes it from all of them.
#[derive(Debug, Clone)]
struct SharedSending(Arc<Mutex<Option<Sending>>>);

impl SharedSending {
    fn new(sending: Sending) -> Self {
        Self(Arc::new(Mutex::new(Some(sending))))
    }

    fn take(&self) -> Option<Sending> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Writes down what was done, durably. Blocks the thread.
    fn append(&self, record: &SendingRecord, env: &Env) -> Result<(), Error> {
        let mut sending = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sending.as_mut().map_or(Ok(()), |sending| sending.append(record, env))
    }
}

impl Transfer {
    /// Keeps all that is needed to go on after an interruption; nothing if the input cannot be read a second time.
    fn keep(&self, session: &Session, input: &Input) -> Result<Option<SharedSending>, Error> {
        let (options, recipients) = (self.options.clone(), self.recipients.clone());
        let Some(draft) = KeptDraft::new(&self.sealer, input, options, recipients, self.directory_size) else {
            return Ok(None);
        };
        let head = state::head_of(&self.sealer, &self.recipients, self.link.as_ref());
        let sending = state::begin(
            &session.state,
            &session.env,
            head,
            &SendingRecord::Draft(Box::new(draft)),
        )?;
        Ok(Some(SharedSending::new(sending)))
    }

    /// The commit point: seals manifest and transfer, keeps the request with the record of it, and hands it over.
    async fn hand_over(
        self,
        session: &Session,
        sending: Option<SharedSending>,
        payload: &SealedPayload,
        part: &[u8],
        progress: &Arc<dyn Progress>,
    ) -> Result<Taken, Error> {
        let seal = hand_over::request(session, &self.sealer, payload, part, self.options)?;
        let link = self.link.as_ref();
        hand_over::record(&self.sealer, &self.recipients, link, self.directory_size)
            .put(&session.state, &session.env)?;
        let record = SendingRecord::Seal(seal);
        let sending = match sending.and_then(|sending| sending.take()) {
            Some(mut sending) => {
                sending.append(&record, &session.env)?;
                sending
            }
            None => {
                let head = state::head_of(&self.sealer, &self.recipients, link);
                state::begin(&session.state, &session.env, head, &record)?
            }
        };
        let SendingRecord::Seal(seal) = record else {
            return Err(Error::Internal("a request to seal"));
        };
        hand_over::hand_over(session, sending, seal, progress).await
    }
}

/// All of a transfer that can be had without reading a file, under an id that was drawn before.
fn prepare_as(session: &Session, transfer: TransferId, draft: Draft) -> Result<Prepared, Error> {
    let link = draft.link.clone();
    let mut options = SealOptions {
        links: Vec::new(),
        openings: draft.openings,
        public_label: draft.public_label,
    };
    let (sealer, input, recipients) = prepare(session, transfer, draft)?;
    if let Some(link) = &link {
        options.links.push(link.registration(sealer.block())?);
    }
    let transfer = Transfer {
        sealer: Arc::new(sealer),
        options,
        recipients,
        link,
        directory_size: session.mirror.size(),
    };
    Ok(Prepared { input, transfer })
}

/// Checks every recipient's key, and makes header and stanzas. Also returns to whom it is sealed.
pub(crate) fn prepare(
    session: &Session,
    transfer_id: TransferId,
    draft: Draft,
) -> Result<(Sealer, Input, Vec<SentTo>), Error> {
    let (account, env) = (&session.account, &session.env);
    let now = env.now();
    let (mut recipients, sent_to) = recipients(session, &draft.recipients, now)?;
    if let Some(link) = &draft.link {
        recipients.push(Recipient::Link { key: link.key()? });
    }
    check_number(&sent_to, draft.link.as_ref())?;
    let terms = TransferDraft {
        transfer_id,
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
        reply_to: draft.reply_to.map(|transfer| transfer.to_string()),
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
    if kids.insert(own_key.kid()) {
        recipients.push(Recipient::Key {
            key: own_key.clone(),
            role: Role::SenderCopy,
        });
    }
    Ok((recipients, sent_to))
}

/// Room is left for the sender's own copy.
fn check_number(sent_to: &[SentTo], link: Option<&DrawnLink>) -> Result<(), Error> {
    let number = sent_to.len() + usize::from(link.is_some());
    if (1..MAX_STANZAS).contains(&number) {
        return Ok(());
    }
    Err(Error::Input(
        "A transfer needs 1 to 255 recipients; name each with --to, or add --link for somebody without an account."
            .to_owned(),
    ))
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

/// What the user named is wrong, or the library failed.
fn seal_error(error: SealError) -> Error {
    match error {
        SealError::Crypto(_) => Error::Internal("sealing"),
        other => Error::Input(other.to_string()),
    }
}
