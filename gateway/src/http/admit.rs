//! From a request to a grant and its body. The head is verified before a byte of the body is read.

use std::sync::Arc;

use axum::extract::Request;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use sealpost_proto::api::{MAX_JSON_BODY, MAX_SEAL_BODY};
use sealpost_proto::problem::ProblemKind;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::input::{Incoming, json};
use super::middleware::{Limits, NewId, Peer, RequestId};
use super::problem::ApiError;
use crate::access::{Action, Admitted, Gatekeeper, Grant, Head};
use crate::service::Service;

/// All bodies of more than 1 MiB that are in memory at once, in MiB.
const ROOM: usize = 128;

const JSON: &str = "application/json";
const BINARY: &str = "application/octet-stream";

/// What handlers stand on. Clones share everything.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports behind it have none")]
pub struct Api {
    /// The use cases.
    pub service: Service,
    /// Recognises callers.
    pub gatekeeper: Arc<Gatekeeper>,
    /// Bounds on requests.
    pub limits: Limits,
    /// Draws request ids.
    pub new_id: NewId,
    /// Room for bodies that are held in memory.
    pub room: BodyRoom,
}

/// Room for long bodies, in MiB: whoever finds none waits before a byte is read.
#[derive(Debug, Clone)]
pub struct BodyRoom(Arc<Semaphore>);

impl Default for BodyRoom {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(ROOM)))
    }
}

/// A granted request with a JSON body, and that body as it was signed.
pub(super) struct WithJson<T> {
    pub(super) grant: Grant,
    pub(super) value: T,
    pub(super) signed: Bytes,
}

impl Api {
    /// A request without a body.
    pub(super) async fn admit(&self, request: Request, action: Action) -> Result<Grant, ApiError> {
        let (parts, _) = request.into_parts();
        Ok(self.recognise(&parts, action).await?.without_digest()?)
    }

    /// A request with a JSON body.
    pub(super) async fn admit_json<T: DeserializeOwned>(
        &self,
        request: Request,
        action: Action,
    ) -> Result<WithJson<T>, ApiError> {
        let (grant, signed) = self.admit_body(request, action, JSON, MAX_JSON_BODY).await?;
        let value = json(&signed)?;
        Ok(WithJson { grant, value, signed })
    }

    /// A request to seal.
    pub(super) async fn admit_seal(&self, request: Request) -> Result<(Grant, Bytes), ApiError> {
        self.admit_body(request, Action::Send, BINARY, MAX_SEAL_BODY).await
    }

    /// A part: its bytes are not covered by a digest, but by the root that the signature covers.
    pub(super) async fn admit_part(&self, request: Request) -> Result<(Grant, Parts, u64, Incoming), ApiError> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts, BINARY)?;
        let admitted = self.recognise(&parts, Action::Send).await?;
        let len = admitted.content_length().ok_or(ProblemKind::LengthRequired)?;
        Ok((admitted.without_digest()?, parts, len, Incoming::new(body)))
    }

    async fn admit_body(
        &self,
        request: Request,
        action: Action,
        media_type: &str,
        limit: usize,
    ) -> Result<(Grant, Bytes), ApiError> {
        let (parts, body) = request.into_parts();
        check_media_type(&parts, media_type)?;
        let admitted = self.recognise(&parts, action).await?;
        let stated = admitted.content_length().ok_or(ProblemKind::LengthRequired)?;
        if stated > limit as u64 {
            return Err(ProblemKind::TooLarge.into());
        }
        let _room = self.room_for(stated).await?;
        let body = Incoming::new(body).collect(limit).await?;
        Ok((admitted.with_body(&body)?, body))
    }

    /// Room for a body of `len` bytes; short ones need none.
    async fn room_for(&self, len: u64) -> Result<Option<SemaphorePermit<'_>>, ProblemKind> {
        if len <= MAX_JSON_BODY as u64 {
            return Ok(None);
        }
        let mib = u32::try_from(len >> 20).unwrap_or(u32::MAX);
        let permit = self.room.0.acquire_many(mib).await;
        permit.map(Some).map_err(|_| ProblemKind::Unavailable)
    }

    async fn recognise(&self, parts: &Parts, action: Action) -> Result<Admitted, ApiError> {
        let head = Head {
            method: parts.method.as_str(),
            path: parts.uri.path(),
            query: parts.uri.query().unwrap_or_default(),
            headers: &parts.headers,
        };
        let peer = parts.extensions.get::<Peer>().map(Peer::truncated);
        let req_id = parts.extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
        let admitted = match action {
            Action::Found | Action::Enrol => self.gatekeeper.welcome(&head, action, peer, req_id),
            _ => self.gatekeeper.admit(&head, action, peer, req_id).await,
        };
        Ok(admitted?)
    }
}

fn check_media_type(parts: &Parts, expected: &str) -> Result<(), ProblemKind> {
    let given = parts.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let essence = given.and_then(|value| value.split(';').next()).map(str::trim);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case(expected)) {
        Ok(())
    } else {
        Err(ProblemKind::UnsupportedMediaType)
    }
}
