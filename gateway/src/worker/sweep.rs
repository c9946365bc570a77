//! The sweep: shares that are due are destroyed, ciphertext and abandoned uploads removed, keys of ended days destroyed.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use sealpost_proto::id::{GatewayId, TransferId};
use sealpost_proto::log::{Actor, ActorKind};
use thiserror::Error;
use tokio::sync::{Mutex, Notify, RwLock};

use super::blobs::{blobs_of, superseded_blobs_of};
use super::clock::{ClockState, ClockWatch};
use super::orphans::Orphans;
use super::shredder::{Position, ShareShredder, share_ref};
use super::status::SweepStatus;
use crate::clock::Clock;
use crate::domain::shredding::{self, Horizon, Step};
use crate::domain::{Decision, Effects, Key, Loaded, Refusal, Requester, Stamp, Transfer};
use crate::failpoint;
use crate::store::StoreError;
use crate::store::blob::{BlobKey, BlobStore};
use crate::store::ledger::{Ledger, transact};
use crate::store::share::{Day, ShareRef, ShareStore};
use crate::store::views::Views;

/// Time between two sweeps when nothing wakes it.
const INTERVAL: Duration = Duration::from_secs(60);

/// Transfers taken at once.
const BATCH: usize = 256;

/// Everything that the sweep needs.
#[expect(missing_debug_implementations, reason = "the ports in it have none")]
pub struct SweepPorts {
    /// State changes and leaves.
    pub ledger: Arc<dyn Ledger>,
    /// Questions to the state.
    pub views: Arc<dyn Views>,
    /// Envelopes and parts.
    pub blobs: Arc<dyn BlobStore>,
    /// Release shares.
    pub shares: Arc<dyn ShareStore>,
    /// The signer's memory.
    pub position: Arc<dyn Position>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Whether the time can be trusted.
    pub watch: Arc<ClockWatch>,
    /// Told how each sweep ended.
    pub status: Arc<SweepStatus>,
    /// Who this gateway is, for leaves.
    pub gateway: GatewayId,
    /// Wakes the sweep.
    pub wake: Arc<Notify>,
    /// Held for writing while orphans are destroyed, so that none is a share whose seal is just being recorded.
    pub share_gate: Arc<RwLock<()>>,
}

/// Why a sweep did not finish.
#[derive(Debug, Error)]
pub enum SweepError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The state has changed under the sweep; the next one sees it anew.
    #[error("the state has changed under the sweep")]
    Changed,
}

impl From<Refusal> for SweepError {
    fn from(_: Refusal) -> Self {
        Self::Changed
    }
}

/// Destroys what is due.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Sweep {
    ports: SweepPorts,
    shredder: ShareShredder,
    by: Requester,
    orphans: Mutex<Orphans>,
}

impl Sweep {
    /// A sweep over these ports.
    #[must_use]
    pub fn new(ports: SweepPorts) -> Self {
        let actor = Actor {
            kind: ActorKind::Gateway,
            id: ports.gateway.to_string(),
            dk: None,
        };
        Self {
            shredder: ShareShredder::new(
                Arc::clone(&ports.ledger),
                Arc::clone(&ports.views),
                Arc::clone(&ports.shares),
                Arc::clone(&ports.position),
            ),
            ports,
            by: Requester {
                actor,
                peer: None,
                req_id: None,
            },
            orphans: Mutex::new(Orphans::default()),
        }
    }

    /// The step that destroys a share, for whoever ends a transfer before its time.
    #[must_use]
    pub fn shredder(&self) -> ShareShredder {
        self.shredder.clone()
    }

    /// Sweeps every minute and when woken, for as long as the gateway runs. A failure is logged and tried again.
    pub async fn run(&self) {
        loop {
            // A timeout and a wake mean the same: look again.
            drop(tokio::time::timeout(INTERVAL, self.ports.wake.notified()).await);
            self.once_or_log().await;
        }
    }

    /// The sweep of a start, before anything is served: what is due. Shares that no seal refers to may wait for the first sweep after
    /// it; they are not released, and looking for them reads the ids of all transfers.
    pub async fn at_start(&self) {
        self.tell(self.due().await);
    }

    /// One sweep; what fails is logged, and the next one tries it again. Nothing is released that is due, whether or not it could
    /// be destroyed: the state says so.
    pub async fn once_or_log(&self) {
        self.tell(self.once().await);
    }

    fn tell(&self, swept: Result<(), SweepError>) {
        match swept {
            Ok(()) => self.ports.status.succeeded(self.ports.clock.now_millis() / 1000),
            Err(error) => {
                self.ports.status.failed();
                tracing::error!(?error, "the sweep did not finish; it will be tried again");
            }
        }
    }

    /// One sweep over everything that is due, and over shares that no seal refers to.
    ///
    /// # Errors
    /// [`SweepError`] of the first step that failed; everything that does not hang on it is done.
    pub async fn once(&self) -> Result<(), SweepError> {
        let due = self.due().await;
        self.destroy_orphans().await?;
        due
    }

    async fn due(&self) -> Result<(), SweepError> {
        let (failed, first_error) = self.transfers().await?;
        let days = self.end_days(&failed).await;
        first_error.map_or(Ok(()), Err)?;
        days
    }

    /// All steps that are due, of every transfer. Returns those of which one failed, and why the first did.
    async fn transfers(&self) -> Result<(HashSet<TransferId>, Option<SweepError>), SweepError> {
        let mut replaced = HashSet::new();
        let mut failed = HashSet::new();
        let mut passed = HashSet::new();
        let mut first_error = None;
        loop {
            let until = self.horizon().end();
            let due = self.ports.views.due(until, BATCH + passed.len()).await?;
            let due: Vec<TransferId> = due.into_iter().filter(|id| !passed.contains(id)).collect();
            if due.is_empty() {
                return Ok((failed, first_error));
            }
            for id in due {
                match self.step(&id, &mut replaced).await {
                    Ok(true) => {}
                    Ok(false) => drop(passed.insert(id)),
                    Err(error) => {
                        tracing::error!(transfer = %id, ?error, "a step of the sweep failed");
                        passed.insert(id);
                        failed.insert(id);
                        first_error.get_or_insert(error);
                    }
                }
            }
        }
    }

    /// Destroys the keys of the days before today: whatever expired then has its leaf, and its row is gone. A day stays if a
    /// transfer of it, one of those that `failed`, has no leaf yet: the leaf comes first.
    async fn end_days(&self, failed: &HashSet<TransferId>) -> Result<(), SweepError> {
        let mut kept = BTreeSet::new();
        for id in failed {
            let transfer = self.ports.views.transfer(id).await?;
            let unwritten = transfer.filter(|t| t.shredded.is_none());
            kept.extend(unwritten.and_then(|t| share_ref(&t)).map(|share| share.day));
        }
        let today = Day::of(self.now());
        Ok(self.ports.shares.end_days_before(today, &kept).await?)
    }

    /// The time by which things are due: while the clock is in doubt, only what no clock has a say in is.
    fn now(&self) -> u64 {
        self.ports.watch.destruction_time()
    }

    fn horizon(&self) -> Horizon {
        match self.ports.watch.state() {
            ClockState::Trusted => Horizon::trusted(self.now()),
            ClockState::Stepped(_) | ClockState::Behind(_) => Horizon::in_doubt(self.ports.watch.latest_time()),
        }
    }

    /// The next step of one transfer; `false` if none is due yet. `replaced` holds the days whose key was replaced in this sweep.
    async fn step(&self, id: &TransferId, replaced: &mut HashSet<Day>) -> Result<bool, SweepError> {
        // Gone since it was listed; asking for it again in this sweep would never end if the list were wrong.
        let Some(transfer) = self.ports.views.transfer(id).await? else {
            return Ok(false);
        };
        let Some(step) = shredding::next_step_within(&transfer, &self.horizon()) else {
            return Ok(false);
        };
        tracing::info!(transfer = %id, ?step, "sweeping");
        let done: Result<(), SweepError> = match step {
            Step::Shred => self.shred(*id).await,
            Step::Destroy => Ok(self.shredder.destroy(&transfer).await?),
            Step::ReplaceKey => self.replace_key(&transfer, replaced).await,
            Step::Tidy => {
                self.delete(superseded_blobs_of(&transfer)).await?;
                self.record(*id, shredding::tidied).await
            }
            Step::Sweep => {
                self.delete(superseded_blobs_of(&transfer)).await?;
                self.delete(blobs_of(&transfer)).await?;
                self.record(*id, shredding::swept).await
            }
            Step::Abandon => self.record(*id, shredding::abandon).await,
            Step::Remove => {
                self.delete(superseded_blobs_of(&transfer)).await?;
                self.delete(blobs_of(&transfer)).await?;
                self.record(*id, shredding::removed).await
            }
        };
        done.map(|()| true)
    }

    async fn shred(&self, id: TransferId) -> Result<(), SweepError> {
        let by = self.by.clone();
        self.record(id, move |loaded, at, id| shredding::shred(loaded, at, id, &by))
            .await?;
        failpoint::reach("shred-recorded");
        Ok(())
    }

    async fn replace_key(&self, transfer: &Transfer, replaced: &mut HashSet<Day>) -> Result<(), SweepError> {
        let day = share_ref(transfer).map(|share| share.day);
        if let Some(day) = day.filter(|day| *day >= Day::of(self.now()) && !replaced.contains(day)) {
            self.ports.shares.replace_key(day).await?;
            replaced.insert(day);
        }
        self.record(transfer.id, shredding::key_replaced).await
    }

    async fn delete(&self, blobs: Vec<BlobKey>) -> Result<(), StoreError> {
        for blob in &blobs {
            self.ports.blobs.delete(blob).await?;
        }
        Ok(())
    }

    async fn record<F>(&self, id: TransferId, decide: F) -> Result<(), SweepError>
    where
        F: Fn(&Loaded, Stamp, &TransferId) -> Decision<()> + Send + 'static,
    {
        let decide = move |loaded: &Loaded, at: Stamp| match decide(loaded, at, &id) {
            Ok(((), effects)) => (Ok(()), effects),
            Err(refusal) => (Err(refusal), Effects::none()),
        };
        let (outcome, _) = transact(self.ports.ledger.as_ref(), vec![Key::Transfer(id)], decide).await?;
        Ok(outcome?)
    }

    /// Shares of other transfers than those that need one: few, so that these alone are loaded.
    async fn unexpected_shares(&self) -> Result<Vec<ShareRef>, StoreError> {
        let mut shares: HashMap<TransferId, Vec<ShareRef>> = HashMap::new();
        for share in self.ports.shares.list().await? {
            shares.entry(share.transfer).or_default().push(share);
        }
        let mut after = None;
        loop {
            let page = self.ports.views.sealed_unended(after, PAGE).await?;
            let Some(last) = page.last() else {
                return Ok(shares.into_values().flatten().collect());
            };
            after = Some(*last);
            for id in &page {
                // Of two for one transfer, only the transfer says which it needs.
                if shares.get(id).is_some_and(|of_one| of_one.len() == 1) {
                    shares.remove(id);
                }
            }
        }
    }

    async fn destroy_orphans(&self) -> Result<(), StoreError> {
        let mut orphans = self.orphans.lock().await;
        // How long a share has waited for its seal is a matter of the clock.
        if self.ports.watch.state() != ClockState::Trusted || !orphans.is_time(self.now()) {
            return Ok(());
        }
        let mut without_transfer = Vec::new();
        for share in self.unexpected_shares().await? {
            let transfer = self.ports.views.transfer(&share.transfer).await?;
            if !transfer.is_some_and(|t| has_share(&t, &share)) {
                without_transfer.push(share);
            }
        }
        for share in orphans.ripe(without_transfer, self.now()) {
            let _gate = self.ports.share_gate.write().await;
            let transfer = self.ports.views.transfer(&share.transfer).await?;
            if !transfer.is_some_and(|t| has_share(&t, &share)) {
                tracing::info!(transfer = %share.transfer, "destroying a share that no seal refers to");
                self.ports.shares.destroy(&share).await?;
            }
        }
        Ok(())
    }
}

/// Ids compared at once.
const PAGE: usize = 65_536;

/// Whether the ledger still needs this share.
fn has_share(transfer: &Transfer, share: &ShareRef) -> bool {
    let is_destroyed = transfer.shredded.is_some_and(|s| s.destroyed_at.is_some());
    !is_destroyed && share_ref(transfer).as_ref() == Some(share)
}
