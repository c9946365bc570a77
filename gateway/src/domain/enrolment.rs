//! Enrolment: invitations, and the keys that invitees post to them.

use sealpost_proto::id::PublicKey;
use sealpost_proto::key::{Body, SignedStatement};

/// The device key that a `device` statement announces.
pub(super) fn device_key(signed: &SignedStatement) -> Option<PublicKey> {
    match &signed.statement().body {
        Body::Device { key, .. } => Some(*key),
        _ => None,
    }
}
