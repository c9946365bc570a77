//! Room for what is sent: quotas of stored bytes, and watermarks of the disk.
//!
//! What is refused for want of room leaves what is stored as it is: it can be opened, verified and revoked. A full disk is the
//! state of a machine and nobody's doing, so that refusal is no event; one for a quota is.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_proto::id::Label;
use sealpost_proto::problem::ProblemKind;

use super::record::Refused;
use super::{Error, Service};
use crate::access::Grant;

/// Bytes of transfers that are just being recorded, which the state does not know yet.
#[derive(Debug, Default)]
pub(super) struct Reserved(Mutex<HashMap<Label, u64>>);

/// Room for one transfer that is being recorded, given back when dropped: then the state counts it, or it was refused.
#[derive(Debug)]
pub(super) struct Reservation {
    among: Arc<Reserved>,
    sender: Label,
    bytes: u64,
}

/// Room for one part that is on its way, given back when dropped.
#[derive(Debug)]
pub(super) struct PartRoom {
    _begun: Reservation,
    _replacing: Option<Reservation>,
}

impl Reserved {
    fn add(self: &Arc<Self>, sender: Label, bytes: u64) -> Reservation {
        let mut by_sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = by_sender.entry(sender).or_default();
        *sum = sum.saturating_add(bytes);
        drop(by_sender);
        Reservation {
            among: Arc::clone(self),
            sender,
            bytes,
        }
    }

    /// What is reserved for one sender, or for all.
    fn sum(&self, sender: Option<&Label>) -> u64 {
        let by_sender = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match sender {
            Some(sender) => by_sender.get(sender).copied().unwrap_or_default(),
            None => by_sender.values().fold(0, |sum, bytes| sum.saturating_add(*bytes)),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut by_sender = self.among.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sum) = by_sender.get_mut(&self.sender) {
            *sum = sum.saturating_sub(self.bytes);
            if *sum == 0 {
                by_sender.remove(&self.sender);
            }
        }
    }
}

impl Service {
    /// Room for a new transfer of `bytes` of the caller's, until its record is written.
    ///
    /// # Errors
    /// `storage_full`; for a quota that is used up, it is written down as `refused` says.
    pub(super) async fn room(&self, grant: &Grant, bytes: u64, refused: &Refused) -> Result<Reservation, Error> {
        self.check_watermark(self.ports.limits.watermarks.transfers)?;
        self.room_by_quota(grant, bytes, refused).await
    }

    /// Room for the envelope of a transfer that was announced, until its record is written.
    ///
    /// # Errors
    /// As [`Service::room`].
    pub(super) async fn room_for_envelope(
        &self,
        grant: &Grant,
        bytes: u64,
        refused: &Refused,
    ) -> Result<Reservation, Error> {
        self.check_watermark(self.ports.limits.watermarks.parts)?;
        self.room_by_quota(grant, bytes, refused).await
    }

    async fn room_by_quota(&self, grant: &Grant, bytes: u64, refused: &Refused) -> Result<Reservation, Error> {
        match self.reserve(grant.member()?.label, bytes).await {
            Err(Error::Refused(refusal)) => Err(self.refuse(grant.keyed(), refused.clone(), refusal).await),
            reserved => reserved,
        }
    }

    /// What is reserved counts before the state is asked, so that of two that come at once neither is overlooked.
    pub(super) async fn reserve(&self, sender: Label, bytes: u64) -> Result<Reservation, Error> {
        let limits = &self.ports.limits;
        let room = self.reserved.add(sender, bytes);
        for (quota, whose) in [
            (limits.stored_bytes, None),
            (limits.stored_bytes_per_member, Some(&sender)),
        ] {
            if quota == 0 {
                continue;
            }
            let reserved = self.reserved.sum(whose);
            let stored = self.ports.views.stored_bytes(whose).await?;
            if stored.saturating_add(reserved) > quota {
                return Err(ProblemKind::StorageFull.into());
            }
        }
        Ok(room)
    }

    /// Room on the disk for a part of `bytes` that is about to come, until it is there or given up; with `is_more`, when it takes
    /// the place of another whose bytes stay for now, by the quotas as well. All parts that are on their way count.
    ///
    /// # Errors
    /// `storage_full`.
    pub(super) async fn room_for_part(&self, sender: Label, bytes: u64, is_more: bool) -> Result<PartRoom, Error> {
        let begun = self.begun.add(sender, bytes);
        self.check_watermark(self.ports.limits.watermarks.parts)?;
        let replacing = match is_more {
            true => Some(self.reserve(sender, bytes).await?),
            false => None,
        };
        Ok(PartRoom {
            _begun: begun,
            _replacing: replacing,
        })
    }

    fn check_watermark(&self, watermark: u8) -> Result<(), Error> {
        // What is on its way may be written in part already; it counts twice then, rather than not at all.
        match self.ports.disk.used_percent_with(self.begun.sum(None)) {
            Ok(used) if used < watermark => Ok(()),
            Ok(used) => {
                tracing::warn!(used, watermark, "the disk is too full for more");
                Err(ProblemKind::StorageFull.into())
            }
            // A disk that does not say how full it is says so when it is written to.
            Err(error) => {
                tracing::warn!(%error, "it is unknown how full the disk is");
                Ok(())
            }
        }
    }
}
