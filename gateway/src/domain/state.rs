//! All aggregates of a gateway, and the part of them that a decision may see.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealpost_proto::id::{Hash, InviteId, TransferId};
use thiserror::Error;

use super::{Change, Invite, Organisation, RequestNote, Transfer};

/// Name of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The organisation.
    Organisation,
    /// An invitation.
    Invite(InviteId),
    /// A transfer.
    Transfer(TransferId),
    /// An idempotency key, by the hash of device and key.
    Request(Hash),
}

/// The aggregates that a decision named, as they are now.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    organisation: Option<Arc<Organisation>>,
    invites: BTreeMap<InviteId, Arc<Invite>>,
    transfers: BTreeMap<TransferId, Arc<Transfer>>,
    requests: BTreeMap<Hash, RequestNote>,
}

impl Loaded {
    /// The organisation and perhaps a transfer, to try a decision before anything is written for it.
    #[must_use]
    pub fn of(organisation: Arc<Organisation>, transfer: Option<Arc<Transfer>>) -> Self {
        Self {
            organisation: Some(organisation),
            invites: BTreeMap::new(),
            transfers: transfer.into_iter().map(|t| (t.id, t)).collect(),
            requests: BTreeMap::new(),
        }
    }

    /// The organisation, if it was named.
    #[must_use]
    pub fn organisation(&self) -> Option<&Organisation> {
        self.organisation.as_deref()
    }

    /// An invitation, if it was named and exists.
    #[must_use]
    pub fn invite(&self, id: &InviteId) -> Option<&Invite> {
        self.invites.get(id).map(AsRef::as_ref)
    }

    /// A transfer without a copy, if it was named and exists.
    #[must_use]
    pub fn shared_transfer(&self, id: &TransferId) -> Option<Arc<Transfer>> {
        self.transfers.get(id).cloned()
    }

    /// For what an idempotency key was used, if it was named and used.
    #[must_use]
    pub fn request(&self, hash: &Hash) -> Option<&RequestNote> {
        self.requests.get(hash)
    }

    /// A transfer, if it was named and exists.
    #[must_use]
    pub fn transfer(&self, id: &TransferId) -> Option<&Transfer> {
        self.transfers.get(id).map(AsRef::as_ref)
    }
}

/// A change that does not follow from the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a change does not follow from what is there: {0:?}")]
pub struct Unfit(Key);

/// All aggregates.
#[derive(Debug, Clone, Default)]
pub struct State {
    organisation: Arc<Organisation>,
    invites: HashMap<InviteId, Arc<Invite>>,
    transfers: HashMap<TransferId, Arc<Transfer>>,
    requests: HashMap<Hash, RequestNote>,
}

impl State {
    /// The aggregates that `keys` name.
    #[must_use]
    pub fn load(&self, keys: &[Key]) -> Loaded {
        let mut loaded = Loaded::default();
        for key in keys {
            match key {
                Key::Organisation => loaded.organisation = Some(Arc::clone(&self.organisation)),
                Key::Invite(id) => loaded
                    .invites
                    .extend(self.invites.get(id).map(|i| (*id, Arc::clone(i)))),
                Key::Transfer(id) => loaded
                    .transfers
                    .extend(self.transfers.get(id).map(|t| (*id, Arc::clone(t)))),
                Key::Request(hash) => loaded
                    .requests
                    .extend(self.requests.get(hash).map(|note| (*hash, *note))),
            }
        }
        loaded
    }

    /// Applies a change that was decided.
    ///
    /// # Errors
    /// [`Unfit`] if the change does not follow from this state: the journal was written under other rules, or there is a bug. The
    /// state is of no use then; going on without the change would be another history.
    pub fn apply(&mut self, change: &Change) -> Result<(), Unfit> {
        let is_applied = match change.key() {
            Key::Organisation => self.apply_to_organisation(change),
            Key::Invite(id) => self.apply_to_invite(id, change),
            Key::Transfer(id) => self.apply_to_transfer(id, change),
            Key::Request(hash) => self.apply_to_request(hash, change),
        };
        if is_applied { Ok(()) } else { Err(Unfit(change.key())) }
    }

    /// Every transfer, for whoever builds an index over the state.
    pub fn transfers(&self) -> impl Iterator<Item = &Arc<Transfer>> {
        self.transfers.values()
    }

    /// Every invitation.
    pub fn invites(&self) -> impl Iterator<Item = &Arc<Invite>> {
        self.invites.values()
    }

    fn apply_to_organisation(&mut self, change: &Change) -> bool {
        let organisation = Arc::make_mut(&mut self.organisation);
        match change {
            Change::OrganisationFounded { org, owner } => organisation.found(*org, *owner),
            Change::StatementTaken { text } => return organisation.take(text),
            Change::AddressBound { label, address } => {
                organisation.addresses.insert(*label, address.clone());
            }
            Change::DeviceWaiting { device, invite } => {
                organisation.waiting.insert(*device, *invite);
            }
            Change::DeviceAhead { device, until, at } => organisation.note_ahead(*device, *until, *at),
            _ => return false,
        }
        true
    }

    fn apply_to_invite(&mut self, id: InviteId, change: &Change) -> bool {
        if let Some(invite) = Invite::created(change) {
            self.invites.insert(id, Arc::new(invite));
            return true;
        }
        let Some(invite) = self.invites.get_mut(&id).map(Arc::make_mut) else {
            return false;
        };
        match change {
            Change::InvitePosted { keys, .. } => invite.posted = Some(keys.clone()),
            Change::InviteConfirmed { .. } => invite.is_confirmed = true,
            _ => return false,
        }
        true
    }

    fn apply_to_request(&mut self, hash: Hash, change: &Change) -> bool {
        let Change::RequestNoted { digest, at, .. } = change else {
            return false;
        };
        self.requests.insert(
            hash,
            RequestNote {
                digest: *digest,
                at: *at,
            },
        );
        true
    }

    fn apply_to_transfer(&mut self, id: TransferId, change: &Change) -> bool {
        match change {
            Change::TransferRemoved { .. } => return self.transfers.remove(&id).is_some(),
            Change::TransferAnnounced { sender, bytes, at, .. } => {
                let transfer = Transfer::announced(id, *sender, *bytes, *at);
                self.transfers.insert(id, Arc::new(transfer));
            }
            Change::TransferSealed { sender, sealed, .. } => {
                let unannounced = || Arc::new(Transfer::announced(id, *sender, sealed.payload_len, sealed.sealed_at));
                let transfer = self.transfers.entry(id).or_insert_with(unannounced);
                Arc::make_mut(transfer).seal(sealed.as_ref().clone());
            }
            _ => {
                let Some(transfer) = self.transfers.get_mut(&id) else {
                    return false;
                };
                return Arc::make_mut(transfer).apply(change);
            }
        }
        true
    }
}
