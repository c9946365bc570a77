//! Aggregates by key, how one change makes the next of one, and the part of them that a decision may see.

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

    /// Adds what `key` names; the organisation is added by [`Loaded::add_organisation`].
    pub(crate) fn add(&mut self, key: Key, aggregate: Option<Aggregate>) {
        match (key, aggregate) {
            (Key::Invite(id), Some(Aggregate::Invite(invite))) => {
                self.invites.insert(id, invite);
            }
            (Key::Transfer(id), Some(Aggregate::Transfer(transfer))) => {
                self.transfers.insert(id, transfer);
            }
            (Key::Request(hash), Some(Aggregate::Request(note))) => {
                self.requests.insert(hash, note);
            }
            _ => {}
        }
    }

    /// Adds the organisation.
    pub(crate) fn add_organisation(&mut self, organisation: Arc<Organisation>) {
        self.organisation = Some(organisation);
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
pub struct Unfit(pub(super) Key);

/// What a key other than the organisation's names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Aggregate {
    /// An invitation.
    Invite(Arc<Invite>),
    /// A transfer.
    Transfer(Arc<Transfer>),
    /// An idempotency note.
    Request(RequestNote),
}

impl Aggregate {
    /// What `change` makes of the aggregate that it names; `None` when it is removed.
    ///
    /// # Errors
    /// [`Unfit`] if the change does not follow from what is there: the journal was written under other rules, or there is a bug.
    /// Going on without the change would be another history.
    pub(crate) fn after(this: Option<Self>, change: &Change) -> Result<Option<Self>, Unfit> {
        let key = change.key();
        let next = match (key, this) {
            (Key::Invite(_), this) => Self::invite_after(this, change).map(Some),
            (Key::Transfer(id), this) => Self::transfer_after(this, id, change),
            (Key::Request(_), _) => Self::request_after(change).map(Some),
            (Key::Organisation, _) => None,
        };
        next.ok_or(Unfit(key))
    }

    /// The transfer, if it is one.
    pub(crate) fn transfer(&self) -> Option<&Arc<Transfer>> {
        match self {
            Self::Transfer(transfer) => Some(transfer),
            _ => None,
        }
    }

    fn invite_after(this: Option<Self>, change: &Change) -> Option<Self> {
        if let Some(invite) = Invite::created(change) {
            return Some(Self::Invite(Arc::new(invite)));
        }
        let Some(Self::Invite(mut shared)) = this else {
            return None;
        };
        let invite = Arc::make_mut(&mut shared);
        match change {
            Change::InvitePosted { keys, .. } => invite.posted = Some(keys.clone()),
            Change::InviteConfirmed { .. } => invite.is_confirmed = true,
            _ => return None,
        }
        Some(Self::Invite(shared))
    }

    fn request_after(change: &Change) -> Option<Self> {
        let Change::RequestNoted { digest, at, .. } = change else {
            return None;
        };
        let (digest, at) = (*digest, *at);
        Some(Self::Request(RequestNote { digest, at }))
    }

    /// `None` if the change does not follow; `Some(None)` if it removes the transfer.
    fn transfer_after(this: Option<Self>, id: TransferId, change: &Change) -> Option<Option<Self>> {
        let shared = match this {
            Some(Self::Transfer(shared)) => Some(shared),
            _ => None,
        };
        let next = match (change, shared) {
            (Change::TransferRemoved { .. }, Some(_)) => return Some(None),
            (Change::TransferAnnounced { sender, bytes, at, .. }, _) => {
                Arc::new(Transfer::announced(id, *sender, *bytes, *at))
            }
            (Change::TransferSealed { sender, sealed, .. }, shared) => {
                let unannounced = || Arc::new(Transfer::announced(id, *sender, sealed.payload_len, sealed.sealed_at));
                let mut shared = shared.unwrap_or_else(unannounced);
                Arc::make_mut(&mut shared).seal(sealed.as_ref().clone());
                shared
            }
            (_, Some(mut shared)) => {
                if !Arc::make_mut(&mut shared).apply(change) {
                    return None;
                }
                shared
            }
            (_, None) => return None,
        };
        Some(Some(Self::Transfer(next)))
    }
}

/// All aggregates in memory: for founding, and as the model that stores are compared with.
#[derive(Debug, Clone, Default)]
pub struct State {
    organisation: Arc<Organisation>,
    others: HashMap<Key, Aggregate>,
}

impl State {
    /// The aggregates that `keys` name.
    #[must_use]
    pub fn load(&self, keys: &[Key]) -> Loaded {
        let mut loaded = Loaded::default();
        for key in keys {
            match key {
                Key::Organisation => loaded.add_organisation(Arc::clone(&self.organisation)),
                _ => loaded.add(*key, self.others.get(key).cloned()),
            }
        }
        loaded
    }

    /// Every transfer.
    pub fn transfers(&self) -> impl Iterator<Item = &Arc<Transfer>> {
        self.others.values().filter_map(Aggregate::transfer)
    }

    /// Applies a change that was decided.
    ///
    /// # Errors
    /// [`Unfit`] if the change does not follow from this state.
    pub fn apply(&mut self, change: &Change) -> Result<(), Unfit> {
        let key = change.key();
        if key == Key::Organisation {
            return Arc::make_mut(&mut self.organisation).apply(change);
        }
        let before = self.others.remove(&key);
        if let Some(after) = Aggregate::after(before, change)? {
            self.others.insert(key, after);
        }
        Ok(())
    }
}
