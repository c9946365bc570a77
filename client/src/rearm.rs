//! Re-arming: a gateway that was restored from a backup lost its half of the keys and holds the transfers until their sender hands
//! the share over again.

use sealpost_proto::api::{LinkState, RearmRequest, TransferState, TransferSummary};
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
    let mut all = List::Sent.list(&session.api, usize::MAX).await?;
    burn_again(session, &mut all).await?;
    let mut held = Held::default();
    for summary in all.iter().filter(|summary| summary.state == TransferState::Held) {
        let record = SentRecord::get(&session.state, &summary.transfer)?;
        let is_done = record.is_some_and(|record| record.share.is_none());
        let list = if is_done { &mut held.done } else { &mut held.waiting };
        list.push(summary.transfer);
    }
    Ok(held)
}

/// Tells a gateway that was restored, or that lost records, again of links that this client has burned and that it shows as not burned;
/// where that was the only way to open a transfer, the transfer ends. What the gateway refuses stays as it shows it.
///
/// # Errors
/// [`Error::File`].
pub async fn burn_again(session: &Session, shown: &mut [TransferSummary]) -> Result<(), Error> {
    for summary in shown.iter_mut().filter(|summary| !summary.links.is_empty()) {
        let record = match SentRecord::get(&session.state, &summary.transfer) {
            Ok(Some(record)) => record,
            // Whoever shows the transfer says that its record is damaged.
            Ok(None) | Err(Error::State) => continue,
            Err(error) => return Err(error),
        };
        let burned: Vec<_> = record.burned().collect();
        let risen = |link: &&mut sealpost_proto::api::LinkSummary| {
            link.state != LinkState::Burned && burned.contains(&link.link)
        };
        for link in summary.links.iter_mut().filter(risen) {
            if let Ok(answer) = session.api.burn_link(&link.link).await {
                link.state = LinkState::Burned;
                summary.state = answer.state;
            }
        }
    }
    Ok(())
}
