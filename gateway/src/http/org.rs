//! `/v1/info`, `/v1/org`, `/v1/me`.

use axum::Json;
use axum::extract::{Request, State};
use sealpost_proto::api::{DirectoryHead, Info, MeResponse, OrgRequest};

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use crate::access::Action;

pub(super) async fn info(State(api): State<Api>) -> Json<Info> {
    Json(api.service.info())
}

pub(super) async fn found(State(api): State<Api>, request: Request) -> Result<Json<DirectoryHead>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<OrgRequest>(request, Action::Found).await?;
    Ok(Json(api.service.found(&grant, value).await?))
}

pub(super) async fn me(State(api): State<Api>, request: Request) -> Result<Json<MeResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadSelf).await?;
    Ok(Json(api.service.me(&grant).await?))
}
