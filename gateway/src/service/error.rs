//! Why a use case failed.

use sealpost_proto::problem::ProblemKind;
use sealpost_proto::sealed::Reason;
use thiserror::Error;

use crate::domain::Refusal;
use crate::store::StoreError;

/// Why a use case failed.
#[derive(Debug, Error)]
pub enum Error {
    /// A rule refused it.
    #[error("refused: {}", .0.kind.name())]
    Refused(Refusal),
    /// A link was tried too often in a short time.
    #[error("refused: link_delayed")]
    Delayed {
        /// Seconds after which to try again.
        wait: u64,
    },
    /// The record cannot be made durable; nothing was changed.
    #[error("the record cannot be written")]
    Audit(#[source] StoreError),
    /// A store failed.
    #[error("a store failed")]
    Store(#[from] StoreError),
}

impl Error {
    /// The kind of problem that the caller is told of.
    #[must_use]
    pub fn kind(&self) -> ProblemKind {
        match self {
            Self::Refused(refusal) => refusal.kind,
            Self::Delayed { .. } => ProblemKind::LinkDelayed,
            Self::Audit(_) => ProblemKind::AuditUnavailable,
            Self::Store(error) if error.is_full() => ProblemKind::StorageFull,
            Self::Store(StoreError::Unavailable(_)) => ProblemKind::Unavailable,
            // The ledger refers to it, so it should be there and whole.
            Self::Store(_) => ProblemKind::Internal,
        }
    }

    /// The refusal's reason of the format, if it has one.
    #[must_use]
    pub fn reason(&self) -> Option<Reason> {
        match self {
            Self::Refused(refusal) => refusal.reason,
            Self::Delayed { .. } | Self::Audit(_) | Self::Store(_) => None,
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<ProblemKind> for Error {
    fn from(kind: ProblemKind) -> Self {
        Self::Refused(kind.into())
    }
}
