//! Checkpoints: the signed size and head of a log (C2SP tlog-checkpoint).

use crate::crypto::SigningKey;
use crate::encoding::{base64, decimal, unbase64_array};
use crate::id::{Hash, PublicKey};
use crate::key::note::{Note, NoteError};

/// Size and head of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// Name of the log, such as `<gateway id>/audit`.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Head of the tree over them.
    pub root: Hash,
}

impl Checkpoint {
    /// The signed note that publishes this checkpoint.
    ///
    /// # Errors
    /// [`NoteError::Form`] if the origin is not a name that a note can carry.
    pub fn sign(&self, key: &SigningKey) -> Result<Note, NoteError> {
        let root = base64(self.root.as_bytes());
        let mut note = Note::new(format!("{}\n{}\n{root}\n", self.origin, self.size))?;
        note.sign(&self.origin, key);
        Ok(note)
    }

    /// Reads a published checkpoint of the log `origin` and verifies the log key's signature.
    ///
    /// # Errors
    /// [`NoteError::Form`] if it is not exactly three lines for that origin (a size has no leading zeros);
    /// [`NoteError::Signature`].
    pub fn verify(note: &str, origin: &str, log_key: &PublicKey) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let mut lines = note.text().lines();
        let (Some(first), Some(size), Some(root), None) = (lines.next(), lines.next(), lines.next(), lines.next())
        else {
            return Err(NoteError::Form);
        };
        if first != origin {
            return Err(NoteError::Form);
        }
        note.verify(origin, log_key)?;
        let size = decimal(size).map_err(|_| NoteError::Form)?;
        let root = unbase64_array(root).map_err(|_| NoteError::Form)?;
        Ok(Self {
            origin: origin.to_owned(),
            size,
            root: Hash::from_bytes(root),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip_and_n83() {
        let key = SigningKey::from_seed(&[9; 32]);
        let checkpoint = Checkpoint {
            origin: "gw/audit".into(),
            size: 10,
            root: Hash::from_bytes([1; 32]),
        };
        let text = checkpoint.sign(&key).unwrap().to_string();
        assert_eq!(Checkpoint::verify(&text, "gw/audit", &key.public()), Ok(checkpoint));
        assert!(Checkpoint::verify(&text, "gw/directory", &key.public()).is_err());
        let other = SigningKey::from_seed(&[8; 32]).public();
        assert_eq!(Checkpoint::verify(&text, "gw/audit", &other), Err(NoteError::Signature));

        let mut zero = Note::new(format!("gw/audit\n010\n{}\n", base64(&[1; 32]))).unwrap();
        zero.sign("gw/audit", &key);
        assert!(
            Checkpoint::verify(&zero.to_string(), "gw/audit", &key.public()).is_err(),
            "leading zero"
        );
        assert!(
            Checkpoint::verify(&text.replace('\n', "\r\n"), "gw/audit", &key.public()).is_err(),
            "CRLF"
        );
        assert!(
            Checkpoint::verify(&text.replacen("\n\n", "\n", 1), "gw/audit", &key.public()).is_err(),
            "no blank line"
        );
    }
}
