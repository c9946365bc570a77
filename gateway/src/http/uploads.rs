//! `POST /v1/transfers`, `PUT` and `GET /v1/transfers/{id}/parts`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use http::StatusCode;
use http::request::Parts;
use sealpost_proto::api::{AnnounceRequest, PartsResponse};
use sealpost_proto::http_signature::parse_part_root;
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::problem::ProblemKind;

use tokio::time::Instant;

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use super::transfers::TransferPath;
use crate::access::Action;

pub(super) async fn announce(State(api): State<Api>, request: Request) -> Result<StatusCode, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<AnnounceRequest>(request, Action::Send).await?;
    api.service.announce(&grant, value).await?;
    Ok(StatusCode::CREATED)
}

pub(super) async fn parts(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<PartsResponse>, ApiError> {
    let grant = api.admit(request, Action::Send).await?;
    Ok(Json(api.service.parts(&grant, &path?.0).await?))
}

/// The bytes are hashed and written while they arrive.
pub(super) async fn put_part(
    State(api): State<Api>,
    path: Result<Path<(TransferId, u32)>, PathRejection>,
    request: Request,
) -> Result<StatusCode, ApiError> {
    let (grant, head, len, mut body) = api.admit_part(request).await?;
    let Path((transfer, number)) = path?;
    let root = part_root(&head).ok_or(ProblemKind::BadRequest)?;
    let mut upload = api.service.begin_part(&grant, transfer, number, len, root).await?;
    while let Some(bytes) = body.next().await? {
        let begun = Instant::now();
        upload.write(bytes).await?;
        body.forgive(begun.elapsed());
    }
    if upload.finish().await? {
        Ok(StatusCode::CREATED)
    } else {
        Ok(StatusCode::OK)
    }
}

fn part_root(head: &Parts) -> Option<Hash> {
    let value = head.headers.get("sealpost-part-root")?;
    parse_part_root(value.to_str().ok()?)
}
