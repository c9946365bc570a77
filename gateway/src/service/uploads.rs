//! Uploads: durable parts that nobody sees before the seal.

use bytes::Bytes;
use sealpost_proto::api::{AnnounceRequest, Part, PartsResponse};
use sealpost_proto::crypto::constant_time_eq;
use sealpost_proto::id::{Hash, Label, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::tree::tree_head;

use super::record::Refused;
use super::room::PartRoom;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::uploading::{self, PartOutcome};
use crate::domain::{Key, StoredPart, object};
use crate::failpoint;
use crate::store::blob::{BlobKey, BlobWriter};

/// A part on its way in: hashed while it is written, visible to nobody.
#[expect(missing_debug_implementations, reason = "the writer it holds has none")]
pub struct PartUpload {
    service: Service,
    writer: Box<dyn BlobWriter>,
    transfer: TransferId,
    number: u32,
    sender: Label,
    expected: StoredPart,
    written: u64,
    room: PartRoom,
}

impl Service {
    /// Announces a transfer.
    ///
    /// # Errors
    /// `conflict` if its id is known, `too_large`, `bad_request`.
    pub async fn announce(&self, grant: &Grant, request: AnnounceRequest) -> Result<(), Error> {
        grant.for_action(Action::Send)?;
        let sender = grant.member()?.label;
        let by = grant.requester().clone();
        let refused = Refused {
            event: EventType::TransferCreated,
            object: object::transfer(&request.transfer),
            by: by.clone(),
        };
        // What was announced already is answered as before.
        let is_new = self.ports.views.transfer(&request.transfer).await?.is_none();
        let _room = match is_new {
            true => Some(self.room(grant, request.bytes, &refused).await?),
            false => None,
        };
        let keys = vec![Key::Transfer(request.transfer)];
        let limit = self.ports.limits.transfer_bytes;
        let decide = move |loaded: &_, at| uploading::announce(loaded, at, &request, sender, limit, &by);
        self.record(grant.keyed(), keys, Some(refused), decide).await?;
        Ok(())
    }

    /// Parts that are durable.
    ///
    /// # Errors
    /// `not_found`.
    pub async fn parts(&self, grant: &Grant, id: &TransferId) -> Result<PartsResponse, Error> {
        grant.for_action(Action::Send)?;
        let sender = grant.member()?.label;
        let transfer = self.ports.views.transfer(id).await?;
        let own = transfer.filter(|t| t.sender == sender && !t.is_abandoned);
        let own = own.ok_or(ProblemKind::NotFound)?;
        let listed = |(number, part): (&u32, &StoredPart)| Part {
            number: *number,
            len: part.len,
            root: part.root,
        };
        Ok(PartsResponse {
            parts: own.parts.iter().map(listed).collect(),
        })
    }

    /// Begins to take part `number`, of which the caller states length and subtree root.
    ///
    /// # Errors
    /// `not_found`, `already_sealed`, `part_missing` if the part cannot have that number or length, `storage_full`.
    pub async fn begin_part(
        &self,
        grant: &Grant,
        transfer: TransferId,
        number: u32,
        len: u64,
        root: Hash,
    ) -> Result<PartUpload, Error> {
        grant.for_action(Action::Send)?;
        let expected = StoredPart { len, root };
        let sender = grant.member()?.label;
        let known = self.ports.views.transfer(&transfer).await?;
        if uploading::part_len(known.as_deref(), &sender, number)? != expected.len {
            return Err(ProblemKind::PartMissing.into());
        }
        let is_more = known.is_some_and(|t| uploading::replaces(&t, number, &root));
        let room = self.room_for_part(sender, len, is_more).await?;
        Ok(PartUpload {
            service: self.clone(),
            writer: self.ports.blobs.writer().await?,
            transfer,
            number,
            sender,
            expected,
            written: 0,
            room,
        })
    }
}

impl PartUpload {
    /// Adds bytes of the part.
    ///
    /// # Errors
    /// `part_missing` when more come than were stated; [`Error::Store`].
    pub async fn write(&mut self, bytes: Bytes) -> Result<(), Error> {
        self.written += bytes.len() as u64;
        if self.written > self.expected.len {
            return Err(ProblemKind::PartMissing.into());
        }
        self.writer.write(bytes).await?;
        failpoint::reach("part-body");
        Ok(())
    }

    /// Makes the part durable and records it. Returns whether it is new (else the same part was there already).
    ///
    /// # Errors
    /// `part_missing` for too few bytes, `root_mismatch`; as [`Service::begin_part`] if the transfer has changed since.
    pub async fn finish(mut self) -> Result<bool, Error> {
        if self.written != self.expected.len {
            return Err(ProblemKind::PartMissing.into());
        }
        let leaves = self.writer.leaves().await?;
        if !constant_time_eq(&tree_head(&leaves), self.expected.root.as_bytes()) {
            return Err(ProblemKind::RootMismatch.into());
        }
        let (transfer, number, part, sender) = (self.transfer, self.number, self.expected, self.sender);
        // Kept until the state counts it, or it was refused.
        let _room = self.room;
        let blobs = &self.service.ports.blobs;
        // Held from the first object to the record: the search for garbage sees both or neither.
        let _gate = self.service.ports.share_gate.read().await;
        self.writer
            .commit(&BlobKey::part(&transfer, number, &part.root))
            .await?;
        let leaves = Bytes::from(leaves.concat());
        blobs
            .put(&BlobKey::part_leaves(&transfer, number, &part.root), leaves)
            .await?;
        failpoint::reach("part-kept");
        let decide = move |loaded: &_, _| uploading::store_part(loaded, &transfer, number, part, &sender);
        // A part has no idempotency key: it is the same one by its root.
        let keys = vec![Key::Transfer(transfer)];
        let recorded = self.service.record(None, keys, None, decide).await;
        failpoint::reach("part-recorded");
        match recorded {
            Ok((outcome, _)) => Ok(outcome == PartOutcome::Stored),
            // After any other failure the record may be durable, and what it names must stay.
            Err(Error::Refused(refusal)) => {
                self.service.drop_part(&transfer, number, &part.root).await;
                Err(Error::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }
}

impl Service {
    /// Removes the bytes of a part that was refused, unless the transfer has just that part. What cannot be removed now is an
    /// orphan, which does no harm.
    async fn drop_part(&self, id: &TransferId, number: u32, root: &Hash) {
        let Ok(transfer) = self.ports.views.transfer(id).await else {
            return;
        };
        let refers = |part: &StoredPart| part.root == *root;
        let is_kept =
            transfer.is_some_and(|t| t.parts.get(&number).is_some_and(refers) || t.is_superseded(number, root));
        if is_kept {
            return;
        }
        for key in [BlobKey::part(id, number, root), BlobKey::part_leaves(id, number, root)] {
            if let Err(error) = self.ports.blobs.delete(&key).await {
                tracing::warn!(%error, transfer = %id, number, "a refused part could not be removed");
            }
        }
    }
}
