//! Composition root: the only file that names concrete adapters, and the order of a start and of an end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use sealpost_proto::enrolment::GatewayAddress;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Notify, RwLock};

use crate::access::rates::Rate;
use crate::access::{Gatekeeper, Settings};
use crate::audit::{Logs, SignerError};
use crate::clock::Clock;
pub use crate::clock::SystemClock;
use crate::config::{self, Config};
use crate::domain::{Effects, Transfer};
use crate::http::{
    AddressLimits, AddressRates, Api, BodyRoom, Limits, NewId, Server, ServerLimits, TrustedProxies, router,
};
use crate::identity::{IdentityError, SetupFile, identity};
pub use crate::logging::start as start_logging;
use crate::random::Random;
pub use crate::random::SystemRandom;
use crate::service::{self, Checkpoints, Identity, Ports, Service, Shredder};
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedHeads, EmbeddedLedger, EmbeddedShares};
use crate::store::folder::PrivateFolder;
use crate::store::fs::FsBlobs;
use crate::store::ledger::transact;
use crate::store::open::OpenError;
use crate::store::views::Views;
use crate::tls::{ServerTls, TlsError, server_tls};
use crate::worker::{ClockWatch, Garbage, Position, ShareShredder, Sweep, SweepPorts, SweepStatus};

/// Name of this gateway process in audit leaves; there is one process on one machine.
const NODE: &str = "1";

/// Time after which a connection without a request in flight is closed (security.md 8).
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Why a gateway did not start, or had to end.
#[derive(Debug, Error)]
pub enum RunError {
    /// A store cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
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
}

/// A gateway that is ready to serve: its stores are open and what was due is destroyed.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Gateway {
    listener: TcpListener,
    address: GatewayAddress,
    tls: ServerTls,
    setup: Arc<SetupFile>,
    api: Api,
    sweep: Sweep,
    garbage: Garbage,
    ledger: Arc<EmbeddedLedger>,
    limits: ServerLimits,
    proxies: TrustedProxies,
}

impl Gateway {
    /// Opens everything that `config` names, for clients that come to `listener`.
    ///
    /// # Errors
    /// [`RunError`].
    pub async fn open(
        config: &Config,
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Result<Self, RunError> {
        let url = config.url(listener.local_addr()?.port());
        let data = PrivateFolder::open(&config.data_dir)?;
        let ring = PrivateFolder::open(&config.ring_folder())?;
        let keys = data.subfolder("keys")?;
        let identity = Arc::new(identity(&keys, random.as_ref())?);
        let shares = Arc::new(EmbeddedShares::open(&data, &ring, Arc::clone(&random))?);
        let blobs = Arc::new(FsBlobs::open(&data)?);
        let ledger = EmbeddedLedger::open(&data, NODE, Arc::clone(&clock), Arc::clone(&random))?;
        let ledger = Arc::new(ledger);
        // Now that the folders are locked no other process answers any more.
        let started_at = clock.now_millis() / 1000;
        let ahead = ledger.organisation().await?.ahead.clone();
        let signers = Arc::new(Signers::open(&identity, &ledger, &ring).await?);
        let watch = Arc::new(ClockWatch::new(Arc::clone(&clock), last_stamp(&ledger).await?));
        let sweep_status = Arc::new(SweepStatus::default());
        let tls = server_tls(&config.tls, &keys, host_of(&url))?;
        let address = GatewayAddress {
            url,
            gateway: identity.gateway.clone(),
            pin: tls.pin,
            log: identity.log_key.public(),
        };
        let setup = Arc::new(setup_file(&ledger, &data, &address, random.as_ref()).await?);
        let (wake, share_gate) = (Arc::new(Notify::new()), Arc::new(RwLock::new(())));
        let sweep = Sweep::new(SweepPorts {
            ledger: ledger.clone(),
            views: ledger.clone(),
            blobs: blobs.clone(),
            shares: shares.clone(),
            position: signers.clone(),
            clock: Arc::clone(&clock),
            watch: Arc::clone(&watch),
            status: Arc::clone(&sweep_status),
            gateway: identity.gateway.clone(),
            wake: Arc::clone(&wake),
            share_gate: Arc::clone(&share_gate),
        });
        sweep.once_or_log().await;
        let garbage = Garbage {
            views: ledger.clone(),
            blobs: blobs.clone(),
            watch: Arc::clone(&watch),
            share_gate: Arc::clone(&share_gate),
        };
        let settings = Settings {
            authority: address.authority().to_owned(),
            gateway: identity.gateway.clone(),
            started_at,
            ahead,
            account_rate: Rate::per_second(
                config.limits.requests_per_second_per_account,
                config.limits.request_burst_per_account,
            ),
        };
        let gatekeeper = Gatekeeper::new(settings, ledger.clone(), ledger.clone(), Arc::clone(&clock));
        let service = Service::new(Ports {
            ledger: ledger.clone(),
            views: ledger.clone(),
            blobs,
            shares,
            shredder: Arc::new(sweep.shredder()),
            checkpoints: signers,
            setup: setup.clone(),
            clock: Arc::clone(&clock),
            identity,
            limits: service::Limits {
                transfer_bytes: config.limits.transfer_bytes,
            },
            sweep: wake,
            share_gate,
        });
        let api = Api {
            service,
            gatekeeper: Arc::new(gatekeeper),
            limits: Limits {
                deadline: Duration::from_secs(config.limits.request_deadline),
                addresses: Arc::new(AddressLimits::new(address_rates(&config.limits), Arc::clone(&clock))),
            },
            new_id: NewId(Arc::new(move || new_id(random.as_ref()))),
            room: BodyRoom::default(),
        };
        let limits = ServerLimits {
            connections: config.limits.connections,
            connections_per_address: config.limits.connections_per_address,
            exempt_loopback: config.limits.exempt_loopback,
            idle_timeout: IDLE_TIMEOUT,
            shutdown_deadline: Duration::from_secs(config.shutdown_deadline),
        };
        Ok(Self {
            listener,
            address,
            tls,
            setup,
            api,
            sweep,
            garbage,
            ledger,
            limits,
            proxies: trusted_proxies(config),
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
        Ok(self.listener.local_addr()?)
    }

    /// File with the setup string, until the organisation is founded.
    #[must_use]
    pub fn setup_file(&self) -> Option<&Path> {
        self.setup.path()
    }

    /// Serves until `shutdown` is ready, then lets running requests end until the deadline.
    ///
    /// # Errors
    /// [`RunError::Ledger`] if the ledger ends first.
    pub async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<(), RunError> {
        let ledger = Arc::clone(&self.ledger);
        let server = Server::new(router(self.api), self.tls.config, self.limits, self.proxies);
        tracing::info!(gateway = %self.address.gateway, "serving");
        tokio::select! {
            () = server.run(self.listener, shutdown) => {
                tracing::info!("stopped");
                Ok(())
            }
            () = self.sweep.run() => Ok(()),
            () = self.garbage.run() => Ok(()),
            reason = ledger.stopped() => Err(RunError::Ledger(reason)),
        }
    }
}

/// Opens a gateway, tells `ready` about it, and serves until `shutdown`.
///
/// # Errors
/// [`RunError`].
pub async fn run(
    config: &Config,
    listener: TcpListener,
    shutdown: impl Future<Output = ()>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    ready: impl FnOnce(&Gateway),
) -> Result<(), RunError> {
    let gateway = Gateway::open(config, listener, clock, random).await?;
    ready(&gateway);
    gateway.serve(shutdown).await
}

/// The stamp that the ledger gives now: the clock's, or its own last one, if that is later.
async fn last_stamp(ledger: &EmbeddedLedger) -> Result<u64, StoreError> {
    let ((), committed) = transact(ledger, Vec::new(), |_, _| ((), Effects::none())).await?;
    Ok(committed.at().millis)
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

fn trusted_proxies(config: &Config) -> TrustedProxies {
    let networks = config.trusted_proxies.clone();
    TrustedProxies::new(move |address| networks.contain(address))
}

fn address_rates(limits: &config::Limits) -> AddressRates {
    AddressRates {
        all: Rate::per_second(limits.requests_per_second_per_address, limits.request_burst_per_address),
        newcomers: Rate::per_hour(limits.newcomers_per_hour_per_address),
        redemptions: Rate::per_hour(limits.redemptions_per_hour_per_address),
        exempt_loopback: limits.exempt_loopback,
    }
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

/// Both logs, as the rooms that need them see them.
struct Signers(Logs);

impl Signers {
    async fn open(identity: &Identity, ledger: &Arc<EmbeddedLedger>, ring: &PrivateFolder) -> Result<Self, RunError> {
        let heads = Arc::new(EmbeddedHeads::open(ring)?);
        let key = identity.log_key.clone();
        let logs = Logs::open(heads, &identity.gateway, key, ledger.clone(), ledger.clone());
        Ok(Self(logs.await?))
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
