//! The organisation of this gateway: its directory with the log behind it, and the addresses behind the labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sealpost_proto::id::{Address, Hash, InviteId, Label, OrgId, PublicKey};
use sealpost_proto::key::{Directory, SignedStatement, StatementType};
use sealpost_proto::tree::{Tree, leaf_hash};
use serde::{Deserialize, Serialize};

use super::state::Unfit;
use super::{Change, Key};

/// A statement as it stands in the directory log.
#[derive(Debug)]
pub struct LoggedStatement {
    /// The signed note.
    pub text: String,
    /// Its type.
    pub kind: StatementType,
    /// Its leaf in the directory log.
    pub leaf: String,
}

/// Which audit log is written now: the first, or the successor after a loss (proto/spec/log.md).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditPlace {
    /// Its number, from 1.
    pub log: u64,
    /// Leaves in the ledger before its first.
    pub first_leaf: u64,
}

impl Default for AuditPlace {
    fn default() -> Self {
        Self { log: 1, first_leaf: 0 }
    }
}

/// The organisation; empty before `org init`.
#[derive(Debug, Clone, Default)]
pub struct Organisation {
    /// Statements applied, once there is an organisation.
    pub directory: Option<Directory>,
    /// The first administrator, who may read the audit log.
    pub owner: Option<Label>,
    /// Addresses by label, for routing and display.
    pub addresses: BTreeMap<Label, Address>,
    /// Statements in log order.
    pub statements: Vec<Arc<LoggedStatement>>,
    /// Devices of invitees who wait for a registrar.
    pub waiting: BTreeMap<PublicKey, InviteId>,
    /// Until when (unix seconds) devices whose clock is ahead may have signed, so that a restart forgets no such request.
    pub ahead: BTreeMap<PublicKey, u64>,
    /// Where its audit log begins in the ledger.
    pub audit: AuditPlace,
    /// Devices that were announced for a person, revoked or not.
    devices: BTreeMap<Label, BTreeSet<PublicKey>>,
    by_hash: HashMap<Hash, usize>,
    tree: Tree,
    /// Heads of the directory log at sizes 1, 2, ...
    heads: Vec<Hash>,
}

/// Everything of an organisation but the statements of its directory log, from which it is made again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct OrganisationFacts {
    org: Option<OrgId>,
    owner: Option<Label>,
    addresses: BTreeMap<Label, Address>,
    waiting: BTreeMap<PublicKey, InviteId>,
    ahead: BTreeMap<PublicKey, u64>,
    #[serde(default)]
    audit: AuditPlace,
}

impl Organisation {
    /// All but the statements, to be kept beside them.
    pub(crate) fn facts(&self) -> OrganisationFacts {
        OrganisationFacts {
            org: self.directory.as_ref().map(Directory::org),
            owner: self.owner,
            addresses: self.addresses.clone(),
            waiting: self.waiting.clone(),
            ahead: self.ahead.clone(),
            audit: self.audit,
        }
    }

    /// The organisation that was kept as `facts` and `statements`; `None` if they do not belong together.
    pub(crate) fn load(facts: OrganisationFacts, statements: &[String]) -> Option<Self> {
        let mut organisation = Self::default();
        if let (Some(org), Some(owner)) = (facts.org, facts.owner) {
            organisation.found(org, owner);
        }
        for text in statements {
            if !organisation.take(text) {
                return None;
            }
        }
        organisation.addresses = facts.addresses;
        organisation.waiting = facts.waiting;
        organisation.ahead = facts.ahead;
        organisation.audit = facts.audit;
        Some(organisation)
    }

    /// Applies a change that was decided.
    ///
    /// # Errors
    /// [`Unfit`] if it does not follow from what is there.
    pub(crate) fn apply(&mut self, change: &Change) -> Result<(), Unfit> {
        match change {
            Change::OrganisationFounded { org, owner } => self.found(*org, *owner),
            Change::StatementTaken { text } if self.take(text) => {}
            Change::AddressBound { label, address } => {
                self.addresses.insert(*label, address.clone());
            }
            Change::DeviceWaiting { device, invite } => {
                self.waiting.insert(*device, *invite);
            }
            Change::DeviceAhead { device, until, at } => self.note_ahead(*device, *until, *at),
            Change::LossAccepted { log, first_leaf } => {
                self.audit = AuditPlace {
                    log: *log,
                    first_leaf: *first_leaf,
                };
            }
            _ => return Err(Unfit(Key::Organisation)),
        }
        Ok(())
    }

    /// Size of the directory log.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.statements.len() as u64
    }

    /// Head of the directory log.
    #[must_use]
    pub fn head(&self) -> Hash {
        Hash::from_bytes(self.tree.head())
    }

    /// Head that the directory log had at `size`; none for a size that it has not reached.
    #[must_use]
    pub fn head_at(&self, size: u64) -> Option<Hash> {
        let Some(index) = size.checked_sub(1) else {
            return Some(Hash::from_bytes(Tree::new().head()));
        };
        self.heads.get(usize::try_from(index).ok()?).copied()
    }

    /// The statement with this hash.
    #[must_use]
    pub fn statement(&self, hash: &Hash) -> Option<&LoggedStatement> {
        let index = self.by_hash.get(hash)?;
        self.statements.get(*index).map(AsRef::as_ref)
    }

    /// Whether this label is a person of the directory, revoked or not.
    #[must_use]
    pub fn is_member(&self, label: &Label) -> bool {
        self.directory.as_ref().is_some_and(|d| d.member(label).is_some())
    }

    /// Whether this label may enrol people at `now` (unix seconds).
    #[must_use]
    pub fn is_registrar(&self, label: &Label, now: u64) -> bool {
        self.directory.as_ref().is_some_and(|d| d.is_registrar(label, now))
    }

    /// Whether this label may read the audit log.
    #[must_use]
    pub fn is_auditor(&self, label: &Label) -> bool {
        self.owner == Some(*label)
    }

    /// Devices that were announced for this label, revoked or not.
    pub fn devices_of(&self, label: &Label) -> impl Iterator<Item = PublicKey> {
        self.devices.get(label).into_iter().flatten().copied()
    }

    /// Notes that a device may have signed requests until `until`; what lies behind `now` is told by the clock. Unix seconds.
    pub(super) fn note_ahead(&mut self, device: PublicKey, until: u64, now: u64) {
        self.ahead.retain(|_, until| *until >= now);
        let noted = self.ahead.entry(device).or_default();
        *noted = until.max(*noted);
    }

    /// Takes the organisation that was founded.
    pub(super) fn found(&mut self, org: OrgId, owner: Label) {
        self.directory = Some(Directory::new(org));
        self.owner = Some(owner);
    }

    /// Takes a statement that was decided. It was checked then, and the same check of the same state has the same result; `false`
    /// if it has another.
    #[must_use]
    pub(super) fn take(&mut self, text: &str) -> bool {
        let Ok(signed) = text.parse::<SignedStatement>() else {
            return false;
        };
        let Some(directory) = self.directory.as_mut() else {
            return false;
        };
        if directory.apply(&signed).is_err() {
            return false;
        }
        let leaf = signed.leaf();
        self.tree.push(leaf_hash(leaf.as_bytes()));
        self.heads.push(self.head());
        self.by_hash.insert(signed.hash(), self.statements.len());
        if let Some(device) = super::enrolment::device_key(&signed) {
            self.waiting.remove(&device);
            if let Some(label) = signed.statement().label {
                self.devices.entry(label).or_default().insert(device);
            }
        }
        self.statements.push(Arc::new(LoggedStatement {
            text: text.to_owned(),
            kind: signed.statement().kind(),
            leaf,
        }));
        true
    }
}
