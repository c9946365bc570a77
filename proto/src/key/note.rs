//! C2SP signed notes: the one text form of statements, receipts and checkpoints.
//!
//! A note is a text of lines ended by LF, an empty line, and one signature line per signer:
//! `— <name> <base64(key id || signature)>`. The key id is the first four bytes of
//! `SHA-256(name || 0x0A || 0x01 || public key)` (signed-note, Ed25519 type 0x01).

use thiserror::Error;

use crate::crypto::{self, SigningKey, sha256};
use crate::encoding::{base64, hex, unbase64_array, unhex_array};
use crate::id::PublicKey;

/// The largest note that is read, in bytes.
pub const MAX_NOTE_LEN: usize = 8 * 1024;

const SIGNATURE_PREFIX: &str = "\u{2014} ";
const ED25519: u8 = 0x01;

/// Why a note was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NoteError {
    /// Longer than [`MAX_NOTE_LEN`].
    #[error("the note is longer than 8 KiB")]
    TooLong,
    /// Not a text, an empty line and signature lines.
    #[error("the note is not a text followed by an empty line and signatures")]
    Form,
    /// No signature of that name, or it does not verify.
    #[error("a signature on the note is missing or not valid")]
    Signature,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    key_id: [u8; 4],
    signature: [u8; 64],
}

impl NoteSignature {
    /// Name of the signer as written, such as `rk/<64 hex digits>` or `<gateway id>/audit`.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The key named by a signature of the form `<role>/<64 hex digits>`, if it is one of `role`.
    #[must_use]
    pub fn key_of(&self, role: &str) -> Option<PublicKey> {
        let digits = self.name.strip_prefix(role)?.strip_prefix('/')?;
        unhex_array(digits).ok().map(PublicKey::from_bytes)
    }
}

/// A note: its text and its signature lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

impl Note {
    /// An unsigned note.
    ///
    /// # Errors
    /// [`NoteError::Form`] if `text` does not end with LF, or contains an empty line, CR or other control characters.
    pub fn new(text: String) -> Result<Self, NoteError> {
        let is_line = |line: &str| !line.is_empty() && !line.chars().any(char::is_control);
        let Some(body) = text.strip_suffix('\n') else {
            return Err(NoteError::Form);
        };
        if !body.split('\n').all(is_line) {
            return Err(NoteError::Form);
        }
        Ok(Self {
            text,
            signatures: Vec::new(),
        })
    }

    /// Parses a note.
    ///
    /// # Errors
    /// [`NoteError::TooLong`] or [`NoteError::Form`]. Signatures are not verified here.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE_LEN {
            return Err(NoteError::TooLong);
        }
        let (text, signatures) = note.split_once("\n\n").ok_or(NoteError::Form)?;
        let mut parsed = Self::new(format!("{text}\n"))?;
        let signatures = signatures.strip_suffix('\n').ok_or(NoteError::Form)?;
        for line in signatures.split('\n') {
            parsed.push_signature(parse_signature(line)?)?;
        }
        Ok(parsed)
    }

    /// The signed text, with its last LF.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The signature lines, in their order.
    #[must_use]
    pub fn signatures(&self) -> &[NoteSignature] {
        &self.signatures
    }

    /// Adds a signature of `key` under `name`; replaces one of the same name.
    pub fn sign(&mut self, name: &str, key: &SigningKey) {
        let signature = NoteSignature {
            name: name.to_owned(),
            key_id: key_id(name, &key.public()),
            signature: key.sign(self.text.as_bytes()),
        };
        self.signatures.retain(|existing| existing.name != name);
        self.signatures.push(signature);
    }

    /// Adds a signature under `<role>/<hex of the public key>`.
    pub fn sign_as(&mut self, role: &str, key: &SigningKey) {
        self.sign(&signer_name(role, &key.public()), key);
    }

    /// Takes over a signature line made elsewhere over the same text.
    ///
    /// # Errors
    /// [`NoteError::Form`] if a signature of that name is there already.
    pub fn push_signature(&mut self, signature: NoteSignature) -> Result<(), NoteError> {
        if self.signatures.iter().any(|s| s.name == signature.name) {
            return Err(NoteError::Form);
        }
        self.signatures.push(signature);
        Ok(())
    }

    /// Verifies the signature of `key` under `name`.
    ///
    /// # Errors
    /// [`NoteError::Signature`] if there is none of that name and key, or it is not valid.
    pub fn verify(&self, name: &str, key: &PublicKey) -> Result<(), NoteError> {
        let id = key_id(name, key);
        let signature = self
            .signatures
            .iter()
            .find(|s| s.name == name && s.key_id == id)
            .ok_or(NoteError::Signature)?;
        crypto::verify(key, self.text.as_bytes(), &signature.signature).map_err(|_| NoteError::Signature)
    }

    /// Verifies the signature of `key` under `<role>/<hex of the public key>`.
    ///
    /// # Errors
    /// As [`Note::verify`].
    pub fn verify_as(&self, role: &str, key: &PublicKey) -> Result<(), NoteError> {
        self.verify(&signer_name(role, key), key)
    }

    /// SHA-256 of the whole note, signature lines included.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        sha256(&[self.to_string().as_bytes()])
    }

    /// SHA-256 of the text alone.
    #[must_use]
    pub fn text_hash(&self) -> [u8; 32] {
        sha256(&[self.text.as_bytes()])
    }
}

impl std::fmt::Display for Note {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)?;
        f.write_str("\n")?;
        for signature in &self.signatures {
            let mut bytes = signature.key_id.to_vec();
            bytes.extend_from_slice(&signature.signature);
            writeln!(f, "{SIGNATURE_PREFIX}{} {}", signature.name, base64(&bytes))?;
        }
        Ok(())
    }
}

/// `<role>/<64 hex digits of the key>`.
#[must_use]
pub fn signer_name(role: &str, key: &PublicKey) -> String {
    format!("{role}/{}", hex(key.as_bytes()))
}

fn key_id(name: &str, key: &PublicKey) -> [u8; 4] {
    let hash = sha256(&[name.as_bytes(), b"\n", &[ED25519], key.as_bytes()]);
    let [a, b, c, d, ..] = hash;
    [a, b, c, d]
}

fn parse_signature(line: &str) -> Result<NoteSignature, NoteError> {
    let rest = line.strip_prefix(SIGNATURE_PREFIX).ok_or(NoteError::Form)?;
    let (name, encoded) = rest.split_once(' ').ok_or(NoteError::Form)?;
    if name.is_empty() || name.contains('+') || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err(NoteError::Form);
    }
    let bytes: [u8; 68] = unbase64_array(encoded).map_err(|_| NoteError::Form)?;
    let (key_id, signature) = bytes.split_first_chunk::<4>().ok_or(NoteError::Form)?;
    Ok(NoteSignature {
        name: name.to_owned(),
        key_id: *key_id,
        signature: signature.try_into().map_err(|_| NoteError::Form)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_verification() {
        let key = SigningKey::from_seed(&[7; 32]);
        let mut note = Note::new("a\nb 1\n".to_owned()).unwrap();
        note.sign_as("ik", &key);
        note.sign("gw/audit", &key);
        let text = note.to_string();
        let parsed = Note::parse(&text).unwrap();
        assert_eq!(parsed, note);
        assert_eq!(parsed.to_string(), text);
        parsed.verify_as("ik", &key.public()).unwrap();
        parsed.verify("gw/audit", &key.public()).unwrap();
        assert_eq!(parsed.verify_as("rk", &key.public()), Err(NoteError::Signature));
        assert_eq!(parsed.signatures()[0].key_of("ik"), Some(key.public()));
        assert_eq!(parsed.signatures()[0].key_of("rk"), None);
    }

    #[test]
    fn refuses_other_forms() {
        let key = SigningKey::from_seed(&[7; 32]);
        let mut note = Note::new("a\n".to_owned()).unwrap();
        note.sign_as("ik", &key);
        let good = note.to_string();
        assert!(Note::parse(&good).is_ok());
        let doubled = format!("{good}{}", good.split_once("\n\n").unwrap().1);
        for bad in [
            good.replace('\n', "\r\n"),
            good.replace("\n\n", "\n"),
            good.trim_end().to_owned(),
            good.replace('\u{2014}', "-"),
            doubled,
            "a\n\n".to_owned(),
            String::new(),
            format!("{}\n\n", "x".repeat(MAX_NOTE_LEN)),
        ] {
            assert!(Note::parse(&bad).is_err(), "{bad:?}");
        }
        assert!(Note::new("a\n\nb\n".to_owned()).is_err());
        assert!(Note::new("a".to_owned()).is_err());
    }
}
