//! Why a request did not become a grant.

use sealpost_proto::problem::ProblemKind;
use thiserror::Error;

use super::rates::RetryAfter;
use crate::store::StoreError;

/// Why a request did not become a grant.
#[derive(Debug, Error)]
pub enum AccessError {
    /// Refused for this reason.
    #[error("the request was refused: {}", .0.name())]
    Refused(ProblemKind),
    /// The signature's time differs too much from the gateway's clock.
    #[error("the request's time is too far from the gateway's clock")]
    ClockSkew {
        /// The gateway's clock, unix seconds.
        now: u64,
    },
    /// The caller asks too often.
    #[error("the caller asks too often")]
    TooManyRequests {
        /// When to ask again.
        wait: RetryAfter,
    },
    /// The state cannot be read.
    #[error("the state cannot be read")]
    Store(#[source] StoreError),
    /// The refusal cannot be written down.
    #[error("the refusal cannot be written down")]
    Audit(#[source] StoreError),
}

impl AccessError {
    /// The kind of problem that the caller is told of.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        match self {
            Self::Refused(kind) => *kind,
            Self::ClockSkew { .. } => ProblemKind::ClockSkew,
            Self::TooManyRequests { .. } => ProblemKind::TooManyRequests,
            Self::Audit(_) => ProblemKind::AuditUnavailable,
            Self::Store(StoreError::Unavailable(_)) => ProblemKind::Unavailable,
            Self::Store(_) => ProblemKind::Internal,
        }
    }
}

impl From<ProblemKind> for AccessError {
    fn from(kind: ProblemKind) -> Self {
        Self::Refused(kind)
    }
}
