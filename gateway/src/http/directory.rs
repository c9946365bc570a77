//! `/v1/statements`, `/v1/directory/...`.

use axum::Json;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, Request, State};
use sealpost_proto::api::{AddressesResponse, DirectoryHead, StatementsRequest, StatementsResponse};
use sealpost_proto::id::Hash;
use serde::Deserialize;

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use crate::access::Action;

/// `?from=`: an index in a log.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct From {
    #[serde(default)]
    pub(super) from: u64,
}

pub(super) type FromQuery = Result<Query<From>, QueryRejection>;

/// Lines, each with its LF.
pub(super) fn lines(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

pub(super) async fn append(State(api): State<Api>, request: Request) -> Result<Json<DirectoryHead>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<StatementsRequest>(request, Action::Append).await?;
    Ok(Json(api.service.append(&grant, value).await?))
}

pub(super) async fn statements(
    State(api): State<Api>,
    query: FromQuery,
    request: Request,
) -> Result<Json<StatementsResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadDirectory).await?;
    Ok(Json(api.service.statements(&grant, query?.from).await?))
}

pub(super) async fn statement(
    State(api): State<Api>,
    path: Result<Path<Hash>, PathRejection>,
    request: Request,
) -> Result<String, ApiError> {
    let grant = api.admit(request, Action::ReadDirectory).await?;
    Ok(api.service.statement(&grant, &path?.0).await?)
}

pub(super) async fn checkpoint(State(api): State<Api>, request: Request) -> Result<String, ApiError> {
    let grant = api.admit(request, Action::ReadDirectory).await?;
    Ok(api.service.directory_checkpoint(&grant).await?)
}

pub(super) async fn leaves(State(api): State<Api>, query: FromQuery, request: Request) -> Result<String, ApiError> {
    let grant = api.admit(request, Action::ReadDirectory).await?;
    Ok(lines(&api.service.directory_leaves(&grant, query?.from).await?))
}

pub(super) async fn addresses(State(api): State<Api>, request: Request) -> Result<Json<AddressesResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadDirectory).await?;
    Ok(Json(api.service.addresses(&grant).await?))
}
