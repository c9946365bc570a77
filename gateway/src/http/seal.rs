//! `POST /v1/transfers/{id}/seal`.

use axum::Json;
use axum::extract::{Request, State};
use sealpost_proto::api::SealResponse;
use sealpost_proto::problem::ProblemKind;

use super::Api;
use super::admit::WithBody;
use super::problem::ApiError;
use super::transfers::TransferPath;
use crate::access::AccessError;
use crate::service::Error;

pub(super) async fn seal(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<SealResponse>, ApiError> {
    let WithBody { grant, body, room } = api.admit_seal(request).await?;
    let answer = api
        .service
        .seal(&grant, path?.0, body)
        .await
        .map_err(|error| told(&api, error));
    drop(room);
    Ok(Json(answer?))
}

/// A sender whose clock is wrong is told the time.
fn told(api: &Api, error: Error) -> ApiError {
    if error.kind() == ProblemKind::ClockSkew {
        let now = api.service.info().time;
        return AccessError::ClockSkew { now }.into();
    }
    error.into()
}
