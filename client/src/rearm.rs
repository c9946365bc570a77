//! Re-arming: a gateway that was restored from a backup lost its half of the keys and holds the transfers until their sender hands
//! the share over again.

use sealpost_proto::api::{RearmRequest, TransferState};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::TransferId;

use crate::error::Error;
use crate::records::{KeptSecret, SentRecord};
use crate::session::Session;
use crate::transfers::List;

/// Hands the kept share of a transfer over again, and returns where the transfer stands then.
///
/// # Errors
/// [`Error::NoShare`] if none was kept here; [`Error::Api`].
pub async fn rearm(session: &Session, transfer: &TransferId) -> Result<TransferState, Error> {
    let record = SentRecord::get(&session.state, transfer)?;
    let record = record.ok_or(Error::NoShare(*transfer))?;
    // A gateway from before it was told knows nothing of it.
    let burned: Vec<_> = record.burned().collect();
    let share = record.share.ok_or(Error::NoShare(*transfer))?;
    for link in burned {
        session.api.burn_link(&link).await?;
    }
    let request = RearmRequest {
        share: Base64(KeptSecret::as_bytes(&share).to_vec()),
    };
    Ok(session.api.rearm(transfer, &request).await?.state)
}

/// Own transfers that the gateway holds.
#[derive(Debug, Default)]
pub struct Held {
    /// Those to be armed again.
    pub waiting: Vec<TransferId>,
    /// Those whose share this client gave up when all recipients had verified or the transfer had ended: nobody waits for them.
    pub done: Vec<TransferId>,
}

/// Own transfers that the gateway holds.
///
/// # Errors
/// [`Error`].
pub async fn held(session: &Session) -> Result<Held, Error> {
    let all = List::Sent.list(&session.api, usize::MAX).await?;
    let mut held = Held::default();
    for summary in all.iter().filter(|summary| summary.state == TransferState::Held) {
        let record = SentRecord::get(&session.state, &summary.transfer)?;
        let is_done = record.is_some_and(|record| record.share.is_none());
        let list = if is_done { &mut held.done } else { &mut held.waiting };
        list.push(summary.transfer);
    }
    Ok(held)
}
