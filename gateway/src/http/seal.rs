//! `POST /v1/transfers/{id}/seal`.

use axum::Json;
use axum::extract::{Request, State};
use sealpost_proto::api::SealResponse;

use super::Api;
use super::problem::ApiError;
use super::transfers::TransferPath;

pub(super) async fn seal(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<SealResponse>, ApiError> {
    let (grant, body) = api.admit_seal(request).await?;
    Ok(Json(api.service.seal(&grant, path?.0, body).await?))
}
