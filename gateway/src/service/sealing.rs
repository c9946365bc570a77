//! Sealing, in the order of security.md 9.3: parts, envelope, share, record.

use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::api::{MAX_INLINE_PART, SealResponse};
use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::link::link_hash;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::{Receipt, SignedReceipt};
use sealpost_proto::sealed::{Envelope, LeafHasher, PART_SEGMENTS, PayloadLayout, Reason};
use sealpost_proto::tree::tree_head;

use super::body::SealBody;
use super::record::Refused;
use super::{Error, Identity, Service, envelope};
use crate::access::{Action, Grant};
use crate::domain::sealing::{self, SealCommand, SealOutcome};
use crate::domain::{EnvelopeSizes, Key, Loaded, Refusal, Requester, Stamp, StoredPart, object};
use crate::failpoint;
use crate::store::StoreError;
use crate::store::blob::BlobKey;
use crate::store::share::{Share, ShareRef};

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
        grant.for_action(Action::Send)?;
        let refused = Refused {
            event: EventType::TransferSealed,
            object: object::transfer(&id),
            by: grant.requester().clone(),
        };
        match self.prepare(grant, &id, body).await {
            Ok(Step::Known(receipt)) => Ok(SealResponse { receipt }),
            Ok(Step::Prepared(prepared)) => self.commit(grant, &id, *prepared, refused).await,
            Err(Error::Refused(refusal)) => Err(self.refuse(grant.keyed(), refused, refusal).await),
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
        } = SealBody::parse(&body)?;
        let parsed = Envelope::parse(&header, &block, &manifest_box, &seal).map_err(Refusal::from)?;
        if parsed.header.transfer_id != *id {
            return Err(ProblemKind::BadRequest.into());
        }
        if !options.links.is_empty() {
            grant.also(Action::ChangeLink)?;
        }
        let layout = parsed.seal.body.layout().map_err(Refusal::from)?;
        let inline = part.as_ref().map(|part| inline_leaves(part, &layout)).transpose()?;
        let part = part.unwrap_or_default();
        let command = SealCommand {
            options,
            sizes: EnvelopeSizes {
                block: block.len() as u64,
                manifest_box: manifest_box.len() as u64,
                leaves: leaves_len(&layout),
                part: part.len() as u64,
            },
            inline_root: inline.as_ref().map(|leaves| Hash::from_bytes(tree_head(leaves))),
            by: grant.member()?,
            now: self.now(),
            envelope: parsed,
        };
        let audience = self.ports.identity.gateway.audience();
        sealing::check(&command, &audience, share.as_deref(), self.now())?;
        let outcome = self.try_out(id, &command, grant.requester()).await?;
        if !outcome.is_new {
            return Ok(Step::Known(outcome.receipt));
        }
        let leaves = match &inline {
            Some(leaves) => Bytes::from(leaves.concat()),
            None => self.leaves_for_envelope(id, &command).await?,
        };
        let share = share.and_then(|value| Some((share_ref(&command)?, value)));
        let envelope = envelope::join([&header, &block, &manifest_box, &seal, &leaves, &part]);
        Ok(Step::Prepared(Box::new(Prepared {
            command,
            envelope,
            share,
        })))
    }

    /// The leaf list of a payload of one part, which goes into the envelope; that of a longer one stays beside its parts. It is
    /// looked up by the root that was sealed, so that a part that another took the place of in the meantime does not matter.
    async fn leaves_for_envelope(&self, id: &TransferId, command: &SealCommand) -> Result<Bytes, Error> {
        let expected = command.sizes.leaves;
        if expected == 0 {
            return Ok(Bytes::new());
        }
        let root = Hash::from_bytes(command.envelope.seal.body.payload_root);
        match self
            .ports
            .blobs
            .get(&BlobKey::part_leaves(id, 0, &root), 0, expected)
            .await
        {
            Ok(leaves) if leaves.len() as u64 == expected => Ok(leaves),
            Ok(_) | Err(StoreError::NotFound) => Err(ProblemKind::PartMissing.into()),
            Err(error) => Err(error.into()),
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
        self.check_links(id, command).await?;
        for (number, part) in transfer.iter().flat_map(|t| &t.parts) {
            let len = self.ports.blobs.len(&BlobKey::part(id, *number, &part.root)).await;
            if !is_there(len, part)? {
                return Err(ProblemKind::PartMissing.into());
            }
        }
        Ok(outcome)
    }

    /// Refuses the id of a link that another transfer has. Of two that are sealed at the same moment only the first one is found by
    /// it: see [`crate::store::views::Views::link`].
    async fn check_links(&self, id: &TransferId, command: &SealCommand) -> Result<(), Error> {
        for new in &command.options.links {
            let owner = self.ports.views.link(&link_hash(&new.link)).await?;
            if owner.is_some_and(|owner| owner != *id) {
                return Err(ProblemKind::Conflict.into());
            }
        }
        Ok(())
    }

    async fn commit(
        &self,
        grant: &Grant,
        id: &TransferId,
        prepared: Prepared,
        refused: Refused,
    ) -> Result<SealResponse, Error> {
        let Prepared {
            command,
            envelope,
            share,
        } = prepared;
        // Of one that was announced the parts have their room.
        let bytes = envelope.len() as u64;
        let _room = match command.inline_root {
            Some(_) => self.room(grant, bytes, &refused).await?,
            None => self.room_for_envelope(grant, bytes, &refused).await?,
        };
        let key = BlobKey::envelope(id, &command.seal_hash());
        // Held from the first object to the record: nothing that this seal needs is cleared away in between.
        let gate = self.ports.share_gate.read().await;
        self.ports.blobs.put(&key, envelope).await?;
        failpoint::reach("seal-envelope-kept");
        if let Some((place, value)) = &share {
            self.ports.shares.put(place, value).await?;
        }
        failpoint::reach("seal-share-kept");
        let identity = Arc::clone(&self.ports.identity);
        let by = refused.by.clone();
        let decide = move |loaded: &Loaded, at| {
            let identity = Arc::clone(&identity);
            sealing::seal(loaded, at, &command, &move |receipt| accept(&identity, receipt), &by)
        };
        let keys = vec![Key::Organisation, Key::Transfer(*id)];
        let recorded: Result<(SealOutcome, _), Error> = self.record(grant.keyed(), keys, Some(refused), decide).await;
        failpoint::reach("seal-recorded");
        match recorded {
            Ok((outcome, _)) => Ok(SealResponse {
                receipt: outcome.receipt,
            }),
            // After any other failure the record may be durable, and what it names must stay.
            Err(Error::Refused(refusal)) => {
                drop(gate);
                self.drop_envelope(id, &key).await;
                Err(Error::Refused(refusal))
            }
            Err(error) => Err(error),
        }
    }

    /// Removes the envelope of a seal that was refused at the last moment, unless it is the one that was sealed. Its share is
    /// an orphan, which the sweep destroys. No other seal is under way then: the same one, tried once more, may be recorded at
    /// this very moment, and counts on the same envelope.
    async fn drop_envelope(&self, id: &TransferId, key: &BlobKey) {
        let _gate = self.ports.share_gate.write().await;
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

/// Length of the leaf list in the envelope, in bytes: only a payload of one part has it there.
fn leaves_len(layout: &PayloadLayout) -> u64 {
    if layout.segments() > PART_SEGMENTS {
        0
    } else {
        layout.segments() * 32
    }
}

fn share_ref(command: &SealCommand) -> Option<ShareRef> {
    let header = &command.envelope.header;
    ShareRef::of(
        header.transfer_id,
        header.share_commit.map(Hash::from_bytes),
        header.expires_at,
    )
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
