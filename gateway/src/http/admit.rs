//! From a request to a grant and its body. The head is verified before a byte of the body is read.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use sealpost_proto::api::{
    MAX_JSON_BODY, MAX_LINK_BODY, MAX_NEWCOMER_BODY, MAX_OPEN_BODY, MAX_SEAL_BODY, OpenRequest, ReceiptRequest,
};
use sealpost_proto::id::TransferId;
use sealpost_proto::problem::ProblemKind;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::input::{Incoming, json};
use super::middleware::{Limits, NewId, Peer, RequestId};
use super::problem::ApiError;
use crate::access::{Action, Admitted, Gatekeeper, Grant, Head};
use crate::service::Service;

/// All bodies that are in memory at once, in KiB: those of members, and those of strangers, who take no member's room.
const MEMBERS_ROOM: usize = 128 << 10;
const STRANGERS_ROOM: usize = 4 << 10;

/// Time for which a request waits for room.
const ROOM_TIMEOUT: Duration = Duration::from_secs(10);

/// Time for a whole body that is held in memory: while it arrives, it takes room.
const BODY_TIMEOUT: Duration = Duration::from_secs(120);

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

/// Room for bodies that are held in memory: whoever finds none waits before a byte is read, and not for long.
#[derive(Debug, Clone)]
pub struct BodyRoom {
    members: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self {
            members: Arc::new(Semaphore::new(MEMBERS_ROOM)),
            strangers: Arc::new(Semaphore::new(STRANGERS_ROOM)),
        }
    }
}

impl BodyRoom {
    /// Room for a body of `len` bytes, until what is returned is dropped.
    ///
    /// # Errors
    /// `unavailable` if there is none in time.
    async fn take(&self, action: Action, len: u64) -> Result<OwnedSemaphorePermit, ProblemKind> {
        let room = if is_strangers(action) {
            &self.strangers
        } else {
            &self.members
        };
        let kib = u32::try_from(len.div_ceil(1024)).map_err(|_| ProblemKind::TooLarge)?;
        let permit = timeout(ROOM_TIMEOUT, Arc::clone(room).acquire_many_owned(kib)).await;
        permit.ok().and_then(Result::ok).ok_or(ProblemKind::Unavailable)
    }
}

/// A granted request with its body, which takes room as long as this lives.
pub(super) struct WithBody {
    pub(super) grant: Grant,
    pub(super) body: Bytes,
    pub(super) room: OwnedSemaphorePermit,
}

/// A granted request with a JSON body, and that body as it was signed.
pub(super) struct WithJson<T> {
    pub(super) grant: Grant,
    pub(super) value: T,
    pub(super) signed: Bytes,
    _room: OwnedSemaphorePermit,
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
        self.admit_json_of(request, action, json_limit(action)).await
    }

    /// A request without a body for what an opening of this transfer gives.
    pub(super) async fn admit_opener(
        &self,
        request: Request,
        transfer: Option<&TransferId>,
    ) -> Result<Grant, ApiError> {
        let (parts, _) = request.into_parts();
        Ok(self.recognise_opener(&parts, transfer).await?.without_digest()?)
    }

    /// A receipt for an opening of this transfer.
    pub(super) async fn admit_receipt(
        &self,
        request: Request,
        transfer: Option<&TransferId>,
    ) -> Result<WithJson<ReceiptRequest>, ApiError> {
        let (parts, body) = request.into_parts();
        check_head(&parts, JSON)?;
        let admitted = self.recognise_opener(&parts, transfer).await?;
        WithJson::of(self.body_of(admitted, body, Action::Open, MAX_JSON_BODY).await?)
    }

    /// A request to open: what it says is kept, so it is short.
    pub(super) async fn admit_open(&self, request: Request) -> Result<WithJson<OpenRequest>, ApiError> {
        self.admit_json_of(request, Action::Open, MAX_OPEN_BODY).await
    }

    async fn admit_json_of<T: DeserializeOwned>(
        &self,
        request: Request,
        action: Action,
        limit: usize,
    ) -> Result<WithJson<T>, ApiError> {
        WithJson::of(self.admit_body(request, action, JSON, limit).await?)
    }

    /// A request to seal.
    pub(super) async fn admit_seal(&self, request: Request) -> Result<WithBody, ApiError> {
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
    ) -> Result<WithBody, ApiError> {
        let (parts, body) = request.into_parts();
        check_head(&parts, media_type)?;
        let admitted = self.recognise(&parts, action).await?;
        self.body_of(admitted, body, action, limit).await
    }

    async fn body_of(
        &self,
        admitted: Admitted,
        body: Body,
        action: Action,
        limit: usize,
    ) -> Result<WithBody, ApiError> {
        let stated = admitted.content_length().ok_or(ProblemKind::LengthRequired)?;
        if stated > limit as u64 {
            return Err(ProblemKind::TooLarge.into());
        }
        let room = self.room.take(action, stated).await?;
        let arrived = timeout(BODY_TIMEOUT, Incoming::new(body).collect(limit)).await;
        let body = arrived.map_err(|_| ProblemKind::Timeout)??;
        Ok(WithBody {
            grant: admitted.with_body(&body)?,
            body,
            room,
        })
    }

    async fn recognise(&self, parts: &Parts, action: Action) -> Result<Admitted, ApiError> {
        let (head, peer, req_id) = asked(parts);
        let admitted = match action {
            _ if is_strangers(action) => self.gatekeeper.welcome(&head, action, peer, req_id),
            _ => self.gatekeeper.admit(&head, action, peer, req_id).await,
        };
        Ok(admitted?)
    }

    /// A path that names no transfer has no opening: only a device of the directory gets as far as to hear that.
    async fn recognise_opener(&self, parts: &Parts, transfer: Option<&TransferId>) -> Result<Admitted, ApiError> {
        let Some(transfer) = transfer else {
            return self.recognise(parts, Action::Open).await;
        };
        let (head, peer, req_id) = asked(parts);
        Ok(self.gatekeeper.admit_opener(&head, transfer, peer, req_id).await?)
    }
}

impl<T: DeserializeOwned> WithJson<T> {
    fn of(WithBody { grant, body, room }: WithBody) -> Result<Self, ApiError> {
        Ok(Self {
            grant,
            value: json(&body)?,
            signed: body,
            _room: room,
        })
    }
}

/// What of a request its signature covers, where it came from, and its id.
fn asked(parts: &Parts) -> (Head<'_>, Option<Peer>, &str) {
    let head = Head {
        method: parts.method.as_str(),
        path: parts.uri.path(),
        query: parts.uri.query().unwrap_or_default(),
        headers: &parts.headers,
    };
    let peer = parts.extensions.get::<Peer>().copied();
    let req_id = parts.extensions.get::<RequestId>().map_or("", |id| id.0.as_str());
    (head, peer, req_id)
}

/// Whether somebody whom no statement names may ask for it.
fn is_strangers(action: Action) -> bool {
    matches!(
        action,
        Action::Found | Action::Enrol | Action::LookUpLink | Action::RedeemLink
    )
}

/// Longest JSON body, in bytes.
fn json_limit(action: Action) -> usize {
    match action {
        Action::LookUpLink | Action::RedeemLink => MAX_LINK_BODY,
        Action::Found | Action::Enrol => MAX_NEWCOMER_BODY,
        _ => MAX_JSON_BODY,
    }
}

/// No route with a body has a query; an opening's would be kept with its signature base.
fn check_head(parts: &Parts, media_type: &str) -> Result<(), ProblemKind> {
    check_media_type(parts, media_type)?;
    match parts.uri.query() {
        None | Some("") => Ok(()),
        Some(_) => Err(ProblemKind::BadRequest),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn strangers_take_no_room_of_members_and_nobody_waits_for_ever() {
        let room = BodyRoom::default();
        let whole = room.take(Action::Enrol, (STRANGERS_ROOM as u64) << 10).await.unwrap();
        for action in [Action::Enrol, Action::Found, Action::LookUpLink, Action::RedeemLink] {
            assert_eq!(room.take(action, 1).await.err(), Some(ProblemKind::Unavailable));
        }
        let members = room.take(Action::Send, (MEMBERS_ROOM as u64) << 10).await.unwrap();
        assert_eq!(
            room.take(Action::ReadSelf, 1).await.err(),
            Some(ProblemKind::Unavailable),
            "short bodies count as well"
        );
        drop((whole, members));
        assert!(room.take(Action::Enrol, 1).await.is_ok() && room.take(Action::Send, 1).await.is_ok());
    }
}
