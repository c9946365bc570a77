//! Openings and receipts. The opening is durable before a byte of the share leaves (security.md 9.3).

use sealpost_proto::api::{OpenRequest, OpenResponse, ReceiptRequest, ReceiptResponse};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::SignedReceipt;
use sealpost_proto::sealed::Block;
use std::sync::Arc;

use super::envelope::{self, Field};
use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::opening::{self, OpenCommand, ReceiptCommand, Release};
use crate::domain::sealing::seal_hash;
use crate::domain::{Key, Opener, Refusal, object};
use crate::failpoint;
use crate::store::StoreError;
use crate::store::blob::BlobKey;
use crate::store::ledger::Committed;
use crate::store::share::ShareRef;

impl Service {
    /// Makes or repeats an opening and releases stanza and share. `body` is the request as it was signed.
    ///
    /// # Errors
    /// `not_found` for strangers; `expired`, `revoked`, `limit_reached` or `conflict` for parties.
    pub async fn open(
        &self,
        grant: &Grant,
        id: TransferId,
        request: OpenRequest,
        body: &[u8],
    ) -> Result<OpenResponse, Error> {
        grant.for_action(Action::Open)?;
        let by = grant.requester().clone();
        let refused = Refused {
            event: EventType::TransferOpened,
            object: object::transfer(&id),
            by: by.clone(),
        };
        let body = std::str::from_utf8(body).map_err(|_| ProblemKind::BadRequest)?;
        let opening = request.opening;
        let command = OpenCommand {
            transfer: id,
            request,
            by: grant.member()?,
            kept: format!("{}\n{body}", grant.signature_base()),
        };
        let keys = vec![Key::Organisation, Key::Transfer(id)];
        let decide = move |loaded: &_, at| opening::open(loaded, at, &command, &by);
        let (release, witness) = self.record(grant.keyed(), keys, Some(refused), decide).await?;
        failpoint::reach("open-recorded");
        Ok(OpenResponse {
            opening,
            expires_at: release.expires_at,
            block: Base64(self.own_block(&id, &release).await?),
            share: self.released_share(&id, &release, &witness).await?,
        })
    }

    /// The stanza block with everybody else's stanzas elided.
    async fn own_block(&self, id: &TransferId, release: &Release) -> Result<Vec<u8>, Error> {
        let sealed = &release.sealed;
        let (offset, len) = envelope::place(&sealed.envelope, Field::Block);
        let key = BlobKey::envelope(id, &seal_hash(&sealed.seal.0));
        let bytes = self.ports.blobs.get(&key, offset, len).await?;
        let block = Block::parse(&bytes);
        let block = block.map_err(|_| StoreError::Corrupt(format!("the stanza block of transfer {id}")))?;
        Ok(block.elide_all_but(&release.kid).to_bytes())
    }

    /// The share, now that its release is durable.
    async fn released_share(
        &self,
        id: &TransferId,
        release: &Release,
        witness: &Committed,
    ) -> Result<Option<Base64>, Error> {
        let sealed = &release.sealed;
        let Some(place) = ShareRef::of(*id, sealed.share_commit, sealed.expires_at) else {
            return Ok(None);
        };
        match self.ports.shares.take(&place, witness).await {
            Ok(share) => Ok(Some(Base64(share.to_vec()))),
            Err(StoreError::NotFound) => Err(self.without_share(id).await),
            Err(error) => Err(error.into()),
        }
    }

    /// Why there is no share: the transfer may have ended just after its opening was written down. If not, the share is lost.
    async fn without_share(&self, id: &TransferId) -> Error {
        let transfer = match self.ports.views.transfer(id).await {
            Ok(transfer) => transfer,
            Err(error) => return error.into(),
        };
        let ended = transfer.and_then(|t| opening::check_state(&t, self.now()).err());
        ended.map_or(Error::Store(StoreError::NotFound), Error::from)
    }

    /// Takes a recipient's receipt and countersigns it.
    ///
    /// # Errors
    /// `not_found` for strangers and unknown openings, `receipt_refused`.
    pub async fn take_receipt(
        &self,
        grant: &Grant,
        id: TransferId,
        request: ReceiptRequest,
    ) -> Result<ReceiptResponse, Error> {
        grant.for_action(Action::Open)?;
        let by = grant.requester().clone();
        let mut refused = Refused {
            event: EventType::TransferVerified,
            object: object::transfer(&id),
            by: by.clone(),
        };
        let Ok(receipt) = signed_by_recipient(&request.receipt) else {
            return Err(self
                .refuse(grant.keyed(), refused, ProblemKind::ReceiptRefused.into())
                .await);
        };
        let member = grant.member()?;
        let command = ReceiptCommand {
            transfer: id,
            opening: request.opening,
            receipt,
            opener: Opener::Member(member.label),
            device: member.key,
            identity: member.identity,
            now: self.now(),
        };
        refused.event = command.event().unwrap_or(refused.event);
        let identity = Arc::clone(&self.ports.identity);
        let decide = move |loaded: &_, at| {
            let countersign = |mut receipt: SignedReceipt| {
                receipt.countersign(&identity.gateway, &identity.log_key);
                receipt
            };
            opening::take_receipt(loaded, at, &command, &countersign, &by)
        };
        let keys = vec![Key::Transfer(id)];
        let (outcome, _) = self.record(grant.keyed(), keys, Some(refused), decide).await?;
        if outcome.is_used_up {
            self.ports.sweep.notify_one();
        }
        Ok(ReceiptResponse {
            receipt: outcome.receipt,
        })
    }
}

/// A receipt with exactly its recipient's signature.
fn signed_by_recipient(text: &str) -> Result<SignedReceipt, Refusal> {
    let receipt: SignedReceipt = text.parse().map_err(|_| ProblemKind::ReceiptRefused)?;
    let is_alone = receipt.note().signatures().len() == 1;
    match receipt.verify_recipient() {
        Ok(_) if is_alone => Ok(receipt),
        _ => Err(ProblemKind::ReceiptRefused.into()),
    }
}
