//! The only place where errors become answers.
//!
//! An answer to a failed request first carries its [`Trouble`] alone; the outermost layer, which knows the request's id, writes
//! the problem document. Details of stores and drivers go to the log, never to the caller.

use axum::body::Body;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sealpost_proto::problem::{MEDIA_TYPE, Problem, ProblemKind};
use sealpost_proto::sealed::Reason;

use crate::access::AccessError;
use crate::service;

/// What a problem document will say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trouble {
    kind: ProblemKind,
    reason: Option<Reason>,
    time: Option<u64>,
    /// Seconds after which the same request may succeed.
    retry_after: Option<u64>,
}

impl Trouble {
    fn document(self, req_id: &str) -> Problem {
        let mut problem = Problem::new(self.kind, req_id.to_owned());
        problem.reason = self.reason;
        problem.time = self.time;
        problem
    }
}

/// Why a request failed.
#[derive(Debug)]
pub(super) enum ApiError {
    /// It did not become a grant.
    Access(AccessError),
    /// The use case failed.
    Service(service::Error),
    /// It is not in the form that the route asks for.
    Form(ProblemKind),
}

impl From<AccessError> for ApiError {
    fn from(error: AccessError) -> Self {
        Self::Access(error)
    }
}

impl From<service::Error> for ApiError {
    fn from(error: service::Error) -> Self {
        Self::Service(error)
    }
}

impl From<ProblemKind> for ApiError {
    fn from(kind: ProblemKind) -> Self {
        Self::Form(kind)
    }
}

/// A path that is not made of ids names nothing.
impl From<PathRejection> for ApiError {
    fn from(_: PathRejection) -> Self {
        Self::Form(ProblemKind::NotFound)
    }
}

impl From<QueryRejection> for ApiError {
    fn from(_: QueryRejection) -> Self {
        Self::Form(ProblemKind::BadRequest)
    }
}

impl ApiError {
    fn trouble(&self) -> Trouble {
        Trouble {
            kind: self.kind(),
            reason: match self {
                Self::Service(error) => error.reason(),
                Self::Access(_) | Self::Form(_) => None,
            },
            time: match self {
                Self::Access(AccessError::ClockSkew { now }) => Some(*now),
                _ => None,
            },
            retry_after: match self {
                Self::Access(AccessError::TooManyRequests { wait }) => Some(wait.0),
                Self::Service(service::Error::Delayed { wait }) => Some(*wait),
                _ => None,
            },
        }
    }

    fn kind(&self) -> ProblemKind {
        match self {
            Self::Form(kind) => *kind,
            Self::Access(error) => error.kind(),
            Self::Service(error) => error.kind(),
        }
    }

    /// The whole story, for the operator, when it is the gateway's fault.
    fn log(&self) {
        match self {
            Self::Access(AccessError::Store(source) | AccessError::Audit(source))
            | Self::Service(service::Error::Store(source) | service::Error::Audit(source)) => {
                tracing::error!(error = ?source, "a store failed");
            }
            _ => {}
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.log();
        let trouble = self.trouble();
        let mut response = status(trouble.kind).into_response();
        let wait = trouble.retry_after.or_else(|| usual_wait(trouble.kind));
        let wait = wait.map(|seconds| (header::RETRY_AFTER, HeaderValue::from(seconds)));
        response.headers_mut().extend(wait);
        response.extensions_mut().insert(trouble);
        response
    }
}

/// Writes the problem document of an answer that says that something went wrong. Other headers stay as they are.
pub(super) fn explain(response: Response, req_id: &str) -> Response {
    let is_failure = response.status().is_client_error() || response.status().is_server_error();
    if !is_failure {
        return response;
    }
    let (mut parts, _) = response.into_parts();
    let trouble = parts.extensions.remove::<Trouble>();
    let trouble = trouble.unwrap_or_else(|| by_status(parts.status));
    let document = serde_json::to_vec(&trouble.document(req_id)).unwrap_or_default();
    parts.status = status(trouble.kind);
    parts
        .headers
        .insert(header::CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    parts
        .headers
        .insert(header::CONTENT_LENGTH, HeaderValue::from(document.len()));
    Response::from_parts(parts, Body::from(document))
}

/// For answers that libraries below us made.
fn by_status(status: StatusCode) -> Trouble {
    let kind = match status.as_u16() {
        404 => ProblemKind::NotFound,
        405 => ProblemKind::MethodNotAllowed,
        408 => ProblemKind::Timeout,
        413 => ProblemKind::TooLarge,
        415 => ProblemKind::UnsupportedMediaType,
        400..=499 => ProblemKind::BadRequest,
        503 => ProblemKind::Unavailable,
        _ => ProblemKind::Internal,
    };
    Trouble {
        kind,
        reason: None,
        time: None,
        retry_after: None,
    }
}

/// Seconds to wait when nothing says it more exactly: a cache of nonces forgets within a minute.
fn usual_wait(kind: ProblemKind) -> Option<u64> {
    (kind == ProblemKind::TooManyRequests).then_some(60)
}

fn status(kind: ProblemKind) -> StatusCode {
    StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

/// For paths that the API does not have.
pub(super) async fn not_found() -> ApiError {
    ProblemKind::NotFound.into()
}

/// For methods that a path does not have.
pub(super) async fn method_not_allowed() -> ApiError {
    ProblemKind::MethodNotAllowed.into()
}
