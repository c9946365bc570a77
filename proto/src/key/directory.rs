//! The directory: statements in log order, and whom they make trustworthy.
//!
//! Gateway and clients run the same checks. A client that has mirrored the whole log, and found every served statement in it,
//! holds the latest and complete word on every label (security.md 2.3). Positions are indices in the directory log: a
//! revocation counts from where it stands, not from when its signer says (a thief cannot backdate).

use std::collections::BTreeMap;

use thiserror::Error;

use super::fingerprint::org_id;
use super::note::Note;
use super::service::{Scope, ServiceLimits};
use super::statement::{
    Body, EncryptionPublicKey, RevokedKey, SignedStatement, Statement, StatementError, StatementType, Validity,
};
use crate::id::{Hash, Kid, Label, OrgId, PublicKey};

/// Why a statement does not belong where it was offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum DirectoryError {
    /// The statement itself is malformed.
    #[error(transparent)]
    Statement(#[from] StatementError),
    /// It belongs to another organisation.
    #[error("the statement belongs to another organisation")]
    Organisation,
    /// Its number or its `prev` does not continue the chain.
    #[error("the statement does not continue its chain")]
    Chain,
    /// A signature that its type needs is missing or not valid.
    #[error("the statement lacks a signature that it needs")]
    Signature,
    /// A key in it already belongs to somebody, or to nobody where it must.
    #[error("a key in the statement is not its owner's to announce")]
    Key,
    /// A registrar would become a service account, or a service account a registrar.
    #[error("nobody is both a registrar and a service account")]
    Role,
}

/// A registrar's key and its standing.
#[derive(Debug, Clone)]
struct Registrar {
    label: Label,
    valid: Validity,
    revoked_at: Option<u64>,
}

/// A device and its standing.
#[derive(Debug, Clone)]
struct Device {
    label: Label,
    identity: PublicKey,
    valid: Validity,
    revoked_at: Option<u64>,
}

/// A person in the directory.
#[derive(Debug, Clone)]
pub struct Member {
    /// Place in the directory.
    pub label: Label,
    /// Identity key.
    pub identity: PublicKey,
    /// Epoch of the encryption key.
    pub epoch: u64,
    /// Encryption key that transfers are sealed to.
    pub encryption: EncryptionPublicKey,
    /// When it may be used.
    pub valid: Validity,
    /// Index of the statement that revoked the identity.
    pub revoked_at: Option<u64>,
}

/// A device whose chain to the organisation's root holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrustedDevice {
    /// Its owner.
    pub label: Label,
    /// Its owner's identity key.
    pub identity: PublicKey,
    /// The device's key.
    pub key: PublicKey,
}

/// Everything the statements of one organisation say, applied in log order.
#[derive(Debug, Clone)]
pub struct Directory {
    org: OrgId,
    root: Option<PublicKey>,
    name: String,
    size: u64,
    chains: BTreeMap<(Option<Label>, StatementType), (u64, Hash)>,
    registrars: BTreeMap<PublicKey, Registrar>,
    members: BTreeMap<Label, Member>,
    devices: BTreeMap<PublicKey, Device>,
    services: BTreeMap<Label, ServiceLimits>,
    kids: BTreeMap<Kid, Label>,
}

impl Directory {
    /// The empty directory of an organisation. Only statements of `org` will be taken.
    #[must_use]
    pub fn new(org: OrgId) -> Self {
        Self {
            org,
            root: None,
            name: String::new(),
            size: 0,
            chains: BTreeMap::new(),
            registrars: BTreeMap::new(),
            members: BTreeMap::new(),
            devices: BTreeMap::new(),
            services: BTreeMap::new(),
            kids: BTreeMap::new(),
        }
    }

    /// The organisation.
    #[must_use]
    pub fn org(&self) -> OrgId {
        self.org
    }

    /// The organisation's name as its root signed it; empty before the first `org` statement.
    #[must_use]
    pub fn org_name(&self) -> &str {
        &self.name
    }

    /// Number of statements applied: the size of the directory log up to here.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Number and hash of the last statement of a chain; `None` before its first.
    #[must_use]
    pub fn last(&self, label: Option<Label>, kind: StatementType) -> Option<(u64, Hash)> {
        self.chains.get(&(label, kind)).copied()
    }

    /// The person with this label, revoked or not.
    #[must_use]
    pub fn member(&self, label: &Label) -> Option<&Member> {
        self.members.get(label)
    }

    /// All people, by label.
    pub fn members(&self) -> impl Iterator<Item = &Member> {
        self.members.values()
    }

    /// Whose encryption key this is, of any epoch.
    #[must_use]
    pub fn label_of_kid(&self, kid: &Kid) -> Option<Label> {
        self.kids.get(kid).copied()
    }

    /// The person whose identity key this is now.
    #[must_use]
    pub fn member_by_identity(&self, identity: &PublicKey) -> Option<&Member> {
        self.members.values().find(|member| member.identity == *identity)
    }

    /// The person with this label if transfers may be sealed to them at `now` (unix seconds); a service account only if it may
    /// receive then.
    #[must_use]
    pub fn recipient(&self, label: &Label, now: u64) -> Option<&Member> {
        let member = self.current(label, now)?;
        let receives = |limits: &ServiceLimits| limits.scopes.contains(Scope::Receive) && limits.valid.contains(now);
        self.service(label).is_none_or(receives).then_some(member)
    }

    /// The person or service account with this label if its keys are good at `now` (unix seconds), whether it may receive or not: for
    /// the copy that it keeps of what it sends itself.
    #[must_use]
    pub fn current(&self, label: &Label, now: u64) -> Option<&Member> {
        let member = self.members.get(label)?;
        (member.revoked_at.is_none() && member.valid.contains(now)).then_some(member)
    }

    /// The newest limits of a service account; none for anybody else. Whoever has some may not be in the directory yet.
    #[must_use]
    pub fn service(&self, label: &Label) -> Option<&ServiceLimits> {
        self.services.get(label)
    }

    /// Whether this label holds a registrar's key that may sign at `now`.
    #[must_use]
    pub fn is_registrar(&self, label: &Label, now: u64) -> bool {
        let may_sign = |r: &Registrar| r.label == *label && r.revoked_at.is_none() && r.valid.contains(now);
        self.registrars.values().any(may_sign)
    }

    /// The device if its chain holds at `now` and nothing on it is revoked: for requests.
    #[must_use]
    pub fn device(&self, key: &PublicKey, now: u64) -> Option<TrustedDevice> {
        self.device_below(key, now, self.size)
    }

    /// The device as it stood when the directory log had `size` entries, at `time`: for seals and receipts.
    ///
    /// A revocation at or after `size` does not count. Without an *accepted* receipt to take `size` from, pass
    /// [`Directory::size`]: then any revocation counts.
    #[must_use]
    pub fn device_below(&self, key: &PublicKey, time: u64, size: u64) -> Option<TrustedDevice> {
        let device = self.devices.get(key)?;
        let member = self.members.get(&device.label)?;
        let stands = |revoked_at: Option<u64>| revoked_at.is_none_or(|index| index >= size);
        let holds = stands(device.revoked_at)
            && stands(member.revoked_at)
            && device.valid.contains(time)
            && device.identity == member.identity;
        holds.then_some(TrustedDevice {
            label: device.label,
            identity: device.identity,
            key: *key,
        })
    }

    /// Checks a statement and takes it as the next of the log. Nothing changes when it is refused.
    ///
    /// # Errors
    /// [`DirectoryError`], by the first rule that it breaks.
    pub fn apply(&mut self, signed: &SignedStatement) -> Result<(), DirectoryError> {
        let statement = signed.statement();
        self.check_chain(statement)?;
        match &statement.body {
            Body::Org { root, name } => self.apply_org(signed.note(), root, name)?,
            Body::Registrar { key, valid } => self.apply_registrar(signed.note(), statement, key, *valid)?,
            Body::Member { .. } => self.apply_member(signed.note(), statement)?,
            Body::Device { .. } => self.apply_device(signed.note(), statement)?,
            Body::Revoke { key, .. } => self.apply_revoke(signed.note(), statement, *key)?,
            Body::Service(limits) => self.apply_service(signed.note(), statement, limits)?,
        }
        self.chains
            .insert((statement.label, statement.kind()), (statement.seq, signed.hash()));
        self.size += 1;
        Ok(())
    }

    fn check_chain(&self, statement: &Statement) -> Result<(), DirectoryError> {
        if statement.org != self.org {
            return Err(DirectoryError::Organisation);
        }
        let expected = match self.last(statement.label, statement.kind()) {
            None => (1, None),
            Some((seq, hash)) => (seq + 1, Some(hash)),
        };
        if (statement.seq, statement.prev) == expected {
            Ok(())
        } else {
            Err(DirectoryError::Chain)
        }
    }

    fn apply_org(&mut self, note: &Note, root: &PublicKey, name: &str) -> Result<(), DirectoryError> {
        if org_id(root) != self.org {
            return Err(DirectoryError::Organisation);
        }
        signed_as(note, "or", root)?;
        self.root = Some(*root);
        name.clone_into(&mut self.name);
        Ok(())
    }

    fn apply_registrar(
        &mut self,
        note: &Note,
        statement: &Statement,
        key: &PublicKey,
        valid: Validity,
    ) -> Result<(), DirectoryError> {
        let label = statement.label.ok_or(DirectoryError::Chain)?;
        signed_as(note, "or", &self.root.ok_or(DirectoryError::Signature)?)?;
        if self.is_known(key) {
            return Err(DirectoryError::Key);
        }
        if self.services.contains_key(&label) {
            return Err(DirectoryError::Role);
        }
        self.registrars.insert(
            *key,
            Registrar {
                label,
                valid,
                revoked_at: None,
            },
        );
        Ok(())
    }

    fn apply_member(&mut self, note: &Note, statement: &Statement) -> Result<(), DirectoryError> {
        let label = statement.label.ok_or(DirectoryError::Chain)?;
        let Body::Member {
            identity,
            epoch,
            encryption,
            valid,
            ..
        } = &statement.body
        else {
            return Err(DirectoryError::Chain);
        };
        signed_as(note, "ik", identity)?;
        self.signed_by_registrar(note, valid.not_before)?;
        self.check_succession(note, &label, identity, *epoch)?;
        let owner = self.kids.get(&encryption.kid());
        if owner.is_some_and(|owner| *owner != label) {
            return Err(DirectoryError::Key);
        }
        self.kids.insert(encryption.kid(), label);
        let member = Member {
            label,
            identity: *identity,
            epoch: *epoch,
            encryption: encryption.clone(),
            valid: *valid,
            revoked_at: None,
        };
        self.members.insert(label, member);
        Ok(())
    }

    /// A new identity must be signed by the one before it, and nobody's key may be announced by another.
    fn check_succession(
        &self,
        note: &Note,
        label: &Label,
        identity: &PublicKey,
        epoch: u64,
    ) -> Result<(), DirectoryError> {
        let Some(before) = self.members.get(label) else {
            return if self.is_known(identity) {
                Err(DirectoryError::Key)
            } else {
                Ok(())
            };
        };
        if before.revoked_at.is_some() || epoch < before.epoch {
            return Err(DirectoryError::Chain);
        }
        if before.identity == *identity {
            return Ok(());
        }
        if self.is_known(identity) {
            return Err(DirectoryError::Key);
        }
        signed_as(note, "ik", &before.identity)
    }

    fn apply_device(&mut self, note: &Note, statement: &Statement) -> Result<(), DirectoryError> {
        let label = statement.label.ok_or(DirectoryError::Chain)?;
        let Body::Device {
            identity, key, valid, ..
        } = &statement.body
        else {
            return Err(DirectoryError::Chain);
        };
        let member = self.members.get(&label).ok_or(DirectoryError::Key)?;
        if member.identity != *identity || member.revoked_at.is_some() || self.is_known(key) {
            return Err(DirectoryError::Key);
        }
        signed_as(note, "ik", identity)?;
        let device = Device {
            label,
            identity: *identity,
            valid: *valid,
            revoked_at: None,
        };
        self.devices.insert(*key, device);
        Ok(())
    }

    /// Limits replace those before them; nothing takes them away.
    fn apply_service(
        &mut self,
        note: &Note,
        statement: &Statement,
        limits: &ServiceLimits,
    ) -> Result<(), DirectoryError> {
        let label = statement.label.ok_or(DirectoryError::Chain)?;
        self.signed_by_registrar(note, limits.valid.not_before)?;
        if self.registrars.values().any(|registrar| registrar.label == label) {
            return Err(DirectoryError::Role);
        }
        self.services.insert(label, limits.clone());
        Ok(())
    }

    fn apply_revoke(&mut self, note: &Note, statement: &Statement, key: RevokedKey) -> Result<(), DirectoryError> {
        let Body::Revoke { time, .. } = statement.body else {
            return Err(DirectoryError::Chain);
        };
        let label = statement.label.ok_or(DirectoryError::Chain)?;
        let by_root = self.root.is_some_and(|root| note.verify_as("or", &root).is_ok());
        let by_registrar = || self.signed_by_registrar(note, time).is_ok();
        let by_owner = |identity: &PublicKey| note.verify_as("ik", identity).is_ok();
        let index = self.size;
        let revoked_at = match key {
            RevokedKey::Registrar(key) => {
                let may = by_root || note.verify_as("rk", &key).is_ok();
                let registrar = self.registrars.get_mut(&key).filter(|r| r.label == label);
                registrar.filter(|_| may).map(|r| &mut r.revoked_at)
            }
            RevokedKey::Identity(key) => {
                let may = by_root || by_owner(&key) || by_registrar();
                let member = self.members.get_mut(&label).filter(|m| m.identity == key);
                member.filter(|_| may).map(|m| &mut m.revoked_at)
            }
            RevokedKey::Device(key) => {
                let owner = self.devices.get(&key).map(|device| device.identity);
                let may = by_root || owner.is_some_and(|owner| by_owner(&owner)) || by_registrar();
                let device = self.devices.get_mut(&key).filter(|d| d.label == label);
                device.filter(|_| may).map(|d| &mut d.revoked_at)
            }
        };
        let revoked_at = revoked_at.ok_or(DirectoryError::Signature)?;
        revoked_at.get_or_insert(index);
        Ok(())
    }

    /// Whether a registrar whose key may sign at `time` and is not revoked has signed the note.
    fn signed_by_registrar(&self, note: &Note, time: u64) -> Result<(), DirectoryError> {
        let keys = note.signatures().iter().filter_map(|signature| signature.key_of("rk"));
        let may_sign = |key: &PublicKey| {
            self.registrars
                .get(key)
                .is_some_and(|r| r.revoked_at.is_none() && r.valid.contains(time))
        };
        let signed = keys.filter(may_sign).any(|key| note.verify_as("rk", &key).is_ok());
        if signed { Ok(()) } else { Err(DirectoryError::Signature) }
    }

    /// Whether any statement has announced this key before: every key has one owner and one use.
    fn is_known(&self, key: &PublicKey) -> bool {
        self.root == Some(*key)
            || self.registrars.contains_key(key)
            || self.devices.contains_key(key)
            || self.members.values().any(|member| member.identity == *key)
    }
}

fn signed_as(note: &Note, role: &str, key: &PublicKey) -> Result<(), DirectoryError> {
    note.verify_as(role, key).map_err(|_| DirectoryError::Signature)
}
