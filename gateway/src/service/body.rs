//! The binary body of `POST /v1/transfers/{id}/seal`: eight fields, each `u32 len ‖ bytes`.

use bytes::{Buf, Bytes};
use sealpost_proto::api::SealOptions;
use sealpost_proto::problem::ProblemKind;
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
    /// Takes the body apart.
    ///
    /// # Errors
    /// `bad_request`.
    pub(super) fn parse(mut body: Bytes) -> Result<Self, Refusal> {
        let mut field = || field(&mut body);
        let options = options(&field()?)?;
        let (header, block, manifest_box, seal) = (field()?, field()?, field()?, field()?);
        let share = share(&field()?)?;
        let (audit, part) = (field()?, field()?);
        // There is no auditor key yet, so nobody can have sealed anything to it.
        if !body.is_empty() || !audit.is_empty() {
            return Err(ProblemKind::BadRequest.into());
        }
        Ok(Self {
            options,
            header,
            block,
            manifest_box,
            seal,
            share,
            part: (!part.is_empty()).then_some(part),
        })
    }
}

fn field(body: &mut Bytes) -> Result<Bytes, Refusal> {
    let len = body.try_get_u32().map_err(|_| ProblemKind::BadRequest)?;
    let len = usize::try_from(len).map_err(|_| ProblemKind::BadRequest)?;
    if len > body.len() {
        return Err(ProblemKind::BadRequest.into());
    }
    Ok(body.split_to(len))
}

fn options(field: &Bytes) -> Result<SealOptions, Refusal> {
    if field.is_empty() {
        return Ok(SealOptions::default());
    }
    serde_json::from_slice(field).map_err(|_| ProblemKind::BadRequest.into())
}

fn share(field: &Bytes) -> Result<Option<Zeroizing<[u8; 32]>>, Refusal> {
    if field.is_empty() {
        return Ok(None);
    }
    let share: Result<[u8; 32], _> = field.as_ref().try_into();
    share
        .map(|share| Some(Zeroizing::new(share)))
        .map_err(|_| ProblemKind::BadRequest.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(fields: &[&[u8]]) -> Bytes {
        let framed = fields
            .iter()
            .map(|f| [&u32::try_from(f.len()).unwrap().to_be_bytes(), *f].concat());
        framed.collect::<Vec<_>>().concat().into()
    }

    #[test]
    fn takes_eight_fields_and_nothing_else() {
        let good: [&[u8]; 8] = [br#"{"openings":3}"#, b"h", b"b", b"m", b"s", &[7; 32], b"", b""];
        let parsed = SealBody::parse(body(&good)).ok().unwrap();
        assert_eq!(parsed.options.openings, Some(3));
        assert_eq!(parsed.share.as_deref(), Some(&[7; 32]));
        assert!(parsed.part.is_none());
        let with = |place: usize, field: &'static [u8]| {
            let mut fields = good;
            fields[place] = field;
            body(&fields)
        };
        for bad in [
            body(&good[..7]),
            [&body(&good)[..], b"x"].concat().into(),
            with(0, br#"{"opening":3}"#),
            with(0, b"{"),
            with(5, &[7; 31]),
            with(6, b"sealed"),
            body(&good).slice(..10),
            Bytes::new(),
            Bytes::from_static(&[0xff; 8]),
        ] {
            assert!(SealBody::parse(bad).is_err());
        }
    }
}
