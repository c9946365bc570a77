//! The binary body of `POST /v1/transfers/{id}/seal`: eight fields, each `u32 len || bytes` (proto/spec/api.md).

use thiserror::Error;

use crate::api::SealOptions;

/// A body that is not eight fields of their forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the body is not a request to seal of version 1")]
pub struct SealRequestError;

/// What is handed over to seal a transfer. Absent fields are empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SealRequest<'a> {
    /// Options; the default ones may be absent.
    pub options: SealOptions,
    /// Header, 248 bytes.
    pub header: &'a [u8],
    /// Stanza block as sealed.
    pub block: &'a [u8],
    /// Manifest box.
    pub manifest_box: &'a [u8],
    /// Seal, 224 bytes.
    pub seal: &'a [u8],
    /// The gateway's share, 32 bytes; empty if the header commits to none.
    pub share: &'a [u8],
    /// The only part of a small transfer that was not announced; else empty.
    pub part: &'a [u8],
}

impl<'a> SealRequest<'a> {
    /// The body. Its seventh field, the sealed audit blob, is empty until there are auditor keys.
    ///
    /// # Errors
    /// A field of 4 GiB or more.
    pub fn to_bytes(&self) -> Result<Vec<u8>, SealRequestError> {
        let options = serde_json::to_vec(&self.options).map_err(|_| SealRequestError)?;
        let fields: [&[u8]; 8] = [
            &options,
            self.header,
            self.block,
            self.manifest_box,
            self.seal,
            self.share,
            &[],
            self.part,
        ];
        let mut body = Vec::with_capacity(fields.iter().map(|field| field.len() + 4).sum());
        for field in fields {
            let len = u32::try_from(field.len()).map_err(|_| SealRequestError)?;
            body.extend_from_slice(&len.to_be_bytes());
            body.extend_from_slice(field);
        }
        Ok(body)
    }

    /// Takes a body apart without copying. What the fields hold is checked elsewhere, but for the share's length.
    ///
    /// # Errors
    /// Another number of fields, bytes behind them, options that are not [`SealOptions`], a share of another length, or an audit
    /// blob, which nobody can have made yet.
    pub fn parse(mut body: &'a [u8]) -> Result<Self, SealRequestError> {
        let mut field = || take_field(&mut body);
        let options = parse_options(field()?)?;
        let (header, block, manifest_box, seal) = (field()?, field()?, field()?, field()?);
        let (share, audit, part) = (field()?, field()?, field()?);
        let is_whole = body.is_empty() && audit.is_empty() && matches!(share.len(), 0 | 32);
        if !is_whole {
            return Err(SealRequestError);
        }
        Ok(Self {
            options,
            header,
            block,
            manifest_box,
            seal,
            share,
            part,
        })
    }
}

fn take_field<'a>(body: &mut &'a [u8]) -> Result<&'a [u8], SealRequestError> {
    let (len, rest) = body.split_first_chunk::<4>().ok_or(SealRequestError)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| SealRequestError)?;
    let (field, rest) = rest.split_at_checked(len).ok_or(SealRequestError)?;
    *body = rest;
    Ok(field)
}

fn parse_options(field: &[u8]) -> Result<SealOptions, SealRequestError> {
    if field.is_empty() {
        return Ok(SealOptions::default());
    }
    serde_json::from_slice(field).map_err(|_| SealRequestError)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn framed(fields: &[&[u8]]) -> Vec<u8> {
        let frame = |field: &&[u8]| [&u32::try_from(field.len()).unwrap().to_be_bytes(), *field].concat();
        fields.iter().flat_map(frame).collect()
    }

    #[test]
    fn what_is_written_reads_back() {
        let request = SealRequest {
            options: SealOptions {
                links: Vec::new(),
                openings: Some(3),
                public_label: None,
            },
            header: b"h",
            block: b"b",
            manifest_box: b"m",
            seal: b"s",
            share: &[7; 32],
            part: b"p",
        };
        assert_eq!(SealRequest::parse(&request.to_bytes().unwrap()), Ok(request));
    }

    #[test]
    fn takes_eight_fields_and_nothing_else() {
        let good: [&[u8]; 8] = [b"", b"h", b"b", b"m", b"s", &[7; 32], b"", b""];
        assert!(SealRequest::parse(&framed(&good)).is_ok());
        let with = |place: usize, field: &'static [u8]| {
            let mut fields = good;
            fields[place] = field;
            framed(&fields)
        };
        for bad in [
            framed(&good[..7]),
            [framed(&good), vec![0]].concat(),
            with(0, br#"{"opening":3}"#),
            with(0, b"{"),
            with(5, &[7; 31]),
            with(6, b"sealed"),
            framed(&good)[..10].to_vec(),
            Vec::new(),
            vec![0xff; 8],
        ] {
            assert_eq!(SealRequest::parse(&bad), Err(SealRequestError));
        }
    }
}
