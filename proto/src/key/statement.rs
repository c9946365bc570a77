//! Statements: what an organisation says of its keys, as C2SP signed notes (proto/spec/directory.md).
//!
//! Here is the text form alone, strictly: which lines, in which order, once each. Who must have signed what, and in which
//! order statements may follow each other, is [`super::Directory`]'s business.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use super::note::{Note, NoteError};
use super::reading;
use super::service::ServiceLimits;
use crate::crypto::{self, XWING_PUBLIC_KEY_LEN};
use crate::encoding::{base64, hex};
use crate::id::{Hash, Kid, Label, OrgId, PublicKey};
use crate::lines::LineError;

pub(super) const PREFIX: &str = "sealpost.dev/v1/";
pub(super) const XWING: &str = "647a";
const MAX_ORG_NAME_LEN: usize = 255;

/// Why a statement was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum StatementError {
    /// Not a signed note.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line is missing, unknown, doubled, out of order or not in its one spelling.
    #[error("the statement is not in the form of its type")]
    Form,
    /// A public key is not one that every implementation accepts.
    #[error("a key in the statement is not acceptable")]
    Key,
}

impl From<LineError> for StatementError {
    fn from(_: LineError) -> Self {
        Self::Form
    }
}

/// The kinds of statements of v1 that exist so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum StatementType {
    /// The organisation's root and name.
    Org,
    /// A key that may enrol people.
    Registrar,
    /// A person's identity and encryption key.
    Member,
    /// A device of a person.
    Device,
    /// A key that is no longer to be believed.
    Revoke,
    /// What a service account may do.
    Service,
}

impl StatementType {
    /// The name as it stands in statements and in leaves of the directory log.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Org => "org",
            Self::Registrar => "registrar",
            Self::Member => "member",
            Self::Device => "device",
            Self::Revoke => "revoke",
            Self::Service => "service",
        }
    }
}

/// Not before and not after, unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Validity {
    /// First second of validity.
    pub not_before: u64,
    /// Last second of validity.
    pub not_after: u64,
}

impl Validity {
    /// Whether `time` (unix seconds) lies within.
    #[must_use]
    pub fn contains(&self, time: u64) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }
}

/// An X-Wing public key as statements carry it. The X25519 part has been checked (D16).
#[derive(Clone, PartialEq, Eq)]
pub struct EncryptionPublicKey(Box<[u8; XWING_PUBLIC_KEY_LEN]>);

impl EncryptionPublicKey {
    /// The key made of these bytes.
    ///
    /// # Errors
    /// [`StatementError::Key`] if its X25519 part is of small order or not reduced.
    pub fn from_bytes(bytes: [u8; XWING_PUBLIC_KEY_LEN]) -> Result<Self, StatementError> {
        if crypto::xwing_x25519_part_is_sound(&bytes) {
            Ok(Self(Box::new(bytes)))
        } else {
            Err(StatementError::Key)
        }
    }

    /// The encoded key.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; XWING_PUBLIC_KEY_LEN] {
        &self.0
    }

    /// Its id.
    #[must_use]
    pub fn kid(&self) -> Kid {
        crypto::kid(&self.0)
    }
}

impl std::fmt::Debug for EncryptionPublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncryptionPublicKey({})", self.kid())
    }
}

/// Which key a `revoke` statement is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokedKey {
    /// A registrar's key.
    Registrar(PublicKey),
    /// A person's identity key, and with it all of that person's devices.
    Identity(PublicKey),
    /// One device.
    Device(PublicKey),
}

impl RevokedKey {
    fn parts(&self) -> (&'static str, &PublicKey) {
        match self {
            Self::Registrar(key) => ("rk", key),
            Self::Identity(key) => ("ik", key),
            Self::Device(key) => ("dk", key),
        }
    }
}

/// What a statement says, by its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The organisation's root key and the name people know it by.
    Org {
        /// Organisation root (OR).
        root: PublicKey,
        /// Name, at most 255 bytes.
        name: String,
    },
    /// A registrar's key.
    Registrar {
        /// Registrar key (RK).
        key: PublicKey,
        /// When it may sign.
        valid: Validity,
    },
    /// A person's keys.
    Member {
        /// Identity key (IK).
        identity: PublicKey,
        /// Epoch of the encryption key, from 1.
        epoch: u64,
        /// Encryption key (EK).
        encryption: EncryptionPublicKey,
        /// When it may be used.
        valid: Validity,
        /// Counter of the key bundle at the gateway, once there is one.
        bundle: Option<u64>,
    },
    /// A device's keys.
    Device {
        /// Identity key of its owner.
        identity: PublicKey,
        /// Device key (DK): signs seals, receipts and requests.
        key: PublicKey,
        /// Device encryption key (DEK): receives bundles.
        encryption: EncryptionPublicKey,
        /// When it may be used.
        valid: Validity,
    },
    /// A revocation.
    Revoke {
        /// The key.
        key: RevokedKey,
        /// When, unix seconds, as the signer says.
        time: u64,
    },
    /// The limits of a service account.
    Service(ServiceLimits),
}

/// A statement's text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The organisation it belongs to.
    pub org: OrgId,
    /// Whom it is about; absent for `org` alone.
    pub label: Option<Label>,
    /// Its number in the chain (label, type), from 1.
    pub seq: u64,
    /// Hash of the note before it in the chain; absent for the first alone.
    pub prev: Option<Hash>,
    /// What it says.
    pub body: Body,
}

impl Statement {
    /// Its type.
    #[must_use]
    pub fn kind(&self) -> StatementType {
        match self.body {
            Body::Org { .. } => StatementType::Org,
            Body::Registrar { .. } => StatementType::Registrar,
            Body::Member { .. } => StatementType::Member,
            Body::Device { .. } => StatementType::Device,
            Body::Revoke { .. } => StatementType::Revoke,
            Body::Service(_) => StatementType::Service,
        }
    }

    /// The unsigned note.
    ///
    /// # Errors
    /// [`StatementError::Form`] if an organisation's name is not one line of at most 255 bytes.
    pub fn note(&self) -> Result<Note, StatementError> {
        if let Body::Org { name, .. } = &self.body {
            check_name(name)?;
        }
        Ok(Note::new(self.text())?)
    }

    fn text(&self) -> String {
        let mut text = format!("{PREFIX}{}\norg {}\n", self.kind().name(), self.org);
        // Writing to a String cannot fail.
        if let Some(label) = &self.label {
            let _ = writeln!(text, "label {label}");
        }
        let _ = writeln!(text, "seq {}", self.seq);
        if let Some(prev) = &self.prev {
            let _ = writeln!(text, "prev {}", base64(prev.as_bytes()));
        }
        text + &self.body_lines()
    }

    fn body_lines(&self) -> String {
        let key = |key: &PublicKey| base64(key.as_bytes());
        let span = |v: &Validity| format!("valid {} {}\n", v.not_before, v.not_after);
        match &self.body {
            Body::Org { root, name } => format!("or {}\nname {name}\n", key(root)),
            Body::Registrar { key: rk, valid } => format!("rk {}\n{}", key(rk), span(valid)),
            Body::Member {
                identity,
                epoch,
                encryption,
                valid,
                bundle,
            } => {
                let ek = base64(encryption.as_bytes());
                let bundle = bundle.map(|counter| format!("bundle {counter}\n")).unwrap_or_default();
                format!("ik {}\nek {XWING} {epoch} {ek}\n{}{bundle}", key(identity), span(valid))
            }
            Body::Device {
                identity,
                key: dk,
                encryption,
                valid,
            } => {
                let dek = base64(encryption.as_bytes());
                format!(
                    "ik {}\ndk {}\ndek {XWING} {dek}\n{}",
                    key(identity),
                    key(dk),
                    span(valid)
                )
            }
            Body::Revoke { key: revoked, time } => {
                let (kind, revoked) = revoked.parts();
                format!("key {kind} {}\ntime {time}\n", key(revoked))
            }
            Body::Service(limits) => {
                let ServiceLimits {
                    scopes,
                    networks,
                    valid,
                } = limits;
                format!("scopes {scopes}\nnetworks {networks}\n{}", span(valid))
            }
        }
    }
}

/// A statement with the note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedStatement {
    note: Note,
    statement: Statement,
}

impl SignedStatement {
    /// The note, with its signatures.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// The note, to add a signature to it.
    pub fn note_mut(&mut self) -> &mut Note {
        &mut self.note
    }

    /// What it says.
    #[must_use]
    pub fn statement(&self) -> &Statement {
        &self.statement
    }

    /// Hash of the whole note: the next statement's `prev`, and what the directory log commits to.
    #[must_use]
    pub fn hash(&self) -> Hash {
        Hash::from_bytes(self.note.hash())
    }

    /// Its leaf in the directory log: `d1 <label> <type> <seq> <hash>`.
    #[must_use]
    pub fn leaf(&self) -> String {
        let label = self
            .statement
            .label
            .map_or_else(|| "-".to_owned(), |label| label.to_string());
        let kind = self.statement.kind().name();
        format!("d1 {label} {kind} {} {}", self.statement.seq, hex(&self.note.hash()))
    }
}

impl FromStr for SignedStatement {
    type Err = StatementError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let note = Note::parse(text)?;
        let statement = reading::parse(note.text())?;
        Ok(Self { note, statement })
    }
}

impl TryFrom<Note> for SignedStatement {
    type Error = StatementError;
    fn try_from(note: Note) -> Result<Self, Self::Error> {
        let statement = reading::parse(note.text())?;
        Ok(Self { note, statement })
    }
}

impl std::fmt::Display for SignedStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

pub(super) fn check_name(name: &str) -> Result<(), StatementError> {
    let is_line = !name.is_empty() && name.len() <= MAX_ORG_NAME_LEN && !name.chars().any(char::is_control);
    if is_line && name.trim() == name {
        Ok(())
    } else {
        Err(StatementError::Form)
    }
}
