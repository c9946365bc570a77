//! Sending once under a key of the caller: whoever runs it again, after whatever end of the first run, does not send twice.
//!
//! A sealed record of the key, with the transfer's id, is durable before anything goes out. From then on the key stands for that
//! transfer: a rerun goes on with it, asks the gateway what became of it, or says that it was sent. Only what certainly never left, or
//! what was refused for good and is unknown to the gateway, frees the key. Keys are not secrets, but may name patients: only keyed
//! hashes of them are file names.

use std::fs::File;
use std::sync::Arc;

use sealpost_proto::crypto::{kdf, sha256};
use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Address, Hash, TransferId};
use serde::{Deserialize, Serialize};

use super::state::{self, Kept, Sending};
use super::{Draft, Sent, Taken, hand_over, prepare_as, resume};
use crate::error::Error;
use crate::platform;
use crate::progress::Progress;
use crate::records::SentRecord;
use crate::resume::begun::Found;
use crate::session::Session;

/// Longest key, in bytes.
pub const MAX_ONCE_KEY: usize = 512;

/// The folder of keys.
const ONCE: &str = "once";

/// What is kept of a key, for as long as the record of its transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct OnceRecord {
    transfer: TransferId,
    /// Over contents and recipients.
    fingerprint: Hash,
}

/// What a key came to.
#[derive(Debug)]
pub(super) enum Once {
    /// It was sent in an earlier run, and that has been checked then.
    Before(Sent),
    /// The gateway has just signed for it.
    Taken {
        taken: Taken,
        /// The gateway had taken it in an earlier run, whose answer was lost.
        was_sent: bool,
    },
}

/// Sends `draft` unless it was sent under `key` before. Also returns whether it was.
///
/// A run that was interrupted is gone on with. While another process works on the same key, this one waits for it.
///
/// # Errors
/// [`Error::OtherUnderKey`] when something else was begun or sent under this key, [`Error::Input`] for a key that is empty or too long,
/// or as of [`super::send`].
pub async fn once(
    session: &mut Session,
    key: &str,
    draft: Draft,
    progress: Arc<dyn Progress>,
) -> Result<(Sent, bool), Error> {
    let key = OnceKey::lock(session, key).await?;
    let (draft, fingerprint) = fingerprinted(draft).await?;
    if let Some(sent) = key.sent_before(session, &draft, fingerprint)? {
        return Ok((sent, true));
    }
    session.update_and_check().await?;
    match key.run(session, draft, fingerprint, &progress).await? {
        Once::Before(sent) => Ok((sent, true)),
        Once::Taken { taken, was_sent } => Ok((taken.check(session).await?, was_sent)),
    }
}

/// The same where the directory is brought up to date by whoever calls.
pub(super) async fn once_in(
    session: &Session,
    key: &str,
    draft: Draft,
    progress: &Arc<dyn Progress>,
) -> Result<Once, Error> {
    let key = OnceKey::lock(session, key).await?;
    let (draft, fingerprint) = fingerprinted(draft).await?;
    match key.sent_before(session, &draft, fingerprint)? {
        Some(sent) => Ok(Once::Before(sent)),
        None => key.run(session, draft, fingerprint, progress).await,
    }
}

/// What was sent under `key`, if something was; nothing goes out.
///
/// # Errors
/// As [`once`].
pub async fn sent_under(session: &Session, key: &str, draft: Draft) -> Result<(Draft, Option<Sent>), Error> {
    let key = OnceKey::lock(session, key).await?;
    let (draft, fingerprint) = fingerprinted(draft).await?;
    let sent = key.sent_before(session, &draft, fingerprint)?;
    Ok((draft, sent))
}

/// A key, held by this process alone.
struct OnceKey {
    /// Its keyed hash.
    name: String,
    _lock: File,
}

impl OnceKey {
    /// Waits until no other process works on this key. Keys share 256 locks, of which nobody holds two.
    async fn lock(session: &Session, key: &str) -> Result<Self, Error> {
        if key.is_empty() || key.len() > MAX_ONCE_KEY {
            return Err(Error::Input(format!(
                "The key of --once has {} bytes; give 1 to {MAX_ONCE_KEY}.",
                key.len()
            )));
        }
        let hash = kdf::<32>(
            session.account.state_key.as_bytes(),
            &[],
            &[b"sealpost/v1/once\0", key.as_bytes()],
        );
        let name = hex(&*hash);
        let folder = session.home.path().join(ONCE);
        let path = folder.join(format!("{}.lock", name.get(..2).unwrap_or_default()));
        let locked = tokio::task::spawn_blocking(move || {
            let file = platform::create_private_dir(&folder).and_then(|()| platform::open_private(&path));
            let locked = file.and_then(|file| file.lock().map(|()| file));
            locked.map_err(|error| Error::file("lock", &path, error))
        });
        let lock = locked.await.map_err(|_| Error::Internal("waiting for a key"))??;
        Ok(Self { name, _lock: lock })
    }

    fn record(&self, session: &Session) -> Result<Option<OnceRecord>, Error> {
        session.state.get(ONCE, &self.name)
    }

    fn put(&self, session: &Session, record: &OnceRecord) -> Result<(), Error> {
        session.state.put(ONCE, &self.name, record, &session.env)
    }

    /// What was sent under the key, as far as this device can tell without asking.
    fn sent_before(&self, session: &Session, draft: &Draft, fingerprint: Hash) -> Result<Option<Sent>, Error> {
        let Some(record) = self.record(session)? else {
            return Ok(None);
        };
        let sent = SentRecord::get(&session.state, &record.transfer)?;
        let Some(sent) = sent.filter(|sent| sent.accepted.is_some()) else {
            return Ok(None);
        };
        record.check(fingerprint)?;
        Ok(Some(hand_over::sent_before(sent, draft.input.total())))
    }

    async fn run(
        &self,
        session: &Session,
        draft: Draft,
        fingerprint: Hash,
        progress: &Arc<dyn Progress>,
    ) -> Result<Once, Error> {
        let Some(record) = self.record(session)? else {
            return self.begin(session, None, draft, fingerprint, progress).await;
        };
        match state::open(&session.state, &record.transfer)? {
            Some((Found::Busy(_), _)) => Err(Error::Busy(record.transfer)),
            Some((Found::Free(sending), kept)) => {
                record.check(fingerprint)?;
                go_on(session, sending, kept, draft, progress).await
            }
            None => self.look(session, record, draft, fingerprint, progress).await,
        }
    }

    /// Nothing unfinished is kept: if a request to seal may have gone out, the gateway knows.
    async fn look(
        &self,
        session: &Session,
        record: OnceRecord,
        draft: Draft,
        fingerprint: Hash,
        progress: &Arc<dyn Progress>,
    ) -> Result<Once, Error> {
        let Some(sent) = SentRecord::get(&session.state, &record.transfer)? else {
            return self.begin(session, None, draft, fingerprint, progress).await;
        };
        match hand_over::look_up(session, sent, draft.input.total()).await? {
            Some(taken) => {
                record.check(fingerprint)?;
                Ok(Once::Taken { taken, was_sent: true })
            }
            // Under the same id: of two transfers with one id a gateway never takes both.
            None => {
                let id = record.transfer;
                let begun = self.begin(session, Some(id), draft, fingerprint, progress).await;
                if matches!(begun, Err(Error::TooLate(_))) && hand_over::is_unknown(session, &id).await {
                    // The gateway takes nothing more under this id, and never took it: the next run draws another.
                    SentRecord::forget(&session.state, &id)?;
                }
                begun
            }
        }
    }

    /// Begins to send. The record is durable before anything goes out, and is not written for what cannot be sent at all.
    async fn begin(
        &self,
        session: &Session,
        transfer: Option<TransferId>,
        draft: Draft,
        fingerprint: Hash,
        progress: &Arc<dyn Progress>,
    ) -> Result<Once, Error> {
        let transfer = transfer.unwrap_or_else(|| TransferId::from_bytes(session.env.draw()));
        let prepared = prepare_as(session, transfer, draft)?;
        self.put(session, &OnceRecord { transfer, fingerprint })?;
        let taken = prepared.run(session, progress).await?;
        Ok(Once::Taken { taken, was_sent: false })
    }
}

/// Goes on with what an earlier run left, which has the same contents.
async fn go_on(
    session: &Session,
    sending: Sending,
    kept: Kept,
    draft: Draft,
    progress: &Arc<dyn Progress>,
) -> Result<Once, Error> {
    let was_sent = match &kept.seal {
        Some(_) => session.api.transfer(&sending.head.transfer).await.is_ok(),
        None => false,
    };
    let (taken, _) = resume::go_on(session, sending, kept, Some(draft.input), progress).await?;
    Ok(Once::Taken { taken, was_sent })
}

impl OnceRecord {
    /// Refuses to take one thing for another.
    fn check(&self, fingerprint: Hash) -> Result<(), Error> {
        if self.fingerprint == fingerprint {
            return Ok(());
        }
        Err(Error::OtherUnderKey(self.transfer))
    }
}

/// Reads all files once, on a thread of its own.
async fn fingerprinted(draft: Draft) -> Result<(Draft, Hash), Error> {
    let read = tokio::task::spawn_blocking(move || {
        let fingerprint = fingerprint(&draft)?;
        Ok((draft, fingerprint))
    });
    read.await.map_err(|_| Error::Internal("reading the files"))?
}

/// All that makes two sends the same: files, texts, recipients and rules. Times are not among it: a rerun comes later.
#[derive(Serialize)]
struct Same<'a> {
    files: Vec<(&'a str, u64, Hash)>,
    recipients: Vec<&'a str>,
    subject: &'a Option<String>,
    note: &'a Option<String>,
    patients: Vec<(&'a str, &'a str)>,
    purpose: &'a str,
    openings: Option<u32>,
    public_label: Option<sealpost_proto::api::PublicLabel>,
    no_forward: bool,
    reply_to: Option<TransferId>,
}

fn fingerprint(draft: &Draft) -> Result<Hash, Error> {
    let files = draft.input.files.iter();
    let files: Result<Vec<_>, Error> = files
        .map(|file| Ok((file.name.as_str(), file.len, file.digest()?)))
        .collect();
    let mut recipients: Vec<&str> = draft.recipients.iter().map(Address::as_str).collect();
    recipients.sort_unstable();
    recipients.dedup();
    let patients = draft.patients.iter();
    let same = Same {
        files: files?,
        recipients,
        subject: &draft.subject,
        note: &draft.note,
        patients: patients.map(|one| (one.system.as_str(), one.value.as_str())).collect(),
        purpose: &draft.purpose,
        openings: draft.openings,
        public_label: draft.public_label,
        no_forward: draft.no_forward,
        reply_to: draft.reply_to,
    };
    let bytes = serde_json::to_vec(&same).map_err(|_| Error::Internal("a fingerprint"))?;
    Ok(Hash::from_bytes(sha256(&[&bytes])))
}
