//! Receipts: signed notes that say what became of a transfer (security.md 5).
//!
//! *accepted* and *expired-unopened* are the gateway's word; *verified* and *rejected* are the recipient device's, countersigned
//! by the gateway, which vouches for the time. Receipts hold no file name and no address.

use std::fmt::Write as _;
use std::str::FromStr;

use thiserror::Error;

use crate::crypto::SigningKey;
use crate::encoding::{base64, decimal, unbase64_array, unhex_array};
use crate::id::{GatewayId, Hash, PublicKey};
use crate::key::note::{Note, NoteError};
use crate::lines::{LineError, Lines};
use crate::sealed::{Reason, SealBody};

const FIRST_LINE: &str = "sealpost.dev/v1/receipt";

/// How far a receipt's `time` may be from the gateway's clock when it countersigns, in seconds.
pub const MAX_TIME_DIFFERENCE: u64 = 120;

/// Why a receipt was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReceiptError {
    /// Not a signed note, or a signature is missing or not valid.
    #[error(transparent)]
    Note(#[from] NoteError),
    /// A line is missing, unknown, out of order or not in its one spelling.
    #[error("the text is not a receipt of version 1")]
    Form,
}

impl From<LineError> for ReceiptError {
    fn from(_: LineError) -> Self {
        Self::Form
    }
}

/// What every receipt states about its transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Header hash (HH).
    pub transfer: Hash,
    /// Root over the stored segments.
    pub root: Hash,
    /// Number of segments.
    pub segments: u64,
    /// `H("manifest-box", box)`.
    pub mic: Hash,
    /// `sealed_at`, unix seconds.
    pub sealed_at: u64,
    /// When the receipt was made, unix seconds.
    pub time: u64,
}

impl Facts {
    /// The facts of a sealed transfer, stated at `time` (unix seconds).
    #[must_use]
    pub fn of(seal: &SealBody, time: u64) -> Self {
        Self {
            transfer: Hash::from_bytes(seal.header_hash),
            root: Hash::from_bytes(seal.payload_root),
            segments: seal.segments,
            mic: Hash::from_bytes(seal.box_hash),
            sealed_at: seal.sealed_at,
            time,
        }
    }
}

/// Who signed a recipient's receipt, and with what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// Identity key.
    pub identity: PublicKey,
    /// Device key.
    pub device: PublicKey,
    /// Program and version, such as `sealpost-cli/0.1.0`.
    pub client: String,
    /// How well the signer is known.
    pub assurance: Assurance,
}

/// How well a recipient is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Assurance {
    /// A member of the directory.
    Member,
    /// Somebody who held a link and its words.
    Link,
    /// A service account.
    Service,
}

impl Assurance {
    const ALL: [Self; 3] = [Self::Member, Self::Link, Self::Service];

    fn name(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Link => "link",
            Self::Service => "service",
        }
    }
}

/// A receipt's kind and what that kind adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// The gateway holds exactly this transfer, durably.
    Accepted {
        /// Size of the directory log at that time.
        directory_size: u64,
        /// Its head.
        directory_root: Hash,
    },
    /// The recipient had intact plaintext.
    Verified(Signer),
    /// A check failed at the recipient.
    Rejected(Signer, Reason),
    /// The gateway recorded no release before it destroyed the share.
    ExpiredUnopened,
}

/// A receipt's text, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// About which transfer.
    pub facts: Facts,
    /// What it says of it.
    pub kind: Kind,
}

impl Receipt {
    /// The unsigned note.
    ///
    /// # Errors
    /// [`ReceiptError::Note`] if the client's name is not one word on one line.
    pub fn note(&self) -> Result<Note, ReceiptError> {
        if let Kind::Verified(signer) | Kind::Rejected(signer, _) = &self.kind {
            check_client(&signer.client)?;
        }
        Ok(Note::new(self.text())?)
    }

    fn kind_name(&self) -> &'static str {
        match self.kind {
            Kind::Accepted { .. } => "accepted",
            Kind::Verified(_) => "verified",
            Kind::Rejected(..) => "rejected",
            Kind::ExpiredUnopened => "expired-unopened",
        }
    }

    fn text(&self) -> String {
        let facts = &self.facts;
        let mut text = format!(
            "{FIRST_LINE}\nkind {}\ntransfer {}\nroot {} {}\nmic sha-256 {}\n",
            self.kind_name(),
            facts.transfer,
            base64(facts.root.as_bytes()),
            facts.segments,
            facts.mic,
        );
        // Writing to a String cannot fail.
        if let Kind::Verified(signer) | Kind::Rejected(signer, _) = &self.kind {
            let (identity, device) = (base64(signer.identity.as_bytes()), base64(signer.device.as_bytes()));
            let _ = writeln!(text, "recipient {identity} {device}");
        }
        let _ = write!(text, "original-time {}\ntime {}\n", facts.sealed_at, facts.time);
        match &self.kind {
            Kind::Accepted {
                directory_size,
                directory_root,
            } => {
                let _ = writeln!(text, "directory {directory_size} {}", base64(directory_root.as_bytes()));
            }
            Kind::Verified(signer) => text.push_str(&signer_lines(signer)),
            Kind::Rejected(signer, reason) => {
                text.push_str(&signer_lines(signer));
                let _ = writeln!(text, "reason {}", reason.as_str());
            }
            Kind::ExpiredUnopened => {}
        }
        text
    }

    fn parse(text: &str) -> Result<Self, ReceiptError> {
        let mut lines = Fields(Lines::new(text));
        if lines.0.line()? != FIRST_LINE {
            return Err(ReceiptError::Form);
        }
        let kind = lines.value("kind")?;
        let transfer = unhex_array(lines.value("transfer")?).map_err(|_| ReceiptError::Form)?;
        let (root, segments) = lines.pair("root")?;
        let mic = lines.value("mic")?.strip_prefix("sha-256 ").ok_or(ReceiptError::Form)?;
        let mic = unhex_array(mic).map_err(|_| ReceiptError::Form)?;
        let keys = match kind {
            "verified" | "rejected" => Some(lines.pair("recipient")?),
            _ => None,
        };
        let facts = Facts {
            transfer: Hash::from_bytes(transfer),
            root: Hash::from_bytes(bytes(root)?),
            segments: number(segments)?,
            mic: Hash::from_bytes(mic),
            sealed_at: number(lines.value("original-time")?)?,
            time: number(lines.value("time")?)?,
        };
        let kind = match (kind, keys) {
            ("accepted", None) => {
                let (size, root) = lines.pair("directory")?;
                Kind::Accepted {
                    directory_size: number(size)?,
                    directory_root: Hash::from_bytes(bytes(root)?),
                }
            }
            ("verified", Some(keys)) => Kind::Verified(lines.signer(keys)?),
            ("rejected", Some(keys)) => {
                let signer = lines.signer(keys)?;
                let reason = lines.value("reason")?;
                Kind::Rejected(signer, reason_named(reason)?)
            }
            ("expired-unopened", None) => Kind::ExpiredUnopened,
            _ => return Err(ReceiptError::Form),
        };
        let receipt = Self { facts, kind };
        // One spelling: what would be written anew is what was read (this also finds lines after the last).
        if receipt.text() == text {
            Ok(receipt)
        } else {
            Err(ReceiptError::Form)
        }
    }
}

/// A receipt with the note that carries it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedReceipt {
    note: Note,
    receipt: Receipt,
}

impl SignedReceipt {
    /// What it says.
    #[must_use]
    pub fn receipt(&self) -> &Receipt {
        &self.receipt
    }

    /// The note with its signatures.
    #[must_use]
    pub fn note(&self) -> &Note {
        &self.note
    }

    /// SHA-256 of the text without signatures: what the audit leaf carries.
    #[must_use]
    pub fn text_hash(&self) -> Hash {
        Hash::from_bytes(self.note.text_hash())
    }

    /// Adds the gateway's signature (under `<gateway id>/receipts`).
    pub fn countersign(&mut self, gateway: &GatewayId, log_key: &SigningKey) {
        self.note.sign(&gateway.receipts_name(), log_key);
    }

    /// Verifies the gateway's signature.
    ///
    /// # Errors
    /// [`ReceiptError::Note`].
    pub fn verify_gateway(&self, gateway: &GatewayId, log_key: &PublicKey) -> Result<(), ReceiptError> {
        Ok(self.note.verify(&gateway.receipts_name(), log_key)?)
    }

    /// Verifies the signature of the device that the receipt names, and returns who that is. Whether the device is that
    /// identity's, the directory says.
    ///
    /// # Errors
    /// [`ReceiptError::Form`] for a gateway's receipt; [`ReceiptError::Note`].
    pub fn verify_recipient(&self) -> Result<&Signer, ReceiptError> {
        match &self.receipt.kind {
            Kind::Verified(signer) | Kind::Rejected(signer, _) => {
                self.note.verify_as("dk", &signer.device)?;
                Ok(signer)
            }
            _ => Err(ReceiptError::Form),
        }
    }
}

impl FromStr for SignedReceipt {
    type Err = ReceiptError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::try_from(Note::parse(text)?)
    }
}

impl TryFrom<Note> for SignedReceipt {
    type Error = ReceiptError;
    fn try_from(note: Note) -> Result<Self, Self::Error> {
        let receipt = Receipt::parse(note.text())?;
        Ok(Self { note, receipt })
    }
}

impl std::fmt::Display for SignedReceipt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.note.fmt(f)
    }
}

/// The lines of a receipt.
struct Fields<'a>(Lines<'a>);

impl<'a> Fields<'a> {
    fn value(&mut self, name: &str) -> Result<&'a str, ReceiptError> {
        Ok(self.0.value(name)?)
    }

    fn pair(&mut self, name: &str) -> Result<(&'a str, &'a str), ReceiptError> {
        Ok(self.0.pair(name)?)
    }

    fn signer(&mut self, (identity, device): (&str, &str)) -> Result<Signer, ReceiptError> {
        let client = self.value("client")?.to_owned();
        check_client(&client)?;
        let assurance = self.value("assurance")?;
        let assurance = Assurance::ALL
            .into_iter()
            .find(|a| a.name() == assurance)
            .ok_or(ReceiptError::Form)?;
        Ok(Signer {
            identity: PublicKey::from_bytes(bytes(identity)?),
            device: PublicKey::from_bytes(bytes(device)?),
            client,
            assurance,
        })
    }
}

fn signer_lines(signer: &Signer) -> String {
    format!("client {}\nassurance {}\n", signer.client, signer.assurance.name())
}

/// `name/version`, then optionally a space and the release hash.
fn check_client(client: &str) -> Result<(), ReceiptError> {
    let is_word = |w: &str| !w.is_empty() && w.len() <= 100 && w.bytes().all(|b| b.is_ascii_graphic());
    let mut words = client.split(' ');
    let named = words.next().is_some_and(|name| is_word(name) && name.contains('/'));
    let hashed = words
        .next()
        .is_none_or(|hash| hash.len() == 64 && hash.bytes().all(|b| b.is_ascii_hexdigit()));
    if named && hashed && words.next().is_none() {
        Ok(())
    } else {
        Err(ReceiptError::Form)
    }
}

fn reason_named(name: &str) -> Result<Reason, ReceiptError> {
    Reason::ALL
        .into_iter()
        .find(|reason| reason.as_str() == name)
        .ok_or(ReceiptError::Form)
}

fn bytes(text: &str) -> Result<[u8; 32], ReceiptError> {
    unbase64_array(text).map_err(|_| ReceiptError::Form)
}

fn number(text: &str) -> Result<u64, ReceiptError> {
    decimal(text).map_err(|_| ReceiptError::Form)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts() -> Facts {
        Facts {
            transfer: Hash::from_bytes([1; 32]),
            root: Hash::from_bytes([2; 32]),
            segments: 3,
            mic: Hash::from_bytes([4; 32]),
            sealed_at: 5,
            time: 6,
        }
    }

    fn all_kinds() -> [Kind; 4] {
        let signer = Signer {
            identity: PublicKey::from_bytes([7; 32]),
            device: SigningKey::from_seed(&[8; 32]).public(),
            client: "sealpost-cli/0.1.0".into(),
            assurance: Assurance::Member,
        };
        [
            Kind::Accepted {
                directory_size: 9,
                directory_root: Hash::from_bytes([9; 32]),
            },
            Kind::Verified(signer.clone()),
            Kind::Rejected(signer, Reason::Segment),
            Kind::ExpiredUnopened,
        ]
    }

    #[test]
    fn every_kind_reads_back() {
        let gateway: GatewayId = "gw".parse().unwrap();
        let log_key = SigningKey::from_seed(&[1; 32]);
        let device = SigningKey::from_seed(&[8; 32]);
        for kind in all_kinds() {
            let receipt = Receipt { facts: facts(), kind };
            let mut note = receipt.note().unwrap();
            note.sign_as("dk", &device);
            let mut signed = SignedReceipt::try_from(note).unwrap();
            signed.countersign(&gateway, &log_key);
            let read: SignedReceipt = signed.to_string().parse().unwrap();
            assert_eq!(read.receipt(), &receipt);
            read.verify_gateway(&gateway, &log_key.public()).unwrap();
            let is_recipients = matches!(receipt.kind, Kind::Verified(_) | Kind::Rejected(..));
            assert_eq!(read.verify_recipient().is_ok(), is_recipients);
        }
    }

    #[test]
    fn refuses_other_texts() {
        let receipt = Receipt {
            facts: facts(),
            kind: Kind::ExpiredUnopened,
        };
        let good = receipt.text();
        assert!(Receipt::parse(&good).is_ok());
        for bad in [
            good.replace("expired-unopened", "accepted"),
            good.replace("expired-unopened", "lost"),
            good.replace("original-time 5", "original-time 05"),
            format!("{good}more 1\n"),
            good.replace("mic sha-256", "mic md5"),
            good.replace("v1", "v2"),
        ] {
            assert!(Receipt::parse(&bad).is_err(), "{bad}");
        }
    }
}
