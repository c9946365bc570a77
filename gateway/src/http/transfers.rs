//! `GET /v1/inbox`, `GET /v1/transfers`, `GET` and `DELETE /v1/transfers/{id}`, `POST /v1/transfers/{id}/rearm`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use sealpost_proto::api::{RearmRequest, StateResponse, TransferSummary, TransfersResponse};
use sealpost_proto::id::TransferId;
use sealpost_proto::problem::ProblemKind;
use serde::Deserialize;

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use crate::access::Action;

/// `?before=&limit=`: a page of a list, newest first.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PageQuery {
    #[serde(default)]
    before: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
}

/// `?before=&limit=` or `?after=&limit=`: a page of the inbox, newest or oldest first.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct InboxQuery {
    #[serde(default)]
    before: Option<u64>,
    #[serde(default)]
    after: Option<u64>,
    #[serde(default)]
    limit: Option<usize>,
}

/// A transfer's id in a path.
pub(super) type TransferPath = Result<Path<TransferId>, PathRejection>;

pub(super) async fn inbox(
    State(api): State<Api>,
    query: Result<Query<InboxQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<TransfersResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadTransfers).await?;
    let Query(page) = query?;
    let answer = match (page.before, page.after) {
        (before, None) => api.service.inbox(&grant, before, page.limit).await?,
        (None, Some(after)) => api.service.inbox_after(&grant, after, page.limit).await?,
        (Some(_), Some(_)) => return Err(ProblemKind::BadRequest.into()),
    };
    Ok(Json(answer))
}

pub(super) async fn sent(
    State(api): State<Api>,
    query: Result<Query<PageQuery>, QueryRejection>,
    request: Request,
) -> Result<Json<TransfersResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadTransfers).await?;
    let Query(page) = query?;
    Ok(Json(api.service.sent(&grant, page.before, page.limit).await?))
}

pub(super) async fn transfer(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<TransferSummary>, ApiError> {
    let grant = api.admit(request, Action::ReadTransfers).await?;
    Ok(Json(api.service.transfer(&grant, &path?.0).await?))
}

pub(super) async fn revoke(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<StateResponse>, ApiError> {
    let grant = api.admit(request, Action::Revoke).await?;
    Ok(Json(api.service.revoke(&grant, path?.0).await?))
}

pub(super) async fn rearm(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<StateResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<RearmRequest>(request, Action::Rearm).await?;
    Ok(Json(api.service.rearm(&grant, path?.0, value).await?))
}
