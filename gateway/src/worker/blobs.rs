//! Which blobs a transfer refers to: what the sweep deletes of one, and what no collection of garbage touches.

use sealpost_proto::id::{Hash, TransferId};

use crate::domain::Transfer;
use crate::domain::sealing::seal_hash;
use crate::store::blob::BlobKey;

/// Its parts with their leaves, and its envelope once it is sealed. Parts that another took the place of are not among them.
pub(super) fn blobs_of(transfer: &Transfer) -> Vec<BlobKey> {
    let id = &transfer.id;
    let parts = transfer
        .parts
        .iter()
        .flat_map(|(number, part)| part_of(id, *number, &part.root));
    let sealed = transfer.sealed.iter();
    let envelope = sealed.map(|sealed| BlobKey::envelope(id, &seal_hash(&sealed.seal.0)));
    parts.chain(envelope).collect()
}

/// The blobs of parts that another took the place of.
pub(super) fn superseded_blobs_of(transfer: &Transfer) -> Vec<BlobKey> {
    let superseded = transfer.superseded.iter();
    superseded
        .flat_map(|(number, root)| part_of(&transfer.id, *number, root))
        .collect()
}

fn part_of(id: &TransferId, number: u32, root: &Hash) -> [BlobKey; 2] {
    [BlobKey::part(id, number, root), BlobKey::part_leaves(id, number, root)]
}
