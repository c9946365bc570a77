//! `POST /v1/transfers/{id}/open` and `/receipts`, `GET /v1/transfers/{id}/{leaves,manifest,payload}`.

use axum::Json;
use axum::extract::{Request, State};
use axum::response::Response;
use sealpost_proto::api::{OpenResponse, ReceiptResponse};
use sealpost_proto::id::TransferId;

use super::Api;
use super::admit::WithJson;
use super::object;
use super::problem::ApiError;
use super::transfers::TransferPath;
use crate::service::Wanted;

pub(super) async fn open(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<OpenResponse>, ApiError> {
    let WithJson {
        grant, value, signed, ..
    } = api.admit_open(request).await?;
    Ok(Json(api.service.open(&grant, path?.0, value, &signed).await?))
}

pub(super) async fn receipts(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
) -> Result<Json<ReceiptResponse>, ApiError> {
    let WithJson { grant, value, .. } = api.admit_receipt(request, id_of(&path)).await?;
    Ok(Json(api.service.take_receipt(&grant, path?.0, value).await?))
}

pub(super) async fn leaves(api: State<Api>, path: TransferPath, request: Request) -> Result<Response, ApiError> {
    stored(api, path, request, Wanted::Leaves).await
}

pub(super) async fn manifest(api: State<Api>, path: TransferPath, request: Request) -> Result<Response, ApiError> {
    stored(api, path, request, Wanted::Manifest).await
}

pub(super) async fn payload(api: State<Api>, path: TransferPath, request: Request) -> Result<Response, ApiError> {
    stored(api, path, request, Wanted::Payload).await
}

async fn stored(
    State(api): State<Api>,
    path: TransferPath,
    request: Request,
    wanted: Wanted,
) -> Result<Response, ApiError> {
    let range = request.headers().get(http::header::RANGE).cloned();
    let grant = api.admit_opener(request, id_of(&path)).await?;
    let found = api.service.object(&grant, &path?.0, wanted).await?;
    object::answer(found, range.as_ref()).await
}

fn id_of(path: &TransferPath) -> Option<&TransferId> {
    path.as_ref().ok().map(|path| &path.0)
}
