//! Openings and receipts. The opening is durable before a byte of the share leaves (security.md 9.3).

use sealpost_proto::api::{OpenRequest, OpenResponse, ReceiptRequest, ReceiptResponse};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::TransferId;
use sealpost_proto::log::EventType;
use sealpost_proto::problem::ProblemKind;
use sealpost_proto::receipt::SignedReceipt;
use sealpost_proto::sealed::{Block, Stanza};
use std::sync::Arc;

use super::envelope::{self, Field};
use super::record::Refused;
use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::opening::{self, OpenCommand, ReceiptCommand};
use crate::domain::sealing::seal_hash;
use crate::domain::{Key, Refusal, Sealed, object};
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
            block: self
                .block_of(&id, &release.sealed, |stanza| stanza.kid() == Some(&release.kid))
                .await?,
            share: self.released_share(&id, &release.sealed, &witness).await?,
        })
    }

    /// The stanza block with every stanza elided but the caller's.
    pub(super) async fn block_of(
        &self,
        id: &TransferId,
        sealed: &Sealed,
        is_callers: impl Fn(&Stanza) -> bool + Send,
    ) -> Result<Base64, Error> {
        let (offset, len) = envelope::place(&sealed.envelope, Field::Block);
        let key = BlobKey::envelope(id, &seal_hash(&sealed.seal.0));
        let bytes = self.ports.blobs.get(&key, offset, len).await?;
        let block = Block::parse(&bytes);
        let block = block.map_err(|_| StoreError::Corrupt(format!("the stanza block of transfer {id}")))?;
        Ok(Base64(block.elide(is_callers).to_bytes()))
    }

    /// The share, now that its release is durable.
    pub(super) async fn released_share(
        &self,
        id: &TransferId,
        sealed: &Sealed,
        witness: &Committed,
    ) -> Result<Option<Base64>, Error> {
        let Some(place) = ShareRef::of_sealed(*id, sealed) else {
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

    /// Takes the receipt of a recipient or a visitor and countersigns it.
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
        let (opener, identity) = grant.opener()?;
        let command = ReceiptCommand {
            transfer: id,
            opening: request.opening,
            receipt,
            opener,
            device: grant.device(),
            identity,
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
