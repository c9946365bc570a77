//! An invitation to enrol: open, posted to, confirmed, or expired.

use sealpost_proto::api::{InviteState, InviteSummary, PostedKeys};
use sealpost_proto::crypto::{constant_time_eq, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, InviteId, Label};

use serde::{Deserialize, Serialize};

use super::Change;

/// An invitation and what was posted to it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invite {
    /// Its id.
    pub id: InviteId,
    /// Whom it is for.
    pub label: Label,
    /// The invitee's address.
    pub address: Address,
    /// The registrar who invites.
    pub by: Label,
    /// When it was made, unix seconds.
    pub created_at: u64,
    /// Until when it may be used, unix seconds.
    pub expires_at: u64,
    /// SHA-256 of what proves knowledge of its secret.
    pub auth_sha256: Hash,
    /// The registrar's sealed copy of its secret; opaque here.
    pub secret_box: Base64,
    /// What was posted.
    pub posted: Option<PostedKeys>,
    /// Whether a registrar has signed what was posted.
    pub is_confirmed: bool,
}

impl Invite {
    /// The invitation that this change makes, if it makes one.
    pub(super) fn created(change: &Change) -> Option<Self> {
        let Change::InviteCreated {
            invite,
            label,
            address,
            by,
            at,
            expires_at,
            auth_sha256,
            secret_box,
        } = change
        else {
            return None;
        };
        Some(Self {
            id: *invite,
            label: *label,
            address: address.clone(),
            by: *by,
            created_at: *at,
            expires_at: *expires_at,
            auth_sha256: *auth_sha256,
            secret_box: secret_box.clone(),
            posted: None,
            is_confirmed: false,
        })
    }

    /// Where it stands at `now` (unix seconds).
    #[must_use]
    pub fn state(&self, now: u64) -> InviteState {
        match &self.posted {
            _ if self.is_confirmed => InviteState::Confirmed,
            Some(_) => InviteState::Posted,
            None if now > self.expires_at => InviteState::Expired,
            None => InviteState::Open,
        }
    }

    /// Whether `auth` is what the holder of the secret can make.
    #[must_use]
    pub fn is_auth(&self, auth: &[u8]) -> bool {
        constant_time_eq(&sha256(&[auth]), self.auth_sha256.as_bytes())
    }

    /// What registrars see of it.
    #[must_use]
    pub fn summary(&self, now: u64) -> InviteSummary {
        InviteSummary {
            invite: self.id,
            label: self.label,
            address: self.address.clone(),
            expires_at: self.expires_at,
            state: self.state(now),
            secret_box: self.secret_box.clone(),
            posted: self.posted.clone(),
        }
    }
}
