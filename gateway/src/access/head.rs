//! What of a request's head a signature can cover, each header at most once.

use http::{HeaderMap, HeaderName};
use sealpost_proto::http_signature::{HttpSignatureError, ReceivedSignature, Request};
use sealpost_proto::problem::ProblemKind;

/// Method, target and headers of a request, as they came.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Path as it came, not normalised.
    pub path: &'a str,
    /// Query without `?`; empty if there is none.
    pub query: &'a str,
    /// Headers.
    pub headers: &'a HeaderMap,
}

const SIGNATURE_INPUT: HeaderName = HeaderName::from_static("signature-input");
const SIGNATURE: HeaderName = HeaderName::from_static("signature");
const SEEN: HeaderName = HeaderName::from_static("sealpost-seen");
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PART_ROOT: HeaderName = HeaderName::from_static("sealpost-part-root");

impl<'a> Head<'a> {
    /// The signature as received.
    pub(super) fn signature(&self) -> Result<ReceivedSignature, ProblemKind> {
        let input = self.one(&SIGNATURE_INPUT)?.ok_or(ProblemKind::Unauthenticated)?;
        let signature = self.one(&SIGNATURE)?.ok_or(ProblemKind::Unauthenticated)?;
        ReceivedSignature::parse(input, signature).map_err(refused)
    }

    /// What a signature covers, for the gateway that is reached under `authority`.
    pub(super) fn covered(&self, authority: &'a str) -> Result<Request<'a>, ProblemKind> {
        let request = Request {
            method: self.method,
            authority,
            path: self.path,
            query: self.query,
            seen: self.one(&SEEN)?,
            content_digest: self.one(&CONTENT_DIGEST)?,
            content_length: self.one(&http::header::CONTENT_LENGTH)?,
            idempotency_key: self.one(&IDEMPOTENCY_KEY)?,
            part_root: self.one(&PART_ROOT)?,
        };
        let has_body = matches!(self.method, "POST" | "PUT" | "PATCH");
        if has_body && request.content_length.is_none() {
            return Err(ProblemKind::LengthRequired);
        }
        let key = request.idempotency_key.map(uuid::Uuid::try_parse);
        if key.is_some_and(|key| key.is_err()) {
            return Err(ProblemKind::BadRequest);
        }
        Ok(request)
    }

    /// The value of a header that may stand once.
    fn one(&self, name: &HeaderName) -> Result<Option<&'a str>, ProblemKind> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next();
        if values.next().is_some() {
            return Err(ProblemKind::Unauthenticated);
        }
        let text = first.map(|value| value.to_str()).transpose();
        text.map_err(|_| ProblemKind::Unauthenticated)
    }
}

/// All that is wrong with a signature is one problem: a caller learns nothing from the difference.
pub(super) fn refused(_: HttpSignatureError) -> ProblemKind {
    ProblemKind::Unauthenticated
}
