//! `POST /v1/links/lookup` and `/v1/links/redeem`, `PATCH` and `DELETE /v1/links/{hash}`.

use axum::Json;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use sealpost_proto::api::{
    LinkLookupRequest, LinkLookupResponse, LinkPatch, LinkRedeemRequest, LinkRedeemResponse, StateResponse,
};
use sealpost_proto::id::Hash;

use super::Api;
use super::admit::WithJson;
use super::problem::ApiError;
use crate::access::Action;

/// Hash of a link's id in a path.
type LinkPath = Result<Path<Hash>, PathRejection>;

pub(super) async fn lookup(State(api): State<Api>, request: Request) -> Result<Json<LinkLookupResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<LinkLookupRequest>(request, Action::LookUpLink).await?;
    Ok(Json(api.service.look_up_link(&grant, value).await?))
}

pub(super) async fn redeem(State(api): State<Api>, request: Request) -> Result<Json<LinkRedeemResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<LinkRedeemRequest>(request, Action::RedeemLink).await?;
    Ok(Json(api.service.redeem_link(&grant, value).await?))
}

pub(super) async fn patch(
    State(api): State<Api>,
    path: LinkPath,
    request: Request,
) -> Result<Json<StateResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_json::<LinkPatch>(request, Action::ChangeLink).await?;
    Ok(Json(api.service.patch_link(&grant, path?.0, value).await?))
}

pub(super) async fn burn(
    State(api): State<Api>,
    path: LinkPath,
    request: Request,
) -> Result<Json<StateResponse>, ApiError> {
    let grant = api.admit(request, Action::ChangeLink).await?;
    Ok(Json(api.service.burn_link(&grant, path?.0).await?))
}
