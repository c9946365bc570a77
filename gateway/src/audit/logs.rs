//! The two logs of a gateway under their one key: `<gateway id>/audit` (or its successor) and `<gateway id>/directory`.

use std::sync::Arc;

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::GatewayId;

use super::signer::{Signer, SignerError};
use super::source::{AuditLog, DirectoryLog};
use crate::store::ledger::Ledger;
use crate::store::ledger::heads::VouchedHeads;
use crate::store::views::Views;

/// Signs checkpoints of both logs.
#[derive(Debug)]
pub struct Logs {
    audit: Signer<AuditLog>,
    directory: Signer<DirectoryLog>,
}

impl Logs {
    /// Compares both logs with what was vouched for before. Call it before anything is served: an error means that the gateway must not start.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn open(
        heads: Arc<dyn VouchedHeads>,
        gateway: &GatewayId,
        key: SigningKey,
        ledger: Arc<dyn Ledger>,
        views: Arc<dyn Views>,
    ) -> Result<Self, SignerError> {
        let place = views.organisation().await?.audit;
        let successor = gateway.audit_origin_of(place.log + 1);
        if heads.last(&successor).await?.is_some() {
            let origin = gateway.audit_origin_of(place.log);
            return Err(SignerError::Ended { origin, successor });
        }
        let audit = AuditLog::new(ledger, place.first_leaf);
        let origin = gateway.audit_origin_of(place.log);
        let audit = Signer::open(origin, audit, key.clone(), Arc::clone(&heads)).await?;
        let directory = Signer::open(gateway.directory_origin(), DirectoryLog(views), key, heads).await?;
        let logs = Self { audit, directory };
        if place.log > 1 {
            // From here on a folder from before the loss is known.
            logs.audit.note_position().await?;
        }
        logs.note_directory().await?;
        Ok(logs)
    }

    /// Signed checkpoint of the audit log as it is now.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn audit_checkpoint(&self) -> Result<String, SignerError> {
        self.audit.checkpoint().await
    }

    /// Signed checkpoint of the directory log as it is now.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn directory_checkpoint(&self) -> Result<String, SignerError> {
        self.directory.checkpoint().await
    }

    /// Remembers the head of the audit log (security.md 6.4), so that a data folder from before is refused at start and a start has
    /// little to read. Writes nothing if the log has not grown.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn note_audit(&self) -> Result<(), SignerError> {
        self.audit.note_position().await
    }

    /// Remembers the head of the directory log, so that nobody who was enrolled or revoked is forgotten unnoticed.
    ///
    /// # Errors
    /// [`SignerError`].
    pub async fn note_directory(&self) -> Result<(), SignerError> {
        self.directory.note_position().await
    }
}
