//! `/v1/invites`, `/v1/enrol/redeem`.

use axum::Json;
use axum::extract::{Request, State};
use http::StatusCode;
use sealpost_proto::api::{InviteRequest, InvitesResponse, RedeemRequest, RedeemResponse};

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use crate::access::Action;

pub(super) async fn invite(State(api): State<Api>, request: Request) -> Result<StatusCode, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<InviteRequest>(request, Action::Invite).await?;
    api.service.invite(&grant, value).await?;
    Ok(StatusCode::CREATED)
}

pub(super) async fn invites(State(api): State<Api>, request: Request) -> Result<Json<InvitesResponse>, ApiError> {
    let grant = api.admit(request, Action::ReadInvites).await?;
    Ok(Json(api.service.invites(&grant).await?))
}

pub(super) async fn redeem(State(api): State<Api>, request: Request) -> Result<Json<RedeemResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<RedeemRequest>(request, Action::Enrol).await?;
    Ok(Json(api.service.redeem(&grant, value).await?))
}
