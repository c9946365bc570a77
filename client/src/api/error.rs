//! Why a request had no good answer.

use sealpost_proto::problem::{Problem, ProblemKind};
use thiserror::Error;

/// Why a request had no good answer.
#[derive(Debug, Clone, Error)]
pub enum ApiError {
    /// The gateway refused and said why.
    #[error("{}", refusal(.problem, *.local_time, *.retry_after))]
    Refused {
        /// What it said.
        problem: Box<Problem>,
        /// This device's clock when the answer came, unix seconds.
        local_time: u64,
        /// After how many seconds it wants to be asked again.
        retry_after: Option<u64>,
    },
    /// The server's key is not the pinned one.
    #[error(
        "The gateway's key is not the one in your enrolment: somebody may be between you and the gateway, or it was set up anew; do not continue, and ask your administrator."
    )]
    WrongKey,
    /// The server's key is not the pinned one, and an authority or a program that is not the gateway made its certificate.
    #[error(
        "A proxy or security program stands between you and the gateway, or the gateway got another certificate: what answered shows one that is issued by {0}, and its key is not the one in your enrolment; do not continue, and ask your administrator to let Sealpost through unopened."
    )]
    Intercepted(String),
    /// The server's certificate is vouched for by nobody whom this computer trusts.
    #[error(
        "The gateway's certificate cannot be trusted ({0}), so nobody knows who answers; if the sender gave you a line with --pin, add it, else ask the sender for it."
    )]
    Untrusted(String),
    /// No connection, or it broke.
    #[error("The gateway cannot be reached ({0}); check your network and that the gateway runs, then try again.")]
    Unreachable(String),
    /// An answer that is not in the API's form.
    #[error(
        "The gateway's answer is not in the form that this client knows ({0}); check that client and gateway are of the same version."
    )]
    Answer(&'static str),
    /// An answer without an end, in one piece or in many.
    #[error(
        "The gateway offers more {0} than this client takes in one run, so it stopped; try again, and tell your administrator if it happens again."
    )]
    TooMuch(&'static str),
    /// The gateway failed to give stored bytes of a transfer that it lists.
    #[error(
        "The gateway's store is damaged: what it holds of this transfer is missing or cut short, so it cannot be received; ask the sender to send it again, and tell the gateway's operator, who finds request id {0} in the log."
    )]
    Damaged(String),
    /// A request that could not be made.
    #[error("The request could not be made ({0}); this is a bug, please report it.")]
    Request(&'static str),
}

impl ApiError {
    /// Whether whoever answered is not the gateway that was meant.
    #[must_use]
    pub fn is_wrong_gateway(&self) -> bool {
        matches!(self, Self::WrongKey | Self::Intercepted(_) | Self::Untrusted(_))
    }

    /// Which problem the gateway named, if it did.
    #[must_use]
    pub fn kind(&self) -> Option<ProblemKind> {
        match self {
            Self::Refused { problem, .. } => problem.kind(),
            _ => None,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused { problem, .. } => match problem.kind() {
                Some(
                    ProblemKind::InFlight
                    | ProblemKind::Timeout
                    | ProblemKind::TooManyRequests
                    | ProblemKind::AuditUnavailable
                    | ProblemKind::Unavailable
                    | ProblemKind::Replayed,
                ) => true,
                Some(_) => false,
                None => matches!(problem.status, 429 | 502 | 503 | 504),
            },
            Self::WrongKey
            | Self::Intercepted(_)
            | Self::Untrusted(_)
            | Self::Answer(_)
            | Self::TooMuch(_)
            | Self::Damaged(_)
            | Self::Request(_) => false,
        }
    }

    /// What a failed request for stored bytes means: that the gateway failed there, and not for the moment, is its store.
    pub(super) fn of_stored_bytes(self) -> Self {
        match self {
            Self::Refused { problem, .. } if problem.kind() == Some(ProblemKind::Internal) => {
                Self::Damaged(request_id(&problem))
            }
            other => other,
        }
    }

    /// Whether the gateway certainly did not do what was asked.
    #[must_use]
    pub fn is_definite_refusal(&self) -> bool {
        match self {
            Self::WrongKey | Self::Intercepted(_) | Self::Untrusted(_) | Self::Request(_) => true,
            // The organisation that exists already may be the one of a first try whose answer was lost.
            Self::Refused { problem, .. } => {
                let is_open = matches!(
                    problem.kind(),
                    Some(ProblemKind::InFlight | ProblemKind::AlreadyFounded)
                );
                problem.status < 500 && !is_open
            }
            Self::Unreachable(_) | Self::Answer(_) | Self::TooMuch(_) | Self::Damaged(_) => false,
        }
    }
}

/// The sentence of a problem: our own when its kind is known, so that a gateway cannot put words into our mouth.
fn refusal(problem: &Problem, local_time: u64, retry_after: Option<u64>) -> String {
    let Some(kind) = problem.kind() else {
        return format!(
            "The gateway refused with status {} for a reason that this client does not know; update the client.",
            problem.status
        );
    };
    let mut text = match (kind.status(), retry_after) {
        (429, Some(seconds)) => kind.title().replace(AS_LONG, &duration(seconds)),
        _ => kind.title().to_owned(),
    };
    if let (ProblemKind::ClockSkew, Some(time)) = (kind, problem.time) {
        let (theirs, ours) = (crate::time::local(time), crate::time::local(local_time));
        text.push_str(&format!(
            " The gateway's clock says {theirs}, this device's says {ours}."
        ));
    }
    if kind.status() >= 500 {
        text.push_str(&format!(" Request id: {}.", request_id(problem)));
    }
    text
}

/// How the sentences of problems name a time that the answer says.
const AS_LONG: &str = "as long as the answer says";

fn duration(seconds: u64) -> String {
    match seconds {
        1 => "1 second".to_owned(),
        0..=120 => format!("{seconds} seconds"),
        more => format!("{} minutes", more.div_ceil(60)),
    }
}

/// Without what could steer a terminal.
fn request_id(problem: &Problem) -> String {
    problem.req_id.chars().filter(char::is_ascii_graphic).take(64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clock_skew_shows_both_clocks() {
        let mut problem = Problem::new(ProblemKind::ClockSkew, "r".into());
        problem.time = Some(1_767_225_600);
        let shown = ApiError::Refused {
            problem: Box::new(problem),
            local_time: 1_767_229_200,
            retry_after: None,
        }
        .to_string();
        let (theirs, ours) = (crate::time::local(1_767_225_600), crate::time::local(1_767_229_200));
        assert!(shown.contains(&theirs) && shown.contains(&ours), "{shown}");
    }

    #[test]
    fn how_long_to_wait_is_said_once() {
        for kind in [ProblemKind::LinkDelayed, ProblemKind::TooManyRequests] {
            let told = |seconds| {
                let problem = Box::new(Problem::new(kind, "r".into()));
                let refused = ApiError::Refused {
                    problem,
                    local_time: 0,
                    retry_after: Some(seconds),
                };
                refused.to_string()
            };
            assert!(told(30).ends_with("; wait 30 seconds and try again."), "{}", told(30));
            assert!(told(1).contains(" 1 second ") && told(121).contains(" 3 minutes "));
        }
    }

    #[test]
    fn unknown_problems_are_not_repeated_to_people() {
        let mut problem = Problem::new(ProblemKind::Internal, "r".into());
        problem.urn = "urn:sealpost:problem:new".into();
        problem.title = "Call this number".into();
        let error = ApiError::Refused {
            problem: Box::new(problem),
            local_time: 0,
            retry_after: None,
        };
        assert!(!error.to_string().contains("Call"));
        assert_eq!(error.kind(), None);
    }
}
