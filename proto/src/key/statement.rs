//! Statements: what an organisation says of its keys, as C2SP signed notes (proto/spec/directory.md).
//!
//! Here is the text form alone, strictly: which lines, in which order, once each. Who must have signed what, and in which
//! order statements may follow each other, is [`super::Directory`]'s business.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use super::note::{Note, NoteError};
use crate::crypto::{self, XWING_PUBLIC_KEY_LEN};
use crate::encoding::{base64, decimal, hex, unbase64_array};
use crate::id::{Hash, Kid, Label, OrgId, PublicKey};
use crate::lines::{LineError, Lines};

const PREFIX: &str = "sealpost.dev/v1/";
const XWING: &str = "647a";
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
        }
    }

    fn parse(text: &str) -> Result<Self, StatementError> {
        let mut lines = Fields(Lines::new(text));
        let kind = lines.kind()?;
        let org = lines.value("org")?.parse().map_err(|_| StatementError::Form)?;
        let label = match kind {
            StatementType::Org => None,
            _ => Some(lines.value("label")?.parse().map_err(|_| StatementError::Form)?),
        };
        let seq = number(lines.value("seq")?)?;
        let prev = match seq {
            0 => return Err(StatementError::Form),
            1 => None,
            _ => Some(Hash::from_bytes(bytes(lines.value("prev")?)?)),
        };
        let body = lines.body(kind)?;
        lines.0.end()?;
        Ok(Self {
            org,
            label,
            seq,
            prev,
            body,
        })
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
        let statement = Statement::parse(note.text())?;
        Ok(Self { note, statement })
    }
}

impl TryFrom<Note> for SignedStatement {
    type Error = StatementError;
    fn try_from(note: Note) -> Result<Self, Self::Error> {
        let statement = Statement::parse(note.text())?;
        Ok(Self { note, statement })
    }
}

impl std::fmt::Display for SignedStatement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

/// The lines of a statement.
struct Fields<'a>(Lines<'a>);

impl<'a> Fields<'a> {
    fn kind(&mut self) -> Result<StatementType, StatementError> {
        match self.0.line()?.strip_prefix(PREFIX) {
            Some("org") => Ok(StatementType::Org),
            Some("registrar") => Ok(StatementType::Registrar),
            Some("member") => Ok(StatementType::Member),
            Some("device") => Ok(StatementType::Device),
            Some("revoke") => Ok(StatementType::Revoke),
            _ => Err(StatementError::Form),
        }
    }

    fn value(&mut self, name: &str) -> Result<&'a str, StatementError> {
        Ok(self.0.value(name)?)
    }

    fn key(&mut self, name: &str) -> Result<PublicKey, StatementError> {
        public_key(self.value(name)?)
    }

    fn valid(&mut self) -> Result<Validity, StatementError> {
        let (from, to) = self.0.pair("valid")?;
        let valid = Validity {
            not_before: number(from)?,
            not_after: number(to)?,
        };
        if valid.not_before > valid.not_after {
            return Err(StatementError::Form);
        }
        Ok(valid)
    }

    fn body(&mut self, kind: StatementType) -> Result<Body, StatementError> {
        match kind {
            StatementType::Org => {
                let root = self.key("or")?;
                let name = self.value("name")?.to_owned();
                check_name(&name)?;
                Ok(Body::Org { root, name })
            }
            StatementType::Registrar => Ok(Body::Registrar {
                key: self.key("rk")?,
                valid: self.valid()?,
            }),
            StatementType::Member => self.member(),
            StatementType::Device => Ok(Body::Device {
                identity: self.key("ik")?,
                key: self.key("dk")?,
                encryption: xwing(self.value("dek")?)?,
                valid: self.valid()?,
            }),
            StatementType::Revoke => {
                let (kind, key) = self.0.pair("key")?;
                let key = public_key(key)?;
                let key = match kind {
                    "rk" => RevokedKey::Registrar(key),
                    "ik" => RevokedKey::Identity(key),
                    "dk" => RevokedKey::Device(key),
                    _ => return Err(StatementError::Form),
                };
                Ok(Body::Revoke {
                    key,
                    time: number(self.value("time")?)?,
                })
            }
        }
    }

    fn member(&mut self) -> Result<Body, StatementError> {
        let identity = self.key("ik")?;
        let ek = self
            .value("ek")?
            .strip_prefix(XWING)
            .and_then(|rest| rest.strip_prefix(' '));
        let (epoch, ek) = ek.and_then(|rest| rest.split_once(' ')).ok_or(StatementError::Form)?;
        let epoch = number(epoch)?;
        if epoch == 0 {
            return Err(StatementError::Form);
        }
        let encryption = EncryptionPublicKey::from_bytes(bytes(ek)?)?;
        let valid = self.valid()?;
        let bundle = self.0.optional("bundle")?.map(number).transpose()?;
        Ok(Body::Member {
            identity,
            epoch,
            encryption,
            valid,
            bundle,
        })
    }
}

fn xwing(value: &str) -> Result<EncryptionPublicKey, StatementError> {
    let key = value.strip_prefix(XWING).and_then(|rest| rest.strip_prefix(' '));
    EncryptionPublicKey::from_bytes(bytes(key.ok_or(StatementError::Form)?)?)
}

fn public_key(text: &str) -> Result<PublicKey, StatementError> {
    let key = PublicKey::from_bytes(bytes(text)?);
    crypto::check_public_key(&key).map_err(|_| StatementError::Key)?;
    Ok(key)
}

fn bytes<const N: usize>(text: &str) -> Result<[u8; N], StatementError> {
    unbase64_array(text).map_err(|_| StatementError::Form)
}

fn number(text: &str) -> Result<u64, StatementError> {
    decimal(text).map_err(|_| StatementError::Form)
}

fn check_name(name: &str) -> Result<(), StatementError> {
    let is_line = !name.is_empty() && name.len() <= MAX_ORG_NAME_LEN && !name.chars().any(char::is_control);
    if is_line && name.trim() == name {
        Ok(())
    } else {
        Err(StatementError::Form)
    }
}
