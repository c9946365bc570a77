//! What the client remembers of transfers, in sealed state files: names are health data, so nothing of this is ever in clear.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use sealpost_proto::api::TransferState;
use sealpost_proto::encoding::{hex, unhex_array};
use sealpost_proto::id::{Address, Hash, Kid, Label, LinkId, OpeningId, TransferId};
use sealpost_proto::link::link_hash;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::Error;
use crate::home::State;

const SENT: &str = "sent";
/// Records that the user has put aside: no list shows them, but they count again should the gateway show their transfers.
const ASIDE: &str = "aside";
const RECEIVED: &str = "received";

/// 32 secret bytes in a sealed record: wiped when dropped, never shown; 64 hex digits within the seal.
#[derive(Clone, PartialEq, Eq)]
pub struct KeptSecret(Zeroizing<[u8; 32]>);

impl KeptSecret {
    /// The secret made of these bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for KeptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptSecret(..)")
    }
}

impl Serialize for KeptSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(hex(self.as_bytes())))
    }
}

impl<'de> Deserialize<'de> for KeptSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let digits = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = unhex_array(&digits).map_err(de::Error::custom)?;
        Ok(Self(Zeroizing::new(bytes)))
    }
}

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

/// A link of a sent transfer. Words and secret were told once and are not here: who loses them burns the link and sends again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentLink {
    /// Its id.
    pub link: LinkId,
    /// Whether the link's text has a secret in it, so that it cannot be shown again.
    pub has_secret: bool,
    /// A visitor's *verified* receipt: once seen, it counts whatever the gateway says later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// Whether this client has burned it: a gateway that was restored is told again before the transfer is re-armed.
    #[serde(default)]
    pub is_burned: bool,
}

/// A transfer that this client sent. Of its secrets the gateway's share alone is kept, which opens nothing without a recipient's
/// key, and only for as long as the transfer may have to be armed again (security.md 3.10).
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
    /// Its links.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<SentLink>,
    /// The gateway's share, by which a gateway that lost it is armed again; none once it can serve nobody any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub share: Option<KeptSecret>,
}

impl SentRecord {
    /// Keeps the record.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn put(&self, state: &State, env: &Env) -> Result<(), Error> {
        state.put(SENT, &self.transfer.to_string(), self, env)
    }

    /// Forgets the share when nobody can need it any more: all recipients have verified, the transfer has ended, or its time is
    /// over. Says whether there was one to forget; the record is then to be put again.
    pub fn forget_share(&mut self, state: TransferState, now: u64) -> bool {
        let is_verified = |to: &SentTo| self.verified.contains_key(&to.label);
        // A link may be opened by several people, so a receipt of one of them does not end it.
        let is_for_people = !self.recipients.is_empty() && self.links.is_empty();
        let all_verified = is_for_people && self.recipients.iter().all(is_verified);
        let has_ended = match state {
            TransferState::Expired | TransferState::Revoked | TransferState::Used => true,
            TransferState::Available | TransferState::Held => now > self.expires_at,
        };
        (all_verified || has_ended) && self.share.take().is_some()
    }

    /// Notes durably, before the gateway is asked, that the sender ends a transfer: its share is forgotten, so that no restore of the
    /// gateway and no `rearm` brings it back to life.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn end(state: &State, transfer: &TransferId, env: &Env) -> Result<(), Error> {
        let Some(mut record) = Self::get(state, transfer)? else {
            return Ok(());
        };
        if record.share.take().is_none() {
            return Ok(());
        }
        record.put(state, env)
    }

    /// Notes durably, before the gateway is asked, that the sender burns one of its links; where that was the only way to open the
    /// transfer, the transfer ends with it.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn burn(state: &State, link: &Hash, env: &Env) -> Result<(), Error> {
        let (records, _) = Self::all(state)?;
        for mut record in records {
            let Some(own) = record.links.iter_mut().find(|own| link_hash(&own.link) == *link) else {
                continue;
            };
            own.is_burned = true;
            if record.recipients.is_empty() && record.links.iter().all(|own| own.is_burned) {
                record.share = None;
            }
            return record.put(state, env);
        }
        Ok(())
    }

    /// Links that this client has burned.
    pub fn burned(&self) -> impl Iterator<Item = Hash> {
        self.links
            .iter()
            .filter(|own| own.is_burned)
            .map(|own| link_hash(&own.link))
    }

    /// Forgets the record: the gateway has refused the transfer for good.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, state: &State) -> Result<(), Error> {
        Self::forget(state, &self.transfer)
    }

    /// The same by the transfer's id.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn forget(state: &State, transfer: &TransferId) -> Result<(), Error> {
        state.remove(SENT, &transfer.to_string())
    }

    /// Puts the record aside: [`Self::all`] does not list it any more.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn put_aside(&self, state: &State, env: &Env) -> Result<(), Error> {
        state.put(ASIDE, &self.transfer.to_string(), self, env)?;
        self.remove(state)
    }

    /// The record of a transfer, if this client sent it, also if it was put aside.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn get(state: &State, transfer: &TransferId) -> Result<Option<Self>, Error> {
        let name = transfer.to_string();
        match state.get(SENT, &name)? {
            None => state.get(ASIDE, &name),
            found => Ok(found),
        }
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

    /// Records of files that are in place while the gateway has no receipt. One that is damaged does not hide the others.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn without_receipt(state: &State) -> Result<Vec<Self>, Error> {
        let mut found = Vec::new();
        for name in state.names(RECEIVED)? {
            match state.get::<Self>(RECEIVED, &name) {
                Ok(record) => found.extend(record.filter(|record| record.progress == Progress::Placed)),
                Err(Error::State) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
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
                links: Vec::new(),
                share: None,
            };
            record.put(&state, &Env::system()).unwrap();
        }
        let path = state.path(SENT, &TransferId::from_bytes([1; 16]).to_string());
        std::fs::write(&path, [0; 80]).unwrap();
        let (records, damaged) = SentRecord::all(&state).unwrap();
        assert_eq!(damaged, [path]);
        assert_eq!(records.len(), 1);
        assert_eq!(records[0].transfer, TransferId::from_bytes([2; 16]));
        records[0].put_aside(&state, &Env::system()).unwrap();
        assert!(SentRecord::all(&state).unwrap().0.is_empty());
        let kept = SentRecord::get(&state, &records[0].transfer).unwrap();
        assert!(kept.is_some(), "it is put aside, not lost");
    }

    #[test]
    fn a_share_is_kept_as_long_as_it_can_serve() {
        let label = |n| Label::from_bytes([n; 32]);
        let to = |n| SentTo {
            address: "a@b.example".parse().unwrap(),
            label: label(n),
            kid: Kid::from_bytes([n; 32]),
        };
        let record = SentRecord {
            transfer: TransferId::from_bytes([1; 16]),
            hh: Hash::from_bytes([1; 32]),
            recipients: vec![to(1), to(2)],
            directory_size: 0,
            files: Vec::new(),
            expires_at: 9,
            accepted: None,
            verified: BTreeMap::from([(label(1), String::new())]),
            links: Vec::new(),
            share: Some(KeptSecret::new(&[5; 32])),
        };
        let forgets = |record: &SentRecord, state, now| {
            let mut record = record.clone();
            let forgot = record.forget_share(state, now);
            assert_eq!(forgot, record.share.is_none());
            forgot
        };
        use TransferState::{Available, Expired, Revoked, Used};
        assert!(!forgets(&record, Available, 9), "one has not verified");
        assert!(forgets(&record, Available, 10), "its time is over");
        for ended in [Expired, Revoked, Used] {
            assert!(forgets(&record, ended, 0), "{ended:?}");
        }
        let mut verified = record.clone();
        verified.verified.insert(label(2), String::new());
        assert!(forgets(&verified, Available, 0));
        let link = SentLink {
            link: LinkId::from_bytes([1; 16]),
            has_secret: false,
            verified: Some(String::new()),
            is_burned: false,
        };
        let linked = SentRecord {
            links: vec![link],
            ..verified.clone()
        };
        assert!(!forgets(&linked, Available, 0), "others may still open the link");
        let nobody = SentRecord {
            recipients: Vec::new(),
            ..record.clone()
        };
        assert!(!forgets(&nobody, Available, 0), "whoever may come has not verified");
        assert!(verified.forget_share(Available, 0));
        assert!(!verified.forget_share(Available, 0), "there is nothing left to forget");
        let json = serde_json::to_string(&record).unwrap();
        let read: SentRecord = serde_json::from_str(&json).unwrap();
        assert_eq!(read.share, record.share);
        assert!(!format!("{read:?}").contains(&hex(&[5; 32])) && !format!("{read:?}").contains("5, 5"));
        let old: SentRecord =
            serde_json::from_str(&json.replace(&format!(r#","share":"{}""#, hex(&[5; 32])), "")).unwrap();
        assert!(old.share.is_none(), "records of earlier versions have none");
    }
}
