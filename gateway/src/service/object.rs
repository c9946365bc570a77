//! The stored bytes of a transfer as one object each: leaf list, manifest box, payload. What they are made of is found here, and
//! any range of them is read without the rest.

use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::id::TransferId;
use sealpost_proto::problem::ProblemKind;

use super::envelope::{self, Field};
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::sealing::seal_hash;
use crate::domain::{Sealed, Transfer};
use crate::store::StoreError;
use crate::store::blob::{BlobKey, BlobStore};

/// Which bytes of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// Leaf hashes of the stored segments.
    Leaves,
    /// The manifest box.
    Manifest,
    /// The stored segments.
    Payload,
}

/// Bytes of a blob that stand at a place of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    key: BlobKey,
    /// Offset in the blob.
    from: u64,
    len: u64,
}

/// An object that stands in one or more blobs, one after the other.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the store it holds has none")]
pub struct StoredObject {
    transfer: TransferId,
    blobs: Arc<dyn BlobStore>,
    pieces: Vec<Piece>,
    len: u64,
}

impl StoredObject {
    /// Its length in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Looks whether the blobs of a range are there, and as long as the ledger says, so that a damaged store is told before the
    /// first byte of an answer and not by an answer that breaks off.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn check(&self, offset: u64, len: u64) -> Result<(), Error> {
        let mut start = 0;
        for piece in &self.pieces {
            let end = start + piece.len;
            if start < offset + len && offset < end {
                self.check_blob(piece).await?;
            }
            start = end;
        }
        Ok(())
    }

    async fn check_blob(&self, piece: &Piece) -> Result<(), Error> {
        let needed = piece.from + piece.len;
        let found = match self.blobs.len(&piece.key).await {
            Ok(len) if len >= needed => return Ok(()),
            Ok(len) => format!("has {len} of {needed} bytes"),
            Err(StoreError::NotFound) => "is missing".to_owned(),
            Err(error) => return Err(error.into()),
        };
        let blob = piece.key.as_str();
        tracing::error!(transfer = %self.transfer, blob, found, "the store is damaged: a stored object is not whole");
        Err(StoreError::Corrupt(format!("the blob {blob} {found}")).into())
    }

    /// At least one and at most `max` bytes from `offset`, as many as one blob gives; none at the end.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn read(&self, offset: u64, max: u64) -> Result<Bytes, Error> {
        let mut start = 0;
        for piece in &self.pieces {
            let end = start + piece.len;
            if offset < end {
                let within = offset - start;
                let len = max.min(piece.len - within);
                let bytes = self.blobs.get(&piece.key, piece.from + within, len).await?;
                if bytes.is_empty() && len > 0 {
                    return Err(StoreError::Corrupt(format!("the blob {} is too short", piece.key.as_str())).into());
                }
                return Ok(bytes);
            }
            start = end;
        }
        Ok(Bytes::new())
    }
}

impl Service {
    /// Stored bytes of a transfer, for a device with a live opening of it.
    ///
    /// # Errors
    /// `not_found` for everybody else.
    pub async fn object(&self, grant: &Grant, id: &TransferId, wanted: Wanted) -> Result<StoredObject, Error> {
        grant.for_action(Action::Open)?;
        let (opener, _) = grant.opener()?;
        let transfer = self.ports.views.transfer(id).await?;
        let transfer = transfer.filter(|t| t.is_open_to(&opener, &grant.device(), self.now()));
        let pieces = transfer.and_then(|t| Some(pieces(&t, t.sealed.as_ref()?, wanted)));
        let pieces = pieces.ok_or(ProblemKind::NotFound)?;
        let len = pieces.iter().map(|piece| piece.len).sum();
        Ok(StoredObject {
            transfer: *id,
            blobs: Arc::clone(&self.ports.blobs),
            pieces,
            len,
        })
    }
}

fn pieces(transfer: &Transfer, sealed: &Sealed, wanted: Wanted) -> Vec<Piece> {
    let in_envelope = |field| {
        let (from, len) = envelope::place(&sealed.envelope, field);
        let key = BlobKey::envelope(&transfer.id, &seal_hash(&sealed.seal.0));
        vec![Piece { key, from, len }]
    };
    let parts = transfer.parts.iter();
    match wanted {
        Wanted::Manifest => in_envelope(Field::ManifestBox),
        Wanted::Leaves if sealed.envelope.leaves > 0 => in_envelope(Field::Leaves),
        Wanted::Payload if sealed.envelope.part > 0 => in_envelope(Field::Part),
        Wanted::Leaves => parts
            .map(|(number, part)| Piece {
                key: BlobKey::part_leaves(&transfer.id, *number, &part.root),
                from: 0,
                len: 32 * part.segments(),
            })
            .collect(),
        Wanted::Payload => parts
            .map(|(number, part)| Piece {
                key: BlobKey::part(&transfer.id, *number, &part.root),
                from: 0,
                len: part.len,
            })
            .collect(),
    }
}
