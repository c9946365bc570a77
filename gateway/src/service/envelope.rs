//! The envelope object: header, block, box, seal, leaf list and perhaps the only part, each `u32 len ‖ bytes`.
//!
//! Where a field stands follows from the sizes that the ledger keeps, so any range of it is read without the rest.

use bytes::{BufMut, Bytes, BytesMut};
use sealpost_proto::sealed::{HEADER_LEN, SEAL_LEN};

use crate::domain::EnvelopeSizes;

const LEN: u64 = 4;

/// A field of an envelope object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Block,
    ManifestBox,
    Leaves,
    Part,
}

/// The object's bytes.
pub(super) fn join(fields: [&[u8]; 6]) -> Bytes {
    let mut object = BytesMut::with_capacity(fields.iter().map(|field| field.len() + 4).sum());
    for field in fields {
        // Fields come out of one request body of at most 20 MiB.
        object.put_u32(u32::try_from(field.len()).unwrap_or(u32::MAX));
        object.put_slice(field);
    }
    object.freeze()
}

/// Offset and length of a field.
pub(super) fn place(sizes: &EnvelopeSizes, field: Field) -> (u64, u64) {
    let block = LEN + HEADER_LEN as u64 + LEN;
    let manifest_box = block + sizes.block + LEN;
    let leaves = manifest_box + sizes.manifest_box + LEN + SEAL_LEN as u64 + LEN;
    let part = leaves + sizes.leaves + LEN;
    match field {
        Field::Block => (block, sizes.block),
        Field::ManifestBox => (manifest_box, sizes.manifest_box),
        Field::Leaves => (leaves, sizes.leaves),
        Field::Part => (part, sizes.part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_where_its_place_says() {
        let sizes = EnvelopeSizes {
            block: 5,
            manifest_box: 7,
            leaves: 64,
            part: 3,
        };
        let fields: [&[u8]; 6] = [&[1; HEADER_LEN], &[2; 5], &[3; 7], &[4; SEAL_LEN], &[5; 64], &[6; 3]];
        let object = join(fields);
        let wanted = [
            (Field::Block, fields[1]),
            (Field::ManifestBox, fields[2]),
            (Field::Leaves, fields[4]),
            (Field::Part, fields[5]),
        ];
        for (field, bytes) in wanted {
            let (offset, len) = place(&sizes, field);
            let range = usize::try_from(offset).unwrap()..usize::try_from(offset + len).unwrap();
            assert_eq!(&object[range], bytes, "{field:?}");
        }
    }
}
