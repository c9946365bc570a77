//! Both logs, as the rooms that need them see them.

use std::sync::Arc;

use async_trait::async_trait;

use super::{RunError, damaged};
use crate::audit::Logs;
use crate::service::{Checkpoints, Identity};
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedHeads, EmbeddedLedger};
use crate::store::folder::PrivateFolder;
use crate::worker::Position;

/// Both logs, as the rooms that need them see them.
pub(super) struct Signers(Arc<Logs>);

impl Signers {
    pub(super) async fn open(
        identity: &Identity,
        ledger: &Arc<EmbeddedLedger>,
        ring: &PrivateFolder,
    ) -> Result<Self, RunError> {
        let heads = EmbeddedHeads::open(ring).map_err(damaged(RunError::DamagedMemory))?;
        let heads = Arc::new(heads);
        let key = identity.log_key.clone();
        let logs = Logs::open(heads, &identity.gateway, key, ledger.clone(), ledger.clone());
        Ok(Self(Arc::new(logs.await?)))
    }

    /// The signer of both logs.
    pub(super) fn logs(&self) -> Arc<Logs> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl Checkpoints for Signers {
    async fn directory(&self) -> Result<String, StoreError> {
        Ok(self.0.directory_checkpoint().await?)
    }

    async fn audit(&self) -> Result<String, StoreError> {
        Ok(self.0.audit_checkpoint().await?)
    }
}

#[async_trait]
impl Position for Signers {
    async fn note(&self) -> Result<(), StoreError> {
        Ok(self.0.note_destruction().await?)
    }
}
