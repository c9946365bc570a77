//! The parts of a gateway, made of its stores and of what they share. Nothing here decides, and nothing runs yet.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use sealpost_proto::enrolment::GatewayAddress;
use tokio::sync::{Notify, RwLock};

use super::health::{self, Health};
use super::signers::Signers;
use super::stores::Stores;
use super::{RunError, bounds, clock, new_id};
use crate::access::{Gatekeeper, Settings};
use crate::audit::NotedLedger;
use crate::clock::Clock;
use crate::config::Config;
use crate::http::{AddressLimits, Api, BodyRoom, Limits, NewId};
use crate::identity::SetupFile;
use crate::random::Random;
use crate::service::{Ports, Service};
use crate::store::views::Views;
use crate::worker::{ClockWatch, Garbage, Remembering, Sweep, SweepPorts, SweepStatus};

/// What the parts share beside the stores.
pub(super) struct Shared {
    pub(super) clock: Arc<dyn Clock>,
    pub(super) signers: Arc<Signers>,
    watch: Arc<ClockWatch>,
    sweep_status: Arc<SweepStatus>,
    /// Wakes the sweep.
    wake: Arc<Notify>,
    share_gate: Arc<RwLock<()>>,
    pub(super) is_stopping: Arc<AtomicBool>,
}

impl Shared {
    /// Compares the logs and the clock with what the stores were told before.
    ///
    /// # Errors
    /// [`RunError`] about the logs, the signer's memory or the ledger.
    pub(super) async fn over(stores: &Stores, clock: Arc<dyn Clock>) -> Result<Self, RunError> {
        let signers = Signers::open(&stores.identity, &stores.ledger, &stores.ring).await?;
        let last_stamp = clock::last_stamp(stores.ledger.as_ref()).await?;
        Ok(Self {
            watch: Arc::new(ClockWatch::new(Arc::clone(&clock), last_stamp)),
            clock,
            signers: Arc::new(signers),
            sweep_status: Arc::default(),
            wake: Arc::default(),
            share_gate: Arc::default(),
            is_stopping: Arc::default(),
        })
    }

    pub(super) fn sweep(&self, stores: &Stores) -> Sweep {
        Sweep::new(SweepPorts {
            ledger: stores.ledger.clone(),
            views: stores.ledger.clone(),
            blobs: stores.blobs.clone(),
            shares: stores.shares.clone(),
            position: self.signers.clone(),
            clock: Arc::clone(&self.clock),
            watch: Arc::clone(&self.watch),
            status: Arc::clone(&self.sweep_status),
            gateway: stores.identity.gateway.clone(),
            wake: Arc::clone(&self.wake),
            share_gate: Arc::clone(&self.share_gate),
        })
    }

    pub(super) fn remembering(&self, stores: &Stores) -> Remembering {
        Remembering {
            ledger: stores.ledger.clone(),
            position: self.signers.clone(),
        }
    }

    pub(super) fn garbage(&self, stores: &Stores) -> Garbage {
        Garbage {
            views: stores.ledger.clone(),
            blobs: stores.blobs.clone(),
            watch: Arc::clone(&self.watch),
            share_gate: Arc::clone(&self.share_gate),
        }
    }

    /// The gatekeeper of a gateway that has the ledger since `started_at`, unix seconds: no other process answers any more.
    ///
    /// # Errors
    /// [`RunError::Store`].
    pub(super) async fn gatekeeper(
        &self,
        stores: &Stores,
        config: &Config,
        address: &GatewayAddress,
        started_at: u64,
    ) -> Result<Gatekeeper, RunError> {
        let ledger = &stores.ledger;
        let settings = Settings {
            authority: address.authority().to_owned(),
            gateway: stores.identity.gateway.clone(),
            started_at,
            ahead: ledger.organisation().await?.ahead.clone(),
            account_rate: bounds::account_rate(&config.limits),
        };
        let clock = Arc::clone(&self.clock);
        Ok(Gatekeeper::new(settings, ledger.clone(), ledger.clone(), clock))
    }

    pub(super) fn service(&self, stores: &Stores, config: &Config, sweep: &Sweep, setup: &Arc<SetupFile>) -> Service {
        let ledger = &stores.ledger;
        let noted = NotedLedger::new(ledger.clone(), ledger.clone(), self.signers.logs());
        Service::new(Ports {
            ledger: Arc::new(noted),
            views: ledger.clone(),
            blobs: stores.blobs.clone(),
            shares: stores.shares.clone(),
            shredder: Arc::new(sweep.shredder()),
            checkpoints: self.signers.clone(),
            setup: setup.clone(),
            clock: Arc::clone(&self.clock),
            identity: Arc::clone(&stores.identity),
            limits: bounds::service_limits(&config.limits),
            disk: Arc::clone(&stores.disk),
            sweep: Arc::clone(&self.wake),
            share_gate: Arc::clone(&self.share_gate),
        })
    }

    pub(super) fn health(&self, stores: &Stores, config: &Config) -> Health {
        Health {
            ledger: stores.ledger.clone(),
            journal: health::journal_of(stores.ledger.clone()),
            disk: Arc::clone(&stores.disk),
            watermarks: bounds::watermarks(&config.limits),
            watch: Arc::clone(&self.watch),
            sync_file: config.clock.sync_file.clone(),
            sweep: Arc::clone(&self.sweep_status),
            is_stopping: Arc::clone(&self.is_stopping),
        }
    }
}

/// What the routes need.
pub(super) fn api(
    service: Service,
    gatekeeper: Gatekeeper,
    config: &Config,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
) -> Api {
    let addresses = AddressLimits::new(bounds::address_rates(&config.limits), clock);
    Api {
        service,
        gatekeeper: Arc::new(gatekeeper),
        limits: Limits {
            deadline: Duration::from_secs(config.limits.request_deadline),
            addresses: Arc::new(addresses),
        },
        new_id: NewId(Arc::new(move || new_id(random.as_ref()))),
        room: BodyRoom::default(),
    }
}
