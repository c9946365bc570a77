//! Expired means unreadable on this computer as well: what is kept of an unfinished transfer goes with the first command that runs when
//! its time is over. What was delivered before is not touched, and its receipt still goes out.

use sealpost_proto::sealed::EXPIRY_GRACE;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::begun::Begun;
use crate::receive;
use crate::receive::state::{RECEIVING, ReceivingHead};
use crate::send;
use crate::send::state::{SENDING, SendingHead};
use crate::session::Session;

/// Whether nobody opens a transfer any more, as of every check of its header: a clock may be off by some minutes. Unix seconds.
pub(crate) fn is_past(expires_at: u64, now: u64) -> bool {
    now > expires_at.saturating_add(EXPIRY_GRACE)
}

/// Removes what is kept of unfinished transfers that have expired, and the plaintext that is staged of them. Returns how many. What
/// another process works on, and what cannot be read or removed, stays for the next time.
#[must_use]
pub fn remove_expired(session: &Session) -> usize {
    let now = session.env.now();
    let sending = heads::<SendingHead>(session, SENDING).filter(|head| is_past(head.expires_at, now));
    let receiving = heads::<ReceivingHead>(session, RECEIVING).filter(|head| is_past(head.expires_at(), now));
    // Of one that was handed over the record in `sent` stays: `status` tells what became of it.
    let sending = sending.filter(|head| send::discard(session, &head.transfer).is_ok());
    let receiving = receiving.filter(|head| receive::expire(session, &head.hh).is_ok());
    sending.count() + receiving.count()
}

fn heads<'a, H: Serialize + DeserializeOwned>(
    session: &'a Session,
    kind: &'static str,
) -> impl Iterator<Item = H> + use<'a, H> {
    let names = session.state.names(kind).unwrap_or_default();
    names
        .into_iter()
        .filter_map(move |name| Begun::head(&session.state, kind, &name).ok().flatten())
}

#[cfg(test)]
mod tests;
