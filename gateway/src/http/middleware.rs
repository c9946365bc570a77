//! What happens around every request: id, span, limits on the head, deadline, headers of the answer.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, header};
use sealpost_proto::problem::ProblemKind;
use tracing::Instrument;

use super::Api;
use super::limits::AddressLimits;
use super::problem::{ApiError, explain};
pub(super) use crate::access::Peer;

/// Longest target of a request.
const MAX_TARGET: usize = 4 * 1024;

/// Most header fields, and most bytes of them.
pub(super) const MAX_HEADERS: usize = 64;
pub(super) const MAX_HEADER_BYTES: u32 = 16 * 1024;

/// Bounds on requests.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Longest time from a request's head to the head of its answer, for all but parts.
    pub deadline: Duration,
    /// How often one network address may ask.
    pub addresses: Arc<AddressLimits>,
}

/// Draws ids for requests.
#[derive(Clone)]
pub struct NewId(pub Arc<dyn Fn() -> String + Send + Sync>);

impl fmt::Debug for NewId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NewId")
    }
}

/// Id of a request: in its log lines, its leaves and its problem document.
#[derive(Debug, Clone)]
pub(super) struct RequestId(pub(super) String);

/// Gives the request its id and its span, and writes the problem document if it fails. No names, no query.
pub(super) async fn frame(State(api): State<Api>, mut request: Request, next: Next) -> Response {
    let begun = Instant::now();
    let req_id = (api.new_id.0)();
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str)
        .to_owned();
    let peer = request
        .extensions()
        .get::<Peer>()
        .map(Peer::truncated)
        .unwrap_or_default();
    let span = tracing::info_span!("request", %req_id, method = %request.method(), route, peer);
    request.extensions_mut().insert(RequestId(req_id.clone()));
    let answer = async {
        let answer = explain(next.run(request).await, &req_id);
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(status = answer.status().as_u16(), millis, "answered");
        answer
    };
    answer.instrument(span).await
}

/// Refuses a head that is larger than any client of ours sends.
pub(super) async fn limit_head(request: Request, next: Next) -> Response {
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let headers = request.headers();
    let bytes: usize = headers
        .iter()
        .map(|(name, value)| name.as_str().len() + value.len() + 4)
        .sum();
    // Every body states its length; a message with both lengths is a way to smuggle another into it.
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return ApiError::from(ProblemKind::BadRequest).into_response();
    }
    if target > MAX_TARGET || headers.len() > MAX_HEADERS || bytes > MAX_HEADER_BYTES as usize {
        return ApiError::from(ProblemKind::TooLarge).into_response();
    }
    next.run(request).await
}

/// Ends a request that takes too long.
pub(super) async fn deadline(State(api): State<Api>, request: Request, next: Next) -> Response {
    match tokio::time::timeout(api.limits.deadline, next.run(request)).await {
        Ok(answer) => answer,
        Err(_) => ApiError::from(ProblemKind::Timeout).into_response(),
    }
}

/// Headers of every answer: nothing is stored, framed, sniffed or referred to.
pub(super) async fn security_headers(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 6] = [
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    let mut answer = next.run(request).await;
    // The one page there is allows itself its own style, which it names by its hash.
    let own_policy = answer.headers().get(header::CONTENT_SECURITY_POLICY).cloned();
    for (name, value) in HEADERS {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    if let Some(policy) = own_policy {
        answer.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_truncated() {
        let shown = |text: &str| Peer(text.parse().unwrap()).truncated();
        assert_eq!(shown("192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("::ffff:192.0.2.77"), "192.0.2.0/24");
        assert_eq!(shown("2001:db8:1:2:3:4:5:6"), "2001:db8:1::/48");
    }
}
