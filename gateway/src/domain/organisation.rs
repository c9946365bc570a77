//! The organisation of this gateway: its directory with the log behind it, and the addresses behind the labels.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use sealpost_proto::id::{Address, Hash, InviteId, Label, OrgId, PublicKey};
use sealpost_proto::key::{Directory, SignedStatement, StatementType};
use sealpost_proto::tree::{Tree, leaf_hash};

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
    /// Devices that were announced for a person, revoked or not.
    devices: BTreeMap<Label, BTreeSet<PublicKey>>,
    by_hash: HashMap<Hash, usize>,
    tree: Tree,
    /// Heads of the directory log at sizes 1, 2, ...
    heads: Vec<Hash>,
}

impl Organisation {
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
