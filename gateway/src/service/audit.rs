//! The audit log, for those who may read it.

use sealpost_proto::api::MAX_PAGE;
use sealpost_proto::log::EventType;

use super::{Error, Service};
use crate::access::{Action, Grant};
use crate::domain::{Effects, object};

impl Service {
    /// The audit log's checkpoint. It discloses a size and a hash, so it is no event.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn audit_checkpoint(&self, grant: &Grant) -> Result<String, Error> {
        grant.for_action(Action::ReadAudit)?;
        Ok(self.ports.checkpoints.audit().await?)
    }

    /// Leaves of the audit log from index `from`. The reading itself is a leaf, durable before anything is disclosed.
    ///
    /// # Errors
    /// [`Error::Audit`], [`Error::Store`].
    pub async fn audit_leaves(&self, grant: &Grant, from: u64) -> Result<Vec<String>, Error> {
        grant.for_action(Action::ReadAudit)?;
        let place = self.ports.views.organisation().await?.audit;
        let log = object::log(&self.ports.identity.gateway.audit_origin_of(place.log));
        let leaf = grant.requester().did(EventType::AuditRead, log, None);
        let decide = move |_: &_, _| {
            let leaves = vec![leaf.clone()];
            Ok((
                (),
                Effects {
                    changes: Vec::new(),
                    leaves,
                },
            ))
        };
        self.record(None, Vec::new(), None, decide).await?;
        let from = place.first_leaf.saturating_add(from);
        Ok(self.ports.ledger.audit_leaves(from, MAX_PAGE).await?)
    }
}
