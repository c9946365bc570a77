//! All aggregates of a gateway, and the part of them that a decision may see.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sealpost_proto::id::{InviteId, TransferId};

use super::{Change, Invite, Organisation, Transfer};

/// Name of an aggregate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Key {
    /// The organisation.
    Organisation,
    /// An invitation.
    Invite(InviteId),
    /// A transfer.
    Transfer(TransferId),
}

/// The aggregates that a decision named, as they are now.
#[derive(Debug, Clone, Default)]
pub struct Loaded {
    organisation: Option<Arc<Organisation>>,
    invites: BTreeMap<InviteId, Arc<Invite>>,
    transfers: BTreeMap<TransferId, Arc<Transfer>>,
}

impl Loaded {
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

    /// A transfer, if it was named and exists.
    #[must_use]
    pub fn transfer(&self, id: &TransferId) -> Option<&Transfer> {
        self.transfers.get(id).map(AsRef::as_ref)
    }
}

/// All aggregates.
#[derive(Debug, Clone, Default)]
pub struct State {
    organisation: Arc<Organisation>,
    invites: HashMap<InviteId, Arc<Invite>>,
    transfers: HashMap<TransferId, Arc<Transfer>>,
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
            }
        }
        loaded
    }

    /// Applies a change that was decided and made durable.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::TransferAnnounced {
                transfer,
                sender,
                bytes,
                at,
            } => {
                let announced = Transfer {
                    id: *transfer,
                    sender: *sender,
                    bytes: *bytes,
                    announced_at: *at,
                    parts: BTreeMap::new(),
                };
                self.transfers.insert(*transfer, Arc::new(announced));
            }
            Change::PartStored {
                transfer,
                number,
                len,
                root,
            } => {
                if let Some(transfer) = self.transfers.get_mut(transfer) {
                    Arc::make_mut(transfer).parts.insert(*number, (*len, *root));
                }
            }
            Change::InviteCreated { invite, label } => {
                self.invites.insert(
                    *invite,
                    Arc::new(Invite {
                        id: *invite,
                        label: *label,
                    }),
                );
            }
        }
    }
}
