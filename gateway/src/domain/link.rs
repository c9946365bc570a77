//! Links for people without an account (security.md 4.1): what the gateway keeps of one, and how guessing is slowed and locked.
//!
//! Never here: the words, the link's secret, or the link's id. A link is named by the hash of its id.

use sealpost_proto::api::{LinkState, LinkSummary};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use sealpost_proto::id::Hash;
use sealpost_proto::problem::ProblemKind;
use serde::{Deserialize, Serialize};

/// Wrong tries without a delay.
const FREE_TRIES: u32 = 5;

/// Wrong tries after which a link is locked until its sender re-arms it.
const LOCKED_AT: u32 = 10;

/// Delay after the last free try, in seconds; every further one doubles it.
const FIRST_DELAY: u64 = 30;

/// What was registered of a link when its transfer was sealed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkTerms {
    /// Hash of the link's id.
    pub link: Hash,
    /// SHA-256 of what proves knowledge of words or secret.
    pub auth_sha256: Hash,
    /// Argon2id's memory in KiB.
    pub m_kib: u32,
    /// Argon2id's passes.
    pub t: u8,
    /// Argon2id's salt.
    pub salt: [u8; 16],
    /// How often it may be opened.
    pub openings: u32,
}

/// Wrong tries in a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tries {
    /// How many.
    pub failures: u32,
    /// When the last one was, unix seconds.
    pub failed_at: u64,
}

impl Tries {
    /// Whether another try may be made at `now` (unix seconds). The same for links that do not exist.
    ///
    /// # Errors
    /// `link_delayed`, `link_locked`.
    pub fn check(&self, now: u64) -> Result<(), ProblemKind> {
        if self.failures >= LOCKED_AT {
            return Err(ProblemKind::LinkLocked);
        }
        if now < self.free_at() {
            return Err(ProblemKind::LinkDelayed);
        }
        Ok(())
    }

    /// From when on another try may be made, unix seconds.
    #[must_use]
    pub fn free_at(&self) -> u64 {
        match self.failures.checked_sub(FREE_TRIES) {
            Some(beyond) => self.failed_at.saturating_add(FIRST_DELAY << beyond.min(LOCKED_AT)),
            None => 0,
        }
    }

    /// One more.
    pub fn fail(&mut self, now: u64) {
        self.failures = self.failures.saturating_add(1);
        self.failed_at = now;
    }
}

/// A link, and how far its visitors have come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What was registered.
    pub terms: LinkTerms,
    /// Wrong tries since the last right one.
    pub tries: Tries,
    /// Openings counted.
    pub openings_used: u32,
    /// When it was first opened, unix seconds.
    pub opened_at: Option<u64>,
    /// Whether `receipt` is a *verified* one.
    pub is_verified: bool,
    /// A visitor's receipt with both signatures.
    pub receipt: Option<String>,
    /// Whether its sender ended it.
    pub is_burned: bool,
}

impl Link {
    /// A link that nobody has tried.
    #[must_use]
    pub fn new(terms: LinkTerms) -> Self {
        Self {
            terms,
            tries: Tries::default(),
            openings_used: 0,
            opened_at: None,
            is_verified: false,
            receipt: None,
            is_burned: false,
        }
    }

    /// Whether `auth` is what somebody who knows words or secret can make.
    #[must_use]
    pub fn is_auth(&self, auth: &[u8]) -> bool {
        constant_time_eq(&sha256(&[auth]), self.terms.auth_sha256.as_bytes())
    }

    /// Whether an opening is left to be made.
    #[must_use]
    pub fn is_left(&self) -> bool {
        !self.is_burned && self.openings_used < self.terms.openings
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> LinkState {
        if self.is_burned {
            LinkState::Burned
        } else if !self.is_left() {
            LinkState::Used
        } else if self.tries.failures >= LOCKED_AT {
            LinkState::Locked
        } else {
            LinkState::Open
        }
    }

    /// What its sender sees.
    #[must_use]
    pub fn summary(&self) -> LinkSummary {
        LinkSummary {
            link: self.terms.link,
            state: self.state(),
            openings: self.terms.openings,
            openings_used: self.openings_used,
            failures: self.tries.failures,
            opened_at: self.opened_at,
            receipt: self.receipt.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// N101: ten wrong tries lock, the sixth waits.
    #[test]
    fn tries_are_free_then_slow_then_over() {
        let mut tries = Tries::default();
        let mut now = 1_000;
        for _ in 0..FREE_TRIES {
            assert_eq!(tries.check(now), Ok(()));
            tries.fail(now);
        }
        for beyond in 0..LOCKED_AT - FREE_TRIES {
            assert_eq!(tries.check(now), Err(ProblemKind::LinkDelayed));
            now += FIRST_DELAY << beyond;
            assert_eq!(tries.check(now), Ok(()), "{beyond}");
            tries.fail(now);
        }
        assert_eq!(tries.failures, 10);
        assert_eq!(tries.check(u64::MAX), Err(ProblemKind::LinkLocked));
    }
}
