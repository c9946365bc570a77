//! What the use cases stand on.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::GatewayId;
use tokio::sync::{Notify, RwLock};

use crate::clock::Clock;
use crate::domain::Transfer;
use crate::store::StoreError;
use crate::store::blob::BlobStore;
use crate::store::ledger::Ledger;
use crate::store::share::ShareStore;
use crate::store::views::{MostWatches, Views};

/// Who this gateway is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// Its id, fixed at the first start.
    pub gateway: GatewayId,
    /// Signs checkpoints and receipts.
    pub log_key: SigningKey,
}

/// What this gateway takes.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Most stored bytes of a transfer.
    pub transfer_bytes: u64,
    /// Most stored bytes of all transfers; 0 for no limit.
    pub stored_bytes: u64,
    /// Most stored bytes of one sender's transfers; 0 for no limit.
    pub stored_bytes_per_member: u64,
    /// How many feeds may be open.
    pub feeds: MostWatches,
    /// How full the disk may be.
    pub watermarks: Watermarks,
}

/// How full the disk may be, in percent: from here on the gateway refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermarks {
    /// New transfers.
    pub transfers: u8,
    /// Parts of announced ones as well.
    pub parts: u8,
}

/// Room for ciphertext.
pub trait DiskSpace: Send + Sync {
    /// Percent of it that is in use, rounded up.
    ///
    /// # Errors
    /// The file system does not say.
    fn used_percent(&self) -> io::Result<u8>;

    /// The same if `bytes` more were in use.
    ///
    /// # Errors
    /// The file system does not say.
    fn used_percent_with(&self, bytes: u64) -> io::Result<u8>;
}

/// Signed checkpoints of both logs, each of all that the log holds now. An implementation never signs two histories.
#[async_trait]
pub trait Checkpoints: Send + Sync {
    /// The directory log's.
    async fn directory(&self) -> Result<String, StoreError>;
    /// The audit log's.
    async fn audit(&self) -> Result<String, StoreError>;
}

/// The setup string's secret, good for founding the organisation once.
pub trait SetupDoor: Send + Sync {
    /// Whether `auth` is what the holder of the setup string can make; false once it is closed.
    fn is_auth(&self, auth: &[u8]) -> bool;
    /// Destroys the secret and its file.
    fn close(&self);
}

/// Destroys the share of a transfer that has ended, and records that it is done: the step that the sweep takes for one that
/// expires.
#[async_trait]
pub trait Shredder: Send + Sync {
    /// `Ok` only when the row is gone for good and the record of it is durable.
    async fn destroy(&self, ended: &Transfer) -> Result<(), StoreError>;
}

/// Everything that the use cases need.
#[expect(missing_debug_implementations, reason = "the ports in it have none")]
pub struct Ports {
    /// State changes and leaves.
    pub ledger: Arc<dyn Ledger>,
    /// Questions to the state.
    pub views: Arc<dyn Views>,
    /// Envelopes and parts.
    pub blobs: Arc<dyn BlobStore>,
    /// Release shares.
    pub shares: Arc<dyn ShareStore>,
    /// Destroys shares at once.
    pub shredder: Arc<dyn Shredder>,
    /// Checkpoints of both logs.
    pub checkpoints: Arc<dyn Checkpoints>,
    /// The setup secret.
    pub setup: Arc<dyn SetupDoor>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Who this gateway is.
    pub identity: Arc<Identity>,
    /// What it takes.
    pub limits: Limits,
    /// Room for ciphertext.
    pub disk: Arc<dyn DiskSpace>,
    /// Wakes the sweep when a share has to go at once.
    pub sweep: Arc<Notify>,
    /// Held for reading from storing a part, or an envelope and its share, to recording it; and for writing while what nothing
    /// refers to is destroyed.
    pub share_gate: Arc<RwLock<()>>,
}
