//! `/v1/audit/...`.

use axum::extract::{Request, State};

use super::Api;
use super::directory::{FromQuery, lines};
use super::problem::ApiError;
use crate::access::Action;

pub(super) async fn checkpoint(State(api): State<Api>, request: Request) -> Result<String, ApiError> {
    let grant = api.admit(request, Action::ReadAudit).await?;
    Ok(api.service.audit_checkpoint(&grant).await?)
}

pub(super) async fn leaves(State(api): State<Api>, query: FromQuery, request: Request) -> Result<String, ApiError> {
    let grant = api.admit(request, Action::ReadAudit).await?;
    Ok(lines(&api.service.audit_leaves(&grant, query?.from).await?))
}
