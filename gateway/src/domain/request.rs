//! Idempotency (security.md 7.3): which request an idempotency key belongs to.
//!
//! Only the request's digest is kept, never an answer: every operation is idempotent by its own ids, so the same request runs
//! again and gives the same answer, and answers that carry shares are stored nowhere.

use sealpost_proto::crypto::sha256;
use sealpost_proto::id::{Hash, PublicKey};
use sealpost_proto::problem::ProblemKind;
use serde::{Deserialize, Serialize};

use super::decision::{Refusal, ensure};
use super::{Change, Key, Loaded, Stamp};

/// Time for which a key is remembered, in seconds.
pub const LIFETIME: u64 = 7 * 86_400;

/// A key that was used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestNote {
    /// SHA-256 of the request that it was used for.
    pub digest: Hash,
    /// When, unix seconds.
    pub at: u64,
}

impl RequestNote {
    /// Whether it still counts at `now` (unix seconds).
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        now < self.at.saturating_add(LIFETIME)
    }
}

/// A request with its idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyedRequest {
    request: Hash,
    digest: Hash,
}

impl KeyedRequest {
    /// The request with this digest that `device` sent under the idempotency key `key`.
    #[must_use]
    pub fn new(device: &PublicKey, key: &[u8; 16], digest: Hash) -> Self {
        Self {
            request: Hash::from_bytes(sha256(&[device.as_bytes(), key])),
            digest,
        }
    }

    /// The aggregate that remembers it.
    #[must_use]
    pub fn key(&self) -> Key {
        Key::Request(self.request)
    }

    /// Whether its key is free or was used for the same request.
    ///
    /// # Errors
    /// `idempotency_mismatch`.
    pub fn check(&self, loaded: &Loaded, at: Stamp) -> Result<(), Refusal> {
        let note = loaded.request(&self.request).filter(|note| note.is_live(at.seconds()));
        let is_same = note.is_none_or(|note| note.digest == self.digest);
        ensure(is_same, ProblemKind::IdempotencyMismatch)
    }

    /// What is to be recorded with the effects of the request; nothing when it is known.
    #[must_use]
    pub fn note(&self, loaded: &Loaded, at: Stamp) -> Option<Change> {
        let note = loaded.request(&self.request).filter(|note| note.is_live(at.seconds()));
        note.is_none().then(|| Change::RequestNoted {
            request: self.request,
            digest: self.digest,
            at: at.seconds(),
        })
    }
}
