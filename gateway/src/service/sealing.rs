//! Sealing, in the order of security.md 9.3: parts, envelope, share, record.

use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::api::{MAX_INLINE_PART, SealResponse};
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Receipt, SignedReceipt};
use sealpost_proto::sealed::{Envelope, LeafHasher, PART_SEGMENTS, PayloadLayout, Reason};
use sealpost_proto::tree::tree_head;

use super::body::SealBody;
use super::record::Refused;
use super::{Error, Identity, Service, envelope};
use crate::access::Grant;
use crate::domain::sealing::{self, SealCommand, SealOutcome};
use crate::domain::{EnvelopeSizes, Key, Loaded, Refusal, Requester, Stamp, StoredPart, object};
use crate::store::StoreError;
use crate::store::blob::BlobKey;
use crate::store::share::{Day, Share, ShareRef};

/// A seal that can be recorded as soon as its objects are durable.
struct Prepared {
    command: SealCommand,
    envelope: Bytes,
    share: Option<(ShareRef, Share)>,
}

/// What checking a seal comes to.
enum Step {
    /// The same seal was recorded before; nothing may be written again, least of all its share.
    Known(String),
    /// It can be recorded.
    Prepared(Box<Prepared>),
}

impl Service {
    /// Seals a transfer. The same seal again gives the same answer; a different one is refused.
    ///
    /// # Errors
    /// `seal_refused` with its reason, `unknown_recipient`, `part_missing`, `root_mismatch`, `already_sealed`, `not_found`,
    /// `conflict`, `bad_request`.
    pub async fn seal(&self, grant: &Grant, id: TransferId, body: Bytes) -> Result<SealResponse, Error> {
        let refused = Refused {
            event: EventType::TransferSealed,
            object: object::transfer(&id),
            by: grant.requester().clone(),
        };
        match self.prepare(grant, &id, body).await {
            Ok(Step::Known(receipt)) => Ok(SealResponse { receipt }),
            Ok(Step::Prepared(prepared)) => self.commit(&id, *prepared, refused).await,
            Err(Error::Refused(refusal)) => Err(self.refuse(refused, refusal).await),
            Err(error) => Err(error),
        }
    }

    /// Every check that can be made before something is written, and the envelope object.
    async fn prepare(&self, grant: &Grant, id: &TransferId, body: Bytes) -> Result<Step, Error> {
        let SealBody {
            options,
            header,
            block,
            manifest_box,
            seal,
            share,
            part,
        } = SealBody::parse(body)?;
        let parsed = Envelope::parse(&header, &block, &manifest_box, &seal).map_err(Refusal::from)?;
        if parsed.header.transfer_id != *id {
            return Err(ProblemKind::BadRequest.into());
        }
        let layout = parsed.seal.body.layout().map_err(Refusal::from)?;
        let inline = part.as_ref().map(|part| inline_leaves(part, &layout)).transpose()?;
        let leaves = match &inline {
            Some(leaves) => Bytes::from(leaves.concat()),
            None => self.leaves_for_envelope(id, &layout).await?,
        };
        let part = part.unwrap_or_default();
        let command = SealCommand {
            options,
            sizes: EnvelopeSizes {
                block: block.len() as u64,
                manifest_box: manifest_box.len() as u64,
                leaves: leaves.len() as u64,
                part: part.len() as u64,
            },
            inline_root: inline.map(|leaves| Hash::from_bytes(tree_head(&leaves))),
            by: grant.member()?,
            envelope: parsed,
        };
        let audience = self.ports.identity.gateway.audience();
        sealing::check(&command, &audience, share.as_deref(), self.now())?;
        let outcome = self.try_out(id, &command, grant.requester()).await?;
        if !outcome.is_new {
            return Ok(Step::Known(outcome.receipt));
        }
        let share = share.and_then(|value| Some((share_ref(&command)?, value)));
        let envelope = envelope::join([&header, &block, &manifest_box, &seal, &leaves, &part]);
        Ok(Step::Prepared(Box::new(Prepared {
            command,
            envelope,
            share,
        })))
    }

    /// The leaf list of a payload of one part, which goes into the envelope; that of a longer one stays beside its parts.
    async fn leaves_for_envelope(&self, id: &TransferId, layout: &PayloadLayout) -> Result<Bytes, Error> {
        if layout.segments() > PART_SEGMENTS {
            return Ok(Bytes::new());
        }
        let transfer = self.ports.views.transfer(id).await?;
        // Without the part the decision refuses; what the envelope would have held does not matter then.
        let Some(part) = transfer.and_then(|t| t.parts.get(&0).copied()) else {
            return Ok(Bytes::new());
        };
        let key = BlobKey::part_leaves(id, 0, &part.root);
        let expected = layout.segments() * 32;
        let leaves = self.ports.blobs.get(&key, 0, expected).await?;
        if leaves.len() as u64 == expected {
            Ok(leaves)
        } else {
            Err(ProblemKind::PartMissing.into())
        }
    }

    /// Runs the decision on the state as it is now, so that nothing is written for a seal that will be refused; and looks
    /// whether the bytes of every part are there.
    async fn try_out(&self, id: &TransferId, command: &SealCommand, by: &Requester) -> Result<SealOutcome, Error> {
        let transfer = self.ports.views.transfer(id).await?;
        let loaded = Loaded::of(self.ports.views.organisation().await?, transfer.clone());
        let now = Stamp {
            millis: self.ports.clock.now_millis(),
        };
        let identity = Arc::clone(&self.ports.identity);
        let (outcome, _) = sealing::seal(&loaded, now, command, &move |receipt| accept(&identity, receipt), by)?;
        if !outcome.is_new {
            return Ok(outcome);
        }
        for (number, part) in transfer.iter().flat_map(|t| &t.parts) {
            let len = self.ports.blobs.len(&BlobKey::part(id, *number, &part.root)).await;
            if !is_there(len, part)? {
                return Err(ProblemKind::PartMissing.into());
            }
        }
        Ok(outcome)
    }

    async fn commit(&self, id: &TransferId, prepared: Prepared, refused: Refused) -> Result<SealResponse, Error> {
        let Prepared {
            command,
            envelope,
            share,
        } = prepared;
        let key = BlobKey::envelope(id, &command.seal_hash());
        self.ports.blobs.put(&key, envelope).await?;
        let _gate = self.ports.share_gate.read().await;
        if let Some((place, value)) = &share {
            self.ports.shares.put(place, value).await?;
        }
        let identity = Arc::clone(&self.ports.identity);
        let by = refused.by.clone();
        let decide = move |loaded: &Loaded, at| {
            let identity = Arc::clone(&identity);
            sealing::seal(loaded, at, &command, &move |receipt| accept(&identity, receipt), &by)
        };
        let keys = vec![Key::Organisation, Key::Transfer(*id)];
        let recorded: Result<(SealOutcome, _), Error> = self.record(keys, Some(refused), decide).await;
        match recorded {
            Ok((outcome, _)) => Ok(SealResponse {
                receipt: outcome.receipt,
            }),
            // After any other failure the record may be durable, and what it names must stay.
            Err(Error::Refused(refusal)) => {
                self.drop_envelope(id, &key).await;
                Err(Error::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the envelope of a seal that was refused at the last moment, unless it is the one that was sealed. Its share is
    /// an orphan, which the sweep destroys.
    async fn drop_envelope(&self, id: &TransferId, key: &BlobKey) {
        let Ok(transfer) = self.ports.views.transfer(id).await else {
            return;
        };
        let sealed = transfer.as_ref().and_then(|t| t.sealed.as_ref());
        if sealed.is_some_and(|s| BlobKey::envelope(id, &sealing::seal_hash(&s.seal.0)) == *key) {
            return;
        }
        if let Err(error) = self.ports.blobs.delete(key).await {
            tracing::warn!(%error, transfer = %id, "a refused envelope could not be removed");
        }
    }
}

/// Leaves of the only part, if it is the whole payload and small enough to come with the seal.
fn inline_leaves(part: &Bytes, layout: &PayloadLayout) -> Result<Vec<[u8; 32]>, Refusal> {
    if part.len() > MAX_INLINE_PART {
        return Err(ProblemKind::TooLarge.into());
    }
    if part.len() as u64 != layout.stored_len() {
        return Err(Reason::Leaves.into());
    }
    let mut hasher = LeafHasher::new();
    hasher.update(part);
    Ok(hasher.finish())
}

fn share_ref(command: &SealCommand) -> Option<ShareRef> {
    let header = &command.envelope.header;
    Some(ShareRef {
        transfer: header.transfer_id,
        commit: Hash::from_bytes(header.share_commit?),
        day: Day::of(header.expires_at),
    })
}

fn accept(identity: &Identity, receipt: &Receipt) -> Option<SignedReceipt> {
    let mut signed = SignedReceipt::try_from(receipt.note().ok()?).ok()?;
    signed.countersign(&identity.gateway, &identity.log_key);
    Some(signed)
}

fn is_there(len: Result<u64, StoreError>, part: &StoredPart) -> Result<bool, Error> {
    match len {
        Ok(len) => Ok(len == part.len),
        Err(StoreError::NotFound) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
