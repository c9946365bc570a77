//! The gateway's ledger through its port. A record is an invitation whose box holds the bytes: the smallest thing that is one
//! record and one key.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use sealpost_gateway::app::{SystemClock, SystemRandom};
use sealpost_gateway::domain::{Change, Effects, Key};
use sealpost_gateway::store::embedded::EmbeddedLedger;
use sealpost_gateway::store::folder::PrivateFolder;
use sealpost_gateway::store::ledger::Ledger as _;
use sealpost_gateway::store::views::Views as _;
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Address, Hash, InviteId, Label};

use super::{Engine, is_record, record};
use crate::faults::{Outcome, failed};

/// The ledger of a gateway on one machine.
pub(super) struct Ours {
    ledger: EmbeddedLedger,
    address: Address,
}

impl Ours {
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let folder = PrivateFolder::open(&folder.join("data")).map_err(failed("the folder"))?;
        let ledger = EmbeddedLedger::open(&folder, "1", Arc::new(SystemClock), Arc::new(SystemRandom));
        Ok(Self {
            ledger: ledger.map_err(failed("the ledger"))?,
            address: "guest@clinic.example".parse().map_err(failed("an address"))?,
        })
    }
}

fn invite_of(key: u64) -> InviteId {
    let mut id = [0; 16];
    id.iter_mut().zip(key.to_be_bytes()).for_each(|(to, from)| *to = from);
    InviteId::from_bytes(id)
}

#[async_trait]
impl Engine for Ours {
    async fn append(&self, key: u64) -> Outcome {
        let (invite, address) = (invite_of(key), self.address.clone());
        let decide = move |_: &_, _| {
            let change = Change::InviteCreated {
                invite,
                label: Label::from_bytes([1; 32]),
                address: address.clone(),
                by: Label::from_bytes([2; 32]),
                at: 1,
                expires_at: 2,
                auth_sha256: Hash::from_bytes([3; 32]),
                secret_box: Base64(record(key)),
            };
            Effects {
                changes: vec![change],
                leaves: Vec::new(),
            }
        };
        let committed = self.ledger.commit(vec![Key::Invite(invite)], Box::new(decide)).await;
        committed.map(drop).map_err(failed("the ledger"))
    }

    async fn check(&self, key: u64) -> Outcome<bool> {
        let invite = self
            .ledger
            .invite(&invite_of(key))
            .await
            .map_err(failed("the ledger"))?;
        is_record(key, invite.as_ref().map(|invite| invite.secret_box.0.as_slice()))
    }
}
