//! Receipts of what was received: signed and posted, and posted again until the gateway has them.

use sealpost_proto::api::{ReceiptRequest, TransferSummary};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::{Hash, OpeningId, PublicKey, TransferId};
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, SignedReceipt, Signer};
use sealpost_proto::sealed::{Reason, Seal};

use crate::api::Api;
use crate::error::Error;
use crate::records::{Progress as Stage, ReceivedRecord};
use crate::session::Session;
use crate::verify;

/// Who signs a receipt, of which opening, and when.
pub(crate) struct Receiver<'a> {
    pub(crate) identity: PublicKey,
    pub(crate) device: &'a SigningKey,
    pub(crate) assurance: Assurance,
    pub(crate) opening: OpeningId,
    /// Unix seconds.
    pub(crate) now: u64,
}

impl Receiver<'_> {
    /// Signs and posts a receipt, and returns it with the gateway's countersignature, verified. Of a receipt whose answer was lost the
    /// gateway gives the first one back.
    pub(crate) async fn post_receipt(
        &self,
        api: &Api,
        transfer: &TransferId,
        seal: &Seal,
        rejected: Option<Reason>,
    ) -> Result<String, Error> {
        let signer = Signer {
            identity: self.identity,
            device: self.device.public(),
            client: crate::CLIENT.to_owned(),
            assurance: self.assurance,
        };
        let receipt = Receipt {
            facts: Facts::of(&seal.body, self.now),
            kind: match rejected {
                None => Kind::Verified(signer),
                Some(reason) => Kind::Rejected(signer, reason),
            },
        };
        let mut note = receipt.note().map_err(|_| Error::Internal("a receipt"))?;
        note.sign_as("dk", self.device);
        let request = ReceiptRequest {
            opening: self.opening,
            receipt: note.to_string(),
        };
        let answer = api.post_receipt(transfer, &request).await?;
        let signed = verify::countersigned(&answer.receipt, api.at(), seal)?;
        if signed.note().text() != note.text() && !self.is_first(&signed) {
            return Err(Error::Receipt("it is another receipt than the one that was posted"));
        }
        Ok(answer.receipt)
    }

    /// Whether it is a *verified* receipt that this very device signed earlier.
    fn is_first(&self, signed: &SignedReceipt) -> bool {
        let is_verified = matches!(signed.receipt().kind, Kind::Verified(_));
        let signer = signed.verify_recipient();
        is_verified && signer.is_ok_and(|by| by.device == self.device.public() && by.identity == self.identity)
    }
}

/// The same by the account's own device.
pub(super) async fn post(
    session: &Session,
    record: &ReceivedRecord,
    seal: &Seal,
    rejected: Option<Reason>,
) -> Result<String, Error> {
    let account = &session.account;
    let by = Receiver {
        identity: account.identity.public(),
        device: &account.device,
        assurance: Assurance::Member,
        opening: record.opening,
        now: session.env.now(),
    };
    by.post_receipt(&session.api, &record.transfer, seal, rejected).await
}

/// Sends the receipt of a transfer if it could not be sent when the files were put in place, signed anew.
///
/// # Errors
/// [`Error`].
pub async fn deliver_receipt(session: &Session, summary: &TransferSummary) -> Result<(), Error> {
    let (header, seal) = verify::pieces(summary)?;
    let record = ReceivedRecord::get(&session.state, &Hash::from_bytes(header.hash()))?;
    let Some(mut record) = record.filter(|record| record.progress == Stage::Placed) else {
        return Ok(());
    };
    record.receipt = Some(post(session, &record, &seal, None).await?);
    record.progress = Stage::Receipted;
    record.put(&session.state, &session.env)
}

/// Sends all receipts that could not be sent before. Returns the transfers whose receipt the gateway has now; what fails is tried
/// again the next time.
///
/// # Errors
/// [`Error`] when the records cannot be read.
pub async fn deliver_receipts(session: &Session) -> Result<Vec<TransferId>, Error> {
    let mut delivered = Vec::new();
    for record in ReceivedRecord::without_receipt(&session.state)? {
        let Ok(summary) = session.api.transfer(&record.transfer).await else {
            continue;
        };
        if deliver_receipt(session, &summary).await.is_ok() {
            delivered.push(record.transfer);
        }
    }
    Ok(delivered)
}
