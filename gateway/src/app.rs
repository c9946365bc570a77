//! Composition root: with the folder beside it the only place that names concrete adapters, and the order of a start and of an end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use sealpost_proto::enrolment::GatewayAddress;
use thiserror::Error;
use tokio::net::TcpListener;

use self::health::Health;
use self::parts::Shared;
use self::stores::Stores;
use crate::audit::SignerError;
use crate::clock::Clock;
pub use crate::clock::SystemClock;
use crate::config::Config;
use crate::domain::Transfer;
use crate::http::{Api, Server, ServerLimits, TrustedProxies, router, tell_health};
use crate::identity::{IdentityError, SetupFile};
pub use crate::logging::start as start_logging;
use crate::random::Random;
pub use crate::random::SystemRandom;
use crate::service::{Identity, Shredder};
use crate::store::StoreError;
use crate::store::embedded::EmbeddedLedger;
use crate::store::folder::PrivateFolder;
use crate::store::open::OpenError;
use crate::store::views::Views;
use crate::tls::{ServerTls, TlsError, server_tls};
use crate::worker::{Garbage, Remembering, ShareShredder, Sweep};

mod bounds;
mod clock;
mod disk;
mod health;
mod parts;
pub mod repair;
mod signers;
mod stores;

/// Name of this gateway process in audit leaves; there is one process on one machine.
const NODE: &str = "1";

/// Why a gateway did not start, or had to end.
#[derive(Debug, Error)]
pub enum RunError {
    /// A store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The journal is damaged.
    #[error(
        "{0} If there is none, `sealpost-gateway journal repair` shows what is lost, and with --accept-loss goes on without it."
    )]
    DamagedJournal(OpenError),
    /// Shares or ring, which are in no backup, are damaged.
    #[error(
        "{0} Release shares and the key ring are in no backup: move the damaged file away and start again. Transfers whose share is \
         lost are then held until their senders run `sealpost rearm`."
    )]
    DamagedShares(OpenError),
    /// The signer's memory is damaged.
    #[error(
        "{0} The file `signer` is in no backup: if it cannot be put right, move it away and start again. The gateway then no longer \
         knows a data folder that was put back from one that is the newest."
    )]
    DamagedMemory(OpenError),
    /// The gateway does not know who it is.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// There is no TLS.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A log is not what was signed before.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The state cannot be read.
    #[error("the gateway's state cannot be read: {0}. The log says more.")]
    Store(#[from] StoreError),
    /// The socket is not usable.
    #[error("the socket cannot be used: {0}")]
    Socket(#[from] io::Error),
    /// The ledger can take nothing more.
    #[error(
        "the journal can no longer be written: {0}. Repair the disk and start again; nothing that was answered is lost."
    )]
    Ledger(String),
    /// The disk has failed.
    #[error("the disk can no longer be relied on: {0}. Repair it and start again; nothing that was answered is lost.")]
    Disk(String),
    /// The clock is not synchronised, and the configuration asks for it.
    #[error(
        "the clock is not synchronised: there is no {0}. Start the time service and wait for it, set clock.sync_file to the \
         file that yours makes, or set clock.require_sync to false."
    )]
    Clock(String),
}

/// A gateway that is ready to serve: its stores are open and what was due is destroyed.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Gateway {
    listeners: Listeners,
    address: GatewayAddress,
    tls: ServerTls,
    setup: Arc<SetupFile>,
    api: Api,
    sweep: Sweep,
    remembering: Remembering,
    garbage: Garbage,
    ledger: Arc<EmbeddedLedger>,
    folders: [PrivateFolder; 2],
    limits: ServerLimits,
    proxies: TrustedProxies,
    health: Arc<Health>,
    is_stopping: Arc<AtomicBool>,
}

/// Bound sockets: where clients come, and where health is told.
#[derive(Debug)]
pub struct Listeners {
    /// Clients come here.
    pub clients: TcpListener,
    /// Health is told here, to this machine alone; none for nowhere.
    pub health: Option<TcpListener>,
}

/// No health is told.
impl From<TcpListener> for Listeners {
    fn from(clients: TcpListener) -> Self {
        Self { clients, health: None }
    }
}

impl Gateway {
    /// Opens everything that `config` names, for clients that come to `listeners`.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn open(
        config: &Config,
        listeners: impl Into<Listeners>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, RunError> {
        let listeners = listeners.into();
        let url = config.url(listeners.clients.local_addr()?.port());
        clock::check_synchronised(&config.clock)?;
        let stores = Stores::open(config, &clock, &random)?;
        // Now that the folders are locked no other process answers any more.
        let started_at = clock.now_millis() / 1000;
        let shared = Shared::over(&stores, Arc::clone(&clock)).await?;
        let tls = server_tls(&config.tls, &stores.keys, host_of(&url))?;
        let address = address_of(&stores.identity, url, &tls);
        let setup = setup_file(&stores.ledger, &stores.data, &address, random.as_ref()).await?;
        let setup = Arc::new(setup);
        let gatekeeper = shared.gatekeeper(&stores, config, &address, started_at).await?;
        let sweep = shared.sweep(&stores);
        sweep.at_start().await;
        stores.hold_missing().await;
        let service = shared.service(&stores, config, &sweep, &setup);
        Ok(Self {
            api: parts::api(service, gatekeeper, config, clock, random),
            garbage: shared.garbage(&stores),
            health: Arc::new(shared.health(&stores, config)),
            remembering: shared.remembering(&stores),
            is_stopping: shared.is_stopping,
            limits: bounds::server_limits(config),
            proxies: bounds::trusted_proxies(config),
            ledger: stores.ledger,
            folders: [stores.data, stores.ring],
            listeners,
            address,
            tls,
            setup,
            sweep,
        })
    }

    /// How clients reach and recognise it.
    #[must_use]
    pub fn address(&self) -> &GatewayAddress {
        &self.address
    }

    /// Address and port that it listens on.
    ///
    /// # Errors
    /// [`RunError::Socket`].
    pub fn local_addr(&self) -> Result<SocketAddr, RunError> {
        Ok(self.listeners.clients.local_addr()?)
    }

    /// Address and port at which health is told.
    #[must_use]
    pub fn health_addr(&self) -> Option<SocketAddr> {
        self.listeners.health.as_ref()?.local_addr().ok()
    }

    /// File with the setup string, until the organisation is founded.
    #[must_use]
    pub fn setup_file(&self) -> Option<&Path> {
        self.setup.path()
    }

    /// Serves until `shutdown` is ready, then lets running requests end until the deadline. Until the end it tells health.
    ///
    /// # Errors
    /// [`RunError::Ledger`] if the ledger ends first, [`RunError::Disk`] if the disk fails, [`RunError::Socket`] if the socket of health does.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let ledger = Arc::clone(&self.ledger);
        let [data, ring] = &self.folders;
        let Listeners { clients, health } = self.listeners;
        let health = async {
            match health {
                Some(listener) => tell_health(listener, self.health).await,
                None => std::future::pending().await,
            }
        };
        let shutdown = async {
            shutdown.await;
            self.is_stopping.store(true, Ordering::Relaxed);
        };
        let server = Server::new(router(self.api), self.tls.config, self.limits, self.proxies);
        tracing::info!(gateway = %self.address.gateway, "serving");
        tokio::select! {
            () = server.run(clients, shutdown) => {
                // Nobody asks any more, and what was answered is in the log: an older folder in its place will be refused.
                self.remembering.at_end().await;
                tracing::info!("stopped");
                Ok(())
            }
            () = self.sweep.run() => Ok(()),
            () = self.garbage.run() => Ok(()),
            () = self.remembering.run() => Ok(()),
            ended = health => Ok(ended?),
            reason = ledger.stopped() => Err(RunError::Ledger(reason)),
            reason = data.failed() => Err(RunError::Disk(reason)),
            reason = ring.failed() => Err(RunError::Disk(reason)),
        }
    }
}

/// Opens a gateway, tells `ready` about it, and serves until `shutdown`.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    config: &Config,
    listeners: impl Into<Listeners>,
    shutdown: impl Future<Output = ()>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    ready: impl FnOnce(&Gateway),
) -> Result<(), RunError> {
    let gateway = Gateway::open(config, listeners, clock, random).await?;
    ready(&gateway);
    gateway.serve(shutdown).await
}

/// For `map_err`: names the way out of damage to a store.
fn damaged(name: fn(OpenError) -> RunError) -> impl FnOnce(OpenError) -> RunError {
    move |error| match error {
        OpenError::Corrupt { .. } => name(error),
        other => other.into(),
    }
}

/// How clients reach this gateway and recognise it.
fn address_of(identity: &Identity, url: String, tls: &ServerTls) -> GatewayAddress {
    GatewayAddress {
        url,
        gateway: identity.gateway.clone(),
        pin: tls.pin,
        log: identity.log_key.public(),
    }
}

async fn setup_file(
    ledger: &EmbeddedLedger,
    data: &PrivateFolder,
    address: &GatewayAddress,
    random: &dyn Random,
) -> Result<SetupFile, RunError> {
    let is_founded = ledger.organisation().await?.directory.is_some();
    let opened = if is_founded {
        SetupFile::closed(data.path())
    } else {
        SetupFile::open(data.path(), address.clone(), random)
    };
    Ok(opened?)
}

fn new_id(random: &dyn Random) -> String {
    let mut bytes = [0; 16];
    if let Err(error) = random.fill(&mut bytes) {
        tracing::error!(%error, "no randomness for request ids: they are not unique now");
    }
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

/// The host, for the certificate; an IPv6 address without its brackets.
fn host_of(url: &str) -> &str {
    let authority = url.strip_prefix("https://").unwrap_or(url);
    if let Some(address) = authority.strip_prefix('[') {
        return address.split(']').next().unwrap_or(address);
    }
    authority.split(':').next().unwrap_or(authority)
}

#[async_trait]
impl Shredder for ShareShredder {
    async fn destroy(&self, ended: &Transfer) -> Result<(), StoreError> {
        Self::destroy(self, ended).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_certificates_name_follows_from_the_url() {
        for (url, host) in [
            ("https://gw.example", "gw.example"),
            ("https://gw.example:443", "gw.example"),
            ("https://gw.example:8443", "gw.example"),
            ("https://[2001:db8::1]:8443", "2001:db8::1"),
        ] {
            assert_eq!(host_of(url), host);
        }
    }
}
