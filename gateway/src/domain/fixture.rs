//! For tests: an organisation with people and devices, and sealed transfers whose contents nobody can open.

use std::sync::Arc;

use sealpost_proto::api::{AnnounceRequest, OpenRequest, OrgRequest, SealOptions};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::{Address, GatewayId, Hash, Label, OpeningId, OrgId, TransferId};
use sealpost_proto::key::fingerprint::org_id;
use sealpost_proto::key::{Body, EncryptionPublicKey, SignedStatement, Statement, TrustedDevice, Validity};
use sealpost_proto::log::{Actor, ActorKind};
use sealpost_proto::receipt::{Assurance, Facts, Kind, Receipt, SignedReceipt, Signer};
use sealpost_proto::sealed::{
    Block, Envelope, Header, HpkeStanza, PayloadLayout, Reason, Role, SealBody, Stanza, box_hash, share_commit,
};
use sealpost_proto::tree::tree_head;

use super::opening::{OpenCommand, ReceiptCommand};
use super::sealing::SealCommand;
use super::{
    Decision, Effects, EnvelopeSizes, Key, Loaded, Opener, Progress, Refusal, Requester, Sealed, Stamp, State,
    StoredPart, Transfer, opening, sealing, statements, uploading,
};

pub(crate) mod links;

/// When the tests begin, unix seconds.
pub(crate) const NOW: u64 = 1_800_000_000;

/// The share of every transfer made here.
pub(crate) const SHARE: [u8; 32] = [9; 32];

const MANIFEST_BOX: [u8; 4096 + 48] = [5; 4096 + 48];

/// A person with a device. All keys follow from one number.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) label: Label,
    pub(crate) address: Address,
    pub(crate) identity: SigningKey,
    pub(crate) device: SigningKey,
    pub(crate) encryption: EncryptionPublicKey,
}

impl Person {
    pub(crate) fn new(n: u8) -> Self {
        let mut encryption = [n; 1216];
        // X25519's base point: any sound point will do.
        encryption[1184..].fill(0);
        encryption[1184] = 9;
        Self {
            label: Label::from_bytes([n; 32]),
            address: format!("person{n}@clinic.example").parse().unwrap(),
            identity: SigningKey::from_seed(&[n; 32]),
            device: SigningKey::from_seed(&[n + 100; 32]),
            encryption: EncryptionPublicKey::from_bytes(encryption).unwrap(),
        }
    }

    pub(crate) fn trusted(&self) -> TrustedDevice {
        TrustedDevice {
            label: self.label,
            identity: self.identity.public(),
            key: self.device.public(),
        }
    }

    pub(crate) fn requester(&self) -> Requester {
        Requester {
            actor: Actor {
                kind: ActorKind::Member,
                id: self.label.to_string(),
                dk: Some(self.device.public()),
            },
            peer: None,
            req_id: None,
        }
    }

    /// The `member` statement with this person's signature alone.
    pub(crate) fn member(&self, org: OrgId) -> SignedStatement {
        let body = Body::Member {
            identity: self.identity.public(),
            epoch: 1,
            encryption: self.encryption.clone(),
            valid: valid(),
            bundle: None,
        };
        signed(org, Some(self.label), body, &[("ik", &self.identity)])
    }

    pub(crate) fn device(&self, org: OrgId) -> SignedStatement {
        let body = Body::Device {
            identity: self.identity.public(),
            key: self.device.public(),
            encryption: self.encryption.clone(),
            valid: valid(),
        };
        signed(org, Some(self.label), body, &[("ik", &self.identity)])
    }

    fn stanza(&self, role: Role) -> Stanza {
        Stanza::Hpke(HpkeStanza {
            role,
            kid: self.encryption.kid(),
            enc: Box::new([7; 1120]),
            ct: [8; 48],
        })
    }
}

fn valid() -> Validity {
    Validity {
        not_before: NOW - 1000,
        not_after: NOW + 365 * 86_400,
    }
}

fn signed(org: OrgId, label: Option<Label>, body: Body, signers: &[(&str, &SigningKey)]) -> SignedStatement {
    let statement = Statement {
        org,
        label,
        seq: 1,
        prev: None,
        body,
    };
    let mut note = statement.note().unwrap();
    for (role, key) in signers {
        note.sign_as(role, key);
    }
    SignedStatement::try_from(note).unwrap()
}

/// A gateway's state with an organisation of an administrator and a provider.
#[derive(Debug, Clone)]
pub(crate) struct Clinic {
    pub(crate) state: State,
    pub(crate) org: OrgId,
    pub(crate) registrar: SigningKey,
    pub(crate) admin: Person,
    pub(crate) provider: Person,
    pub(crate) gateway: GatewayId,
    pub(crate) log_key: SigningKey,
}

/// A moment `seconds` after the beginning.
pub(crate) fn at(seconds: u64) -> Stamp {
    Stamp {
        millis: (NOW + seconds) * 1000,
    }
}

impl Clinic {
    /// The organisation founded by the administrator, without the provider.
    pub(crate) fn founded() -> Self {
        let root = SigningKey::from_seed(&[200; 32]);
        let mut clinic = Self {
            state: State::default(),
            org: org_id(&root.public()),
            registrar: SigningKey::from_seed(&[201; 32]),
            admin: Person::new(1),
            provider: Person::new(2),
            gateway: "gw".parse().unwrap(),
            log_key: SigningKey::from_seed(&[202; 32]),
        };
        let request = clinic.founding(&root);
        let (device, by) = (clinic.admin.device.public(), clinic.admin.requester());
        clinic
            .run(&[Key::Organisation], |loaded| {
                statements::found(loaded, at(0), &request, &device, &by)
            })
            .unwrap();
        clinic
    }

    pub(crate) fn founding(&self, root: &SigningKey) -> OrgRequest {
        let body = Body::Org {
            root: root.public(),
            name: "Clinic".to_owned(),
        };
        let org = signed(self.org, None, body, &[("or", root)]);
        let body = Body::Registrar {
            key: self.registrar.public(),
            valid: valid(),
        };
        let registrar = signed(self.org, Some(self.admin.label), body, &[("or", root)]);
        let parts = [
            org,
            registrar,
            self.countersigned(&self.admin),
            self.admin.device(self.org),
        ];
        OrgRequest {
            auth: sealpost_proto::encoding::Base64(vec![1; 32]),
            address: self.admin.address.clone(),
            statements: parts.iter().map(ToString::to_string).collect(),
        }
    }

    /// The organisation with the provider enrolled, by whatever way.
    pub(crate) fn new() -> Self {
        let mut clinic = Self::founded();
        for signed in [
            clinic.countersigned(&clinic.provider),
            clinic.provider.device(clinic.org),
        ] {
            let taken = super::Change::StatementTaken {
                text: signed.to_string(),
            };
            clinic.state.apply(&taken).unwrap();
        }
        clinic
    }

    /// A person's `member` statement with the registrar's signature.
    pub(crate) fn countersigned(&self, person: &Person) -> SignedStatement {
        let mut statement = person.member(self.org);
        statement.note_mut().sign_as("rk", &self.registrar);
        statement
    }

    /// Runs a decision on what `keys` name and applies what it decides.
    pub(crate) fn run<T>(&mut self, keys: &[Key], decide: impl FnOnce(&Loaded) -> Decision<T>) -> Result<T, Refusal> {
        self.effects(keys, decide).map(|(outcome, _)| outcome)
    }

    /// The same, with the effects.
    pub(crate) fn effects<T>(
        &mut self,
        keys: &[Key],
        decide: impl FnOnce(&Loaded) -> Decision<T>,
    ) -> Result<(T, Effects), Refusal> {
        let (outcome, effects) = decide(&self.state.load(keys))?;
        for change in &effects.changes {
            assert!(
                keys.contains(&change.key()),
                "{change:?} touches an aggregate that was not named"
            );
            let journalled = serde_json::to_string(change).unwrap();
            let replayed: super::Change = serde_json::from_str(&journalled).unwrap();
            assert_eq!(&replayed, change, "a change reads back from the journal");
            self.state.apply(&replayed).unwrap();
        }
        Ok((outcome, effects))
    }

    pub(crate) fn transfer(&self, id: TransferId) -> Option<Arc<Transfer>> {
        self.state.load(&[Key::Transfer(id)]).shared_transfer(&id)
    }

    /// How far the provider has come with a transfer.
    pub(crate) fn progress(&self, id: TransferId) -> Progress {
        let transfer = self.transfer(id).unwrap();
        transfer.progress.get(&self.provider.label).cloned().unwrap_or_default()
    }

    pub(crate) fn sealed(&self, id: TransferId) -> Sealed {
        self.transfer(id).unwrap().sealed.clone().unwrap()
    }

    /// A seal of the administrator's for the provider and the administrator's own copy, over these leaves.
    pub(crate) fn seal_command(&self, id: TransferId, leaves: &[[u8; 32]], stored: u64, days: u64) -> SealCommand {
        let header = Header {
            transfer_id: id,
            header_salt: [3; 32],
            created_at: NOW,
            expires_at: NOW + days * 86_400,
            audience: self.gateway.audience(),
            sender_identity: Some(self.admin.identity.public()),
            sender_device: self.admin.device.public(),
            share_commit: Some(share_commit(&SHARE)),
            no_forward: false,
            recovery_present: false,
            commitment: [4; 32],
        };
        let stanzas = vec![
            self.provider.stanza(Role::Recipient),
            self.admin.stanza(Role::SenderCopy),
        ];
        let block = Block::seal(stanzas).unwrap();
        let body = SealBody {
            header_hash: header.hash(),
            stanzas_hash: block.hash(),
            box_hash: box_hash(&MANIFEST_BOX),
            segments: leaves.len() as u64,
            payload_len: stored,
            payload_root: tree_head(leaves),
            sealed_at: NOW,
        };
        SealCommand {
            options: SealOptions::default(),
            sizes: EnvelopeSizes {
                block: block.to_bytes().len() as u64,
                manifest_box: MANIFEST_BOX.len() as u64,
                leaves: 0,
                part: 0,
            },
            envelope: Envelope {
                seal: body.sign(&self.admin.device),
                header,
                block,
                manifest_box: MANIFEST_BOX.to_vec(),
            },
            inline_root: None,
            by: self.admin.trusted(),
            now: NOW,
        }
    }

    pub(crate) fn seal(&mut self, command: &SealCommand, seconds: u64) -> Result<sealing::SealOutcome, Refusal> {
        let command = &SealCommand {
            now: NOW + seconds,
            ..command.clone()
        };
        let (gateway, key, by) = (self.gateway.clone(), self.log_key.clone(), self.admin.requester());
        let accept = move |receipt: &Receipt| {
            let mut signed = SignedReceipt::try_from(receipt.note().ok()?).ok()?;
            signed.countersign(&gateway, &key);
            Some(signed)
        };
        let keys = [Key::Organisation, Key::Transfer(command.envelope.header.transfer_id)];
        self.run(&keys, |loaded| {
            sealing::seal(loaded, at(seconds), command, &accept, &by)
        })
    }

    /// Announces a transfer and stores parts whose roots follow from made-up leaves, which are returned.
    pub(crate) fn upload(&mut self, id: TransferId, total: u64) -> (Vec<[u8; 32]>, u64) {
        let layout = PayloadLayout::for_total(total).unwrap();
        let leaves: Vec<[u8; 32]> = (0..layout.segments())
            .map(|n| [u8::try_from(n % 251).unwrap(); 32])
            .collect();
        let (by, sender) = (self.admin.requester(), self.admin.label);
        let request = AnnounceRequest {
            transfer: id,
            bytes: layout.stored_len(),
        };
        let keys = [Key::Transfer(id)];
        self.run(&keys, |loaded| {
            uploading::announce(loaded, at(0), &request, sender, u64::MAX, &by)
        })
        .unwrap();
        for (number, leaves) in leaves.chunks(32).enumerate() {
            let range = layout.part_range(number as u64).unwrap();
            let part = StoredPart {
                len: range.end - range.start,
                root: Hash::from_bytes(tree_head(leaves)),
            };
            let number = u32::try_from(number).unwrap();
            self.run(&keys, |loaded| {
                uploading::store_part(loaded, &id, number, part, &sender)
            })
            .unwrap();
        }
        (leaves, layout.stored_len())
    }

    /// A sealed transfer from the administrator to the provider.
    pub(crate) fn sent(&mut self, id: TransferId, days: u64, openings: Option<u32>) {
        let (leaves, stored) = self.upload(id, 1000);
        let mut command = self.seal_command(id, &leaves, stored, days);
        command.options.openings = openings;
        self.seal(&command, 0).unwrap();
    }

    pub(crate) fn open(
        &mut self,
        id: TransferId,
        by: &Person,
        opening: OpeningId,
        seconds: u64,
    ) -> Result<opening::Release, Refusal> {
        let hh = self.transfer(id).and_then(|t| t.sealed.as_ref().map(|s| s.hh));
        let command = OpenCommand {
            transfer: id,
            request: OpenRequest {
                hh: hh.unwrap_or(Hash::from_bytes([0; 32])),
                opening,
            },
            by: by.trusted(),
            kept: "base\nbody".to_owned(),
        };
        let (requester, keys) = (by.requester(), [Key::Organisation, Key::Transfer(id)]);
        self.run(&keys, |loaded| opening::open(loaded, at(seconds), &command, &requester))
    }

    pub(crate) fn receipt(&self, id: TransferId, by: &Person, seconds: u64, reason: Option<Reason>) -> SignedReceipt {
        let sealed = self.sealed(id);
        let signer = Signer {
            identity: by.identity.public(),
            device: by.device.public(),
            client: "test/1".to_owned(),
            assurance: Assurance::Member,
        };
        let receipt = Receipt {
            facts: Facts {
                transfer: sealed.hh,
                root: sealed.payload_root,
                segments: sealed.segments,
                mic: sealed.mic,
                sealed_at: sealed.sealed_at,
                time: NOW + seconds,
            },
            kind: match reason {
                None => Kind::Verified(signer),
                Some(reason) => Kind::Rejected(signer, reason),
            },
        };
        let mut note = receipt.note().unwrap();
        note.sign_as("dk", &by.device);
        SignedReceipt::try_from(note).unwrap()
    }

    pub(crate) fn take_receipt(
        &mut self,
        id: TransferId,
        by: &Person,
        opening: OpeningId,
        receipt: SignedReceipt,
        seconds: u64,
    ) -> Result<opening::ReceiptOutcome, Refusal> {
        let trusted = by.trusted();
        let command = ReceiptCommand {
            transfer: id,
            opening,
            receipt,
            opener: Opener::Member(trusted.label),
            device: trusted.key,
            identity: trusted.identity,
            now: NOW + seconds,
        };
        let (gateway, key, requester) = (self.gateway.clone(), self.log_key.clone(), by.requester());
        let countersign = move |mut receipt: SignedReceipt| {
            receipt.countersign(&gateway, &key);
            receipt
        };
        let keys = [Key::Transfer(id)];
        self.run(&keys, |loaded| {
            opening::take_receipt(loaded, at(seconds), &command, &countersign, &requester)
        })
    }
}
