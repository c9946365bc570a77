//! The outside account: what was acknowledged, and when. It is kept in memory by whoever was answered, away from the gateway.
//!
//! A place for more kinds is a field here, a question in `check`, and an act in `workload`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use sealpost_proto::id::{Hash, InviteId, OpeningId, TransferId};
use sealpost_proto::link::Link;

/// Microseconds since 1970: the scale of a trace.
pub type Micros = u64;

/// What the system's clock says now. The tracer stamps system calls with the same clock.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "acknowledgements are compared with the times of a trace, which are the system's"
)]
pub fn now() -> Micros {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// A transfer whose seal was acknowledged.
#[derive(Debug, Clone)]
pub struct Sealed {
    /// Its header hash.
    pub hh: Hash,
    /// Digest of the one file in it, which is its name as well.
    pub digest: String,
    /// How often its recipient may open it.
    pub limit: Option<u32>,
    /// When.
    pub at: Micros,
}

/// A transfer to a link whose seal was acknowledged, and what a visitor has to know of it.
#[derive(Debug, Clone)]
pub struct Linked {
    /// What the visitor was given.
    pub link: Link,
    /// And was told.
    pub words: String,
    /// Its name at the gateway.
    pub hash: Hash,
    /// Digest of the one file in it.
    pub digest: String,
    /// How often it may be opened.
    pub limit: u32,
    /// When.
    pub at: Micros,
    /// Visitors who asked, answered or not.
    pub asked: u32,
    /// Visitors who were answered: ids of which one is that of the opening, when.
    pub opened: Vec<(BTreeSet<OpeningId>, Micros)>,
    /// The first receipt that was answered.
    pub receipt: Option<Micros>,
}

/// Size and head of the audit log under a checkpoint that a client has verified.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Leaves.
    pub size: u64,
    /// Head.
    pub root: Hash,
    /// Transfers whose shares the log said were destroyed.
    pub shredded: BTreeSet<TransferId>,
    /// When.
    pub at: Micros,
}

/// Everything that was acknowledged.
#[derive(Debug, Clone, Default)]
pub struct Acks {
    /// Seals.
    pub sealed: BTreeMap<TransferId, Sealed>,
    /// Parts of transfers that nobody seals: root, when.
    pub parts: BTreeMap<TransferId, (Hash, Micros)>,
    /// Openings by transfer: id, when.
    pub openings: BTreeMap<TransferId, BTreeMap<OpeningId, Micros>>,
    /// Receipts.
    pub receipts: BTreeMap<TransferId, Micros>,
    /// Invitations.
    pub invites: BTreeMap<InviteId, Micros>,
    /// Transfers to links.
    pub links: BTreeMap<TransferId, Linked>,
    /// Revocations.
    pub revoked: BTreeMap<TransferId, Micros>,
    /// Revocations that were asked for, answered or not.
    pub revoking: BTreeSet<TransferId>,
    /// Audit logs.
    pub seen: Vec<Seen>,
    /// Ids that were drawn to ask for openings, answered or not, and whatever else was drawn meanwhile.
    pub asked: BTreeMap<TransferId, BTreeSet<OpeningId>>,
    /// Transfers that were begun, answered or not.
    pub begun: BTreeSet<TransferId>,
    /// Digests of all files that were ever given to a client to send.
    pub digests: BTreeSet<String>,
    /// Answers that cannot be right, a sentence each.
    pub faults: Vec<String>,
}

impl Acks {
    /// What had been acknowledged at a moment. What was only asked for stays, because it may have been done.
    #[must_use]
    pub fn until(&self, moment: Micros) -> Self {
        let mut acks = self.clone();
        acks.sealed.retain(|_, sealed| sealed.at < moment);
        acks.parts.retain(|_, (_, at)| *at < moment);
        acks.receipts.retain(|_, at| *at < moment);
        acks.invites.retain(|_, at| *at < moment);
        acks.revoked.retain(|_, at| *at < moment);
        acks.links.retain(|_, linked| linked.at < moment);
        for linked in acks.links.values_mut() {
            linked.opened.retain(|(_, at)| *at < moment);
            linked.receipt = linked.receipt.filter(|at| *at < moment);
        }
        acks.seen.retain(|seen| seen.at < moment);
        for openings in acks.openings.values_mut() {
            openings.retain(|_, at| *at < moment);
        }
        acks
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        let opened: usize = self.openings.values().map(BTreeMap::len).sum();
        let visited: usize = self.links.values().map(|linked| 1 + linked.opened.len()).sum();
        let kinds = [
            self.sealed.len(),
            self.parts.len(),
            self.receipts.len(),
            self.invites.len(),
        ];
        kinds.iter().sum::<usize>() + self.revoked.len() + opened + visited
    }

    /// Openings of a transfer that were acknowledged.
    #[must_use]
    pub fn opened(&self, transfer: &TransferId) -> u32 {
        let count = self.openings.get(transfer).map_or(0, BTreeMap::len);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Notes that an opening is about to be asked for.
    pub fn ask(&mut self, transfer: TransferId, opening: OpeningId) {
        self.asked.entry(transfer).or_default().insert(opening);
    }

    /// Notes an opening that was answered.
    pub fn open(&mut self, transfer: TransferId, opening: OpeningId) {
        let at = now();
        self.openings.entry(transfer).or_default().entry(opening).or_insert(at);
    }

    /// Notes a revocation that was answered.
    pub fn revoke(&mut self, transfer: TransferId) {
        let at = now();
        self.revoked.entry(transfer).or_insert(at);
    }

    /// Notes a receipt that was answered.
    pub fn receipt(&mut self, transfer: TransferId) {
        let at = now();
        self.receipts.entry(transfer).or_insert(at);
    }
}

/// The account, shared by everybody who works.
#[derive(Debug, Clone, Default)]
pub struct Account(Arc<Mutex<Acks>>);

impl Account {
    /// The account as it stands, to be read or written.
    pub fn lock(&self) -> MutexGuard<'_, Acks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An account that begins with these acknowledgements.
    #[must_use]
    pub fn of(acks: Acks) -> Self {
        Self(Arc::new(Mutex::new(acks)))
    }
}
