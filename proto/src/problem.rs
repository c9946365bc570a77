//! Problem documents (RFC 9457): the one list of reasons for which a gateway refuses.

use serde::{Deserialize, Serialize};

use crate::sealed::Reason;

/// Media type of a problem document.
pub const MEDIA_TYPE: &str = "application/problem+json";

macro_rules! problems {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $status:literal, $title:literal;)*) => {
        /// A reason for which a gateway refuses, with its HTTP status and a sentence for people.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $variant,)*
        }

        impl ProblemKind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Name in the `type` of a problem and in audit leaves.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// HTTP status.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$variant => $status,)* }
            }

            /// What happened and what to do, in one sentence.
            #[must_use]
            pub const fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }
        }
    };
}

problems! {
    /// The request is malformed.
    BadRequest = "bad_request", 400, "The request is not in the form that the API asks for; check that client and gateway are of the same version.";
    /// Header and body disagree about the body's digest or length.
    DigestMismatch = "digest_mismatch", 400, "The body is not the one that was signed; send the request again.";
    /// No signature, a bad one, or an unknown device.
    Unauthenticated = "unauthenticated", 401, "The request is not signed by a device that this gateway knows; enrol this device first.";
    /// The signature is too old or from the future.
    ClockSkew = "clock_skew", 401, "The clocks of this device and the gateway differ by more than two minutes; set the clock and try again.";
    /// The nonce was used before.
    Replayed = "replayed", 401, "The request was already used once; send a new one.";
    /// Keys were announced but no registrar has confirmed them.
    Unconfirmed = "unconfirmed", 403, "Your enrolment waits for your administrator, who has to run `sealpost admin confirm`.";
    /// The caller's keys are revoked or no longer valid.
    Disabled = "disabled", 403, "Your access was ended; ask your administrator.";
    /// The caller's role does not allow it.
    Forbidden = "forbidden", 403, "Your role does not allow this; ask your administrator.";
    /// A service account outside of its time.
    ServiceOver = "service_over", 403, "The time of this service account is over or has not begun; ask a registrar to give it a new one with `sealpost admin service`.";
    /// A service account from a network that is not one of its own.
    ServiceElsewhere = "service_elsewhere", 403, "This service account may not be used from this network address; use it from its own network, or ask a registrar to add this one with `sealpost admin service`.";
    /// Wrong words, or no such link: nobody learns which.
    LinkRefused = "link_refused", 403, "The words are not right, or there is no such link; compare both with the sender, since a link is locked after ten wrong tries.";
    /// Too many wrong tries.
    LinkLocked = "link_locked", 403, "The link is locked after ten wrong tries; ask the sender to re-arm it.";
    /// Unknown, or not the caller's to see.
    NotFound = "not_found", 404, "There is no such object for you on this gateway.";
    /// The path exists, the method does not.
    MethodNotAllowed = "method_not_allowed", 405, "The API has no such method on this path; check that client and gateway are of the same version.";
    /// The caller was too slow.
    Timeout = "timeout", 408, "The request took too long to arrive; check the connection and send it again.";
    /// Something else is there already.
    Conflict = "conflict", 409, "Something else is already stored under this id; start again with a new one.";
    /// The share is not here, as after a restore.
    Held = "held", 409, "The gateway was restored from a backup and holds the transfer until its sender re-arms it; ask the sender to run `sealpost rearm`.";
    /// The same idempotency key is being worked on.
    InFlight = "in_flight", 409, "The same request is being worked on; wait a moment and send it again.";
    /// Parts of a sealed transfer cannot change.
    AlreadySealed = "already_sealed", 409, "The transfer is sealed and cannot be changed; send a new one.";
    /// The organisation exists already.
    AlreadyFounded = "already_founded", 409, "This gateway has its organisation already; ask its administrator for an invitation.";
    /// The person is in the directory already.
    AlreadyEnrolled = "already_enrolled", 409, "This person is enrolled already.";
    /// The transfer expired.
    Expired = "expired", 410, "The transfer has expired and can no longer be opened; ask the sender to send it again.";
    /// The sender revoked it.
    Revoked = "revoked", 410, "The sender has withdrawn the transfer; ask the sender if you still need it.";
    /// No openings are left.
    LimitReached = "limit_reached", 410, "All openings that the sender allowed are used; ask the sender to send it again.";
    /// The invitation was used or ran out.
    InviteEnded = "invite_ended", 410, "The invitation is used or has expired; ask your administrator for a new one.";
    /// Content-Length is missing.
    LengthRequired = "length_required", 411, "The request does not say how long its body is.";
    /// The body is too large.
    TooLarge = "too_large", 413, "The request is larger than this gateway takes.";
    /// The media type is not the one asked for.
    UnsupportedMediaType = "unsupported_media_type", 415, "The body is not of the media type that the API asks for here.";
    /// The range lies outside of the object.
    RangeNotSatisfiable = "range_not_satisfiable", 416, "The requested range lies outside of the object.";
    /// The same key with another request.
    IdempotencyMismatch = "idempotency_mismatch", 422, "The idempotency key belongs to another request; use a new one.";
    /// A statement breaks a rule of the directory.
    StatementRefused = "statement_refused", 422, "The directory does not accept this statement; update the directory and try again.";
    /// Parts and seal do not belong together.
    RootMismatch = "root_mismatch", 422, "What was uploaded is not what was sealed; send the transfer again.";
    /// A part is missing or not of its length.
    PartMissing = "part_missing", 422, "A part of the transfer is missing or has the wrong length; upload it again.";
    /// Header, block, box, seal or share break a rule of the format.
    SealRefused = "seal_refused", 422, "The sealed transfer does not follow the format; update the client and send again.";
    /// A stanza is for nobody in the directory.
    UnknownRecipient = "unknown_recipient", 422, "A recipient's key is not in the directory; update the directory and send again.";
    /// A receipt does not belong to the opening, or its time is too far off.
    ReceiptRefused = "receipt_refused", 422, "The receipt does not belong to this opening; receive the transfer again.";
    /// Several wrong tries on a link.
    LinkDelayed = "link_delayed", 429, "There were several wrong tries for this link; wait as long as the answer says and try again.";
    /// Too many requests.
    TooManyRequests = "too_many_requests", 429, "Too many requests; wait as long as the answer says and try again.";
    /// A bug or a damaged store.
    Internal = "internal", 500, "The gateway failed; its operator finds the request id in the log.";
    /// The event cannot be written down, so the operation is refused.
    AuditUnavailable = "audit_unavailable", 503, "The gateway cannot write its audit log and therefore refuses; try again later.";
    /// The gateway is behind what the caller has seen of the directory.
    DirectoryBehind = "directory_behind", 503, "The gateway's directory is older than what this device has seen, as after a restored backup; tell your administrator.";
    /// Stopping, or a store is away.
    Unavailable = "unavailable", 503, "The gateway cannot do this now; try again later.";
    /// No space for new transfers.
    StorageFull = "storage_full", 507, "The gateway has no room for new transfers; tell its operator.";
}

impl ProblemKind {
    /// The `type` of the problem document: `urn:sealpost:problem:<name>`.
    #[must_use]
    pub fn urn(self) -> String {
        format!("urn:sealpost:problem:{}", self.name())
    }

    /// The problem with this `type`.
    #[must_use]
    pub fn from_urn(urn: &str) -> Option<Self> {
        let name = urn.strip_prefix("urn:sealpost:problem:")?;
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// A problem document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// `urn:sealpost:problem:<name>`.
    #[serde(rename = "type")]
    pub urn: String,
    /// The kind's sentence.
    pub title: String,
    /// HTTP status.
    pub status: u16,
    /// Id of the request, to be found in the gateway's log.
    pub req_id: String,
    /// For `seal_refused`: which rule.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// For `clock_skew`: the gateway's clock, unix seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<u64>,
}

impl Problem {
    /// The document of a kind.
    #[must_use]
    pub fn new(kind: ProblemKind, req_id: String) -> Self {
        Self {
            urn: kind.urn(),
            title: kind.title().to_owned(),
            status: kind.status(),
            req_id,
            reason: None,
            time: None,
        }
    }

    /// Its kind, if this version knows it.
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        ProblemKind::from_urn(&self.urn)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_read_back() {
        for kind in ProblemKind::ALL {
            assert_eq!(ProblemKind::from_urn(&kind.urn()), Some(*kind));
            assert!((400..600).contains(&kind.status()));
        }
    }
}
