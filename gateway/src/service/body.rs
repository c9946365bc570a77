//! The body of `POST /v1/transfers/{id}/seal`, as the use case takes it: pieces of the one buffer that came.

use bytes::Bytes;
use sealpost_proto::api::SealOptions;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::seal_request::SealRequest;
use zeroize::Zeroizing;

use crate::domain::Refusal;

/// The fields, as they came.
pub(super) struct SealBody {
    pub(super) options: SealOptions,
    pub(super) header: Bytes,
    pub(super) block: Bytes,
    pub(super) manifest_box: Bytes,
    pub(super) seal: Bytes,
    pub(super) share: Option<Zeroizing<[u8; 32]>>,
    pub(super) part: Option<Bytes>,
}

impl SealBody {
    /// Takes the body apart without copying.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn parse(body: &Bytes) -> Result<Self, Refusal> {
        let request = SealRequest::parse(body).map_err(|_| ProblemKind::BadRequest)?;
        let piece = |field: &[u8]| body.slice_ref(field);
        Ok(Self {
            header: piece(request.header),
            block: piece(request.block),
            manifest_box: piece(request.manifest_box),
            seal: piece(request.seal),
            share: request.share.try_into().ok().map(Zeroizing::new),
            part: (!request.part.is_empty()).then(|| piece(request.part)),
            options: request.options,
        })
    }
}
