//! The stores of a gateway, opened in one order and locked for as long as one of them is held. What is said here is their way out
//! when they are damaged; what is in them is judged elsewhere.

use std::path::PathBuf;
use std::sync::Arc;

use super::disk::FolderDisk;
use super::{NODE, RunError, damaged};
use crate::clock::Clock;
use crate::config::Config;
use crate::identity::identity;
use crate::random::Random;
use crate::service::{DiskSpace, Identity};
use crate::store::embedded::{EmbeddedLedger, EmbeddedShares};
use crate::store::folder::PrivateFolder;
use crate::store::fs::FsBlobs;
use crate::worker::Hold;

/// Everything that lies in the folders of a gateway.
pub(super) struct Stores {
    pub(super) data: PrivateFolder,
    pub(super) ring: PrivateFolder,
    /// Folder of the gateway's own keys.
    pub(super) keys: PathBuf,
    pub(super) identity: Arc<Identity>,
    pub(super) shares: Arc<EmbeddedShares>,
    pub(super) blobs: Arc<FsBlobs>,
    pub(super) ledger: Arc<EmbeddedLedger>,
    pub(super) disk: Arc<dyn DiskSpace>,
}

impl Stores {
    /// Opens the folders that `config` names, and what is in them.
    ///
    /// # Errors
    /// [`RunError`] about a folder, the identity or a store.
    pub(super) fn open(config: &Config, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Result<Self, RunError> {
        let data = PrivateFolder::open(&config.data_dir)?;
        let ring = PrivateFolder::open(&config.ring_folder())?;
        let keys = data.subfolder("keys")?;
        let identity = identity(&keys, random.as_ref())?;
        let shares = EmbeddedShares::open(&data, &ring, Arc::clone(random));
        let shares = shares.map_err(damaged(RunError::DamagedShares))?;
        let blobs = FsBlobs::open(&data)?;
        let ledger = EmbeddedLedger::open(&data, NODE, Arc::clone(clock), Arc::clone(random));
        let ledger = ledger.map_err(damaged(RunError::DamagedJournal))?;
        Ok(Self {
            disk: Arc::new(FolderDisk(data.path().to_path_buf())),
            data,
            ring,
            keys,
            identity: Arc::new(identity),
            shares: Arc::new(shares),
            blobs: Arc::new(blobs),
            ledger: Arc::new(ledger),
        })
    }

    /// Holds what has no share. Nothing is released without one, whether or not that could be written down.
    pub(super) async fn hold_missing(&self) {
        let hold = Hold {
            ledger: self.ledger.clone(),
            views: self.ledger.clone(),
            shares: self.shares.clone(),
            gateway: self.identity.gateway.clone(),
        };
        if let Err(error) = hold.missing().await {
            tracing::error!(
                ?error,
                "transfers without a release share could not be held; the next start tries again"
            );
        }
    }
}
