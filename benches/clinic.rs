//! An organisation whose people seal transfers through the domain's rules and the ledger's port, without HTTP: what fills ledgers
//! to measure on. Ciphertext is left out; nothing here could open any of the transfers.
//!
//! Either everybody's keys follow from numbers, or one real account seals for the other people of its directory.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_client::account::Account;
use sealpost_gateway::clock::{Clock, SystemClock};
use sealpost_gateway::domain::sealing::{self, SealCommand};
use sealpost_gateway::domain::{
    Change, Effects, EnvelopeSizes, Key, LeafDraft, Loaded, Requester, Stamp, object, statements, uploading,
};
use sealpost_gateway::random::SystemRandom;
use sealpost_gateway::service::Identity;
use sealpost_gateway::store::embedded::{EmbeddedLedger, EmbeddedShares};
use sealpost_gateway::store::folder::PrivateFolder;
use sealpost_gateway::store::ledger::{Ledger, transact};
use sealpost_gateway::store::share::{ShareRef, ShareStore};
use sealpost_gateway::store::views::Views;
use sealpost_proto::api::{AnnounceRequest, OrgRequest, SealOptions};
use sealpost_proto::crypto::{SigningKey, sha256};
use sealpost_proto::encoding::Base64;
use sealpost_proto::id::{Hash, Label, OrgId, TransferId};
use sealpost_proto::key::fingerprint::org_id;
use sealpost_proto::key::{Body, EncryptionPublicKey, SignedStatement, Statement, TrustedDevice, Validity};
use sealpost_proto::log::{Actor, ActorKind, EventType};
use sealpost_proto::receipt::{Receipt, SignedReceipt};
use sealpost_proto::sealed::{
    Block, Envelope, Header, HpkeStanza, PayloadLayout, Role, SealBody, Stanza, box_hash, share_commit,
};
use sealpost_proto::tree::tree_head;

/// Why something could not be measured; for the person who runs it.
pub type Failure = Box<dyn Error + Send + Sync>;

const MANIFEST_BOX: [u8; 4096 + 48] = [5; 4096 + 48];
const DAY: u64 = 86_400;

/// The stores of a gateway that is not running, opened without it.
#[derive(Debug)]
pub struct Stores {
    /// The ledger.
    pub ledger: Arc<EmbeddedLedger>,
    /// The shares.
    pub shares: Arc<EmbeddedShares>,
    /// Whose they are.
    pub gateway: Identity,
}

impl Stores {
    /// Opens, or makes, the stores in `data` and the ring beside it.
    ///
    /// # Errors
    /// When a gateway runs on them, or they cannot be read.
    pub fn open(data: &Path) -> Result<Self, Failure> {
        let ring = PrivateFolder::open(&ring_of(data))?;
        let data = PrivateFolder::open(data)?;
        let random = Arc::new(SystemRandom);
        let keys = folder_in(&data, "keys")?;
        Ok(Self {
            gateway: sealpost_gateway::identity::identity(&keys, random.as_ref())?,
            ledger: Arc::new(EmbeddedLedger::open(&data, "1", Arc::new(SystemClock), random.clone())?),
            shares: Arc::new(EmbeddedShares::open(&data, &ring, random)?),
        })
    }
}

fn ring_of(data: &Path) -> PathBuf {
    let mut ring = data.as_os_str().to_owned();
    ring.push("-ring");
    PathBuf::from(ring)
}

fn folder_in(data: &PrivateFolder, name: &str) -> Result<PathBuf, Failure> {
    use std::os::unix::fs::DirBuilderExt;
    let path = data.path().join(name);
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&path)?;
    Ok(path)
}

/// Who seals.
#[derive(Debug)]
struct Sender {
    label: Label,
    identity: SigningKey,
    device: SigningKey,
    encryption: EncryptionPublicKey,
}

/// Who seals, and for whom.
#[derive(Debug)]
pub struct Clinic {
    sender: Sender,
    recipients: Vec<(Label, EncryptionPublicKey)>,
    gateway: Identity,
}

impl Clinic {
    /// An organisation of `people` recipients whose keys follow from numbers; founds it, unless that was done before.
    ///
    /// # Errors
    /// When the ledger refuses, as it does if another organisation was founded on it.
    pub async fn of_numbers(ledger: &EmbeddedLedger, gateway: Identity, people: u16) -> Result<Self, Failure> {
        let people: Vec<Sender> = (0..=people).map(person).collect::<Result<_, _>>()?;
        if ledger.organisation().await?.directory.is_none() {
            found(ledger, &people).await?;
        }
        let mut people = people.into_iter();
        let sender = people.next().ok_or("nobody sends")?;
        Ok(Self {
            sender,
            recipients: people.map(|person| (person.label, person.encryption)).collect(),
            gateway,
        })
    }

    /// The person of `account`, sealing for everybody else in the directory.
    ///
    /// # Errors
    /// When the organisation of the ledger does not have this person.
    pub async fn of_account(ledger: &EmbeddedLedger, gateway: Identity, account: &Account) -> Result<Self, Failure> {
        let organisation = ledger.organisation().await?;
        let directory = organisation.directory.as_ref().ok_or("no organisation was founded")?;
        let own = account.label();
        let encryption = directory.member(&own).ok_or("the directory does not have you")?;
        let others = directory.members().filter(|member| member.label != own);
        Ok(Self {
            sender: Sender {
                label: own,
                identity: SigningKey::from_seed(&account.identity.seed()),
                device: SigningKey::from_seed(&account.device.seed()),
                encryption: encryption.encryption.clone(),
            },
            recipients: others.map(|member| (member.label, member.encryption.clone())).collect(),
            gateway,
        })
    }

    /// The first recipient.
    ///
    /// # Errors
    /// When there is none.
    pub fn first_recipient(&self) -> Result<Label, Failure> {
        let first = self.recipients.first().ok_or("nobody receives")?;
        Ok(first.0)
    }

    /// Announces the `n`-th transfer: the smallest record there is.
    ///
    /// # Errors
    /// When the ledger refuses or fails.
    pub async fn announce(&self, ledger: &dyn Ledger, n: u64) -> Result<(), Failure> {
        let seed = sha256(&[b"announced", self.gateway.gateway.as_str().as_bytes(), &n.to_be_bytes()]);
        let id = TransferId::from_bytes(*seed.first_chunk().ok_or("no id")?);
        let request = AnnounceRequest {
            transfer: id,
            bytes: 1_000,
        };
        let (sender, by) = (self.sender.label, self.sender.requester());
        let decide = move |loaded: &Loaded, at: Stamp| {
            let decided = uploading::announce(loaded, at, &request, sender, u64::MAX, &by);
            decided.map_or_else(
                |refusal| (Err(refusal), Effects::none()),
                |(_, effects)| (Ok(()), effects),
            )
        };
        let (announced, _) = transact(ledger, vec![Key::Transfer(id)], decide).await?;
        Ok(announced.map_err(|refusal| format!("{refusal:?}"))?)
    }

    /// Seals the `n`-th transfer, for one recipient after the other.
    ///
    /// # Errors
    /// When a rule refuses, or a store fails.
    pub async fn seal(self: Arc<Self>, stores: &Stores, n: u64) -> Result<(), Failure> {
        let (command, share) = self.command(n)?;
        let audience = self.gateway.gateway.audience();
        sealing::check(&command, &audience, Some(&share), command.now).map_err(|refusal| format!("{refusal:?}"))?;
        let header = &command.envelope.header;
        let id = header.transfer_id;
        let commit = header.share_commit.map(Hash::from_bytes);
        let row = ShareRef::of(id, commit, header.expires_at).ok_or("no share")?;
        stores.shares.put(&row, &share.into()).await?;
        let decide = move |loaded: &Loaded, at: Stamp| {
            let accept = |receipt: &Receipt| {
                let mut signed = SignedReceipt::try_from(receipt.note().ok()?).ok()?;
                signed.countersign(&self.gateway.gateway, &self.gateway.log_key);
                Some(signed)
            };
            let decided = sealing::seal(loaded, at, &command, &accept, &self.sender.requester());
            decided.map_or_else(
                |refusal| (Err(refusal), Effects::none()),
                |(_, effects)| (Ok(()), effects),
            )
        };
        let keys = vec![Key::Organisation, Key::Transfer(id)];
        let (sealed, _) = transact(stores.ledger.as_ref(), keys, decide).await?;
        Ok(sealed.map_err(|refusal| format!("{refusal:?}"))?)
    }

    fn command(&self, n: u64) -> Result<(SealCommand, [u8; 32]), Failure> {
        let seed = sha256(&[self.gateway.gateway.as_str().as_bytes(), &n.to_be_bytes()]);
        let now = SystemClock.now_millis() / 1000;
        let to = usize::try_from(n)? % self.recipients.len().max(1);
        let (_, recipient) = self.recipients.get(to).ok_or("nobody receives")?;
        let header = Header {
            transfer_id: TransferId::from_bytes(*seed.first_chunk().ok_or("no id")?),
            header_salt: seed,
            created_at: now,
            expires_at: now + (2 + n % 28) * DAY,
            audience: self.gateway.gateway.audience(),
            sender_identity: Some(self.sender.identity.public()),
            sender_device: self.sender.device.public(),
            share_commit: Some(share_commit(&seed)),
            no_forward: false,
            recovery_present: false,
            commitment: seed,
        };
        let block = Block::seal(vec![
            stanza(recipient, Role::Recipient),
            stanza(&self.sender.encryption, Role::SenderCopy),
        ])?;
        let layout = PayloadLayout::for_total(1_000).ok_or("no layout")?;
        let root = tree_head(&[seed]);
        let body = SealBody {
            header_hash: header.hash(),
            stanzas_hash: block.hash(),
            box_hash: box_hash(&MANIFEST_BOX),
            segments: layout.segments(),
            payload_len: layout.stored_len(),
            payload_root: root,
            sealed_at: now,
        };
        let command = SealCommand {
            options: SealOptions::default(),
            sizes: EnvelopeSizes {
                block: block.to_bytes().len() as u64,
                manifest_box: MANIFEST_BOX.len() as u64,
                leaves: 32,
                part: layout.stored_len(),
            },
            envelope: Envelope {
                seal: body.sign(&self.sender.device),
                header,
                block,
                manifest_box: MANIFEST_BOX.to_vec(),
            },
            inline_root: Some(Hash::from_bytes(root)),
            by: TrustedDevice {
                label: self.sender.label,
                identity: self.sender.identity.public(),
                key: self.sender.device.public(),
            },
            now,
        };
        Ok((command, seed))
    }
}

fn stanza(to: &EncryptionPublicKey, role: Role) -> Stanza {
    Stanza::Hpke(HpkeStanza {
        role,
        kid: to.kid(),
        enc: Box::new([7; 1120]),
        ct: [8; 48],
    })
}

/// The person with this number. 0 sends.
fn person(n: u16) -> Result<Sender, Failure> {
    let seed = |what: &str| sha256(&[what.as_bytes(), &n.to_be_bytes()]);
    let mut encryption = [0; 1216];
    let (lattice, point) = encryption.split_at_mut(1184);
    lattice.fill(1);
    // Low bytes of coefficients, which any byte may be.
    lattice
        .iter_mut()
        .step_by(3)
        .zip(n.to_be_bytes())
        .for_each(|(byte, n)| *byte = n);
    // X25519's base point: any sound point will do.
    point.iter_mut().take(1).for_each(|byte| *byte = 9);
    Ok(Sender {
        label: Label::from_bytes(seed("label")),
        identity: SigningKey::from_seed(&seed("identity")),
        device: SigningKey::from_seed(&seed("device")),
        encryption: EncryptionPublicKey::from_bytes(encryption).map_err(|_| "no key")?,
    })
}

impl Sender {
    fn requester(&self) -> Requester {
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
}

/// Signs the statements of an organisation whose root and registrar follow from numbers.
struct Founder {
    root: SigningKey,
    registrar: SigningKey,
    org: OrgId,
    valid: Validity,
}

impl Founder {
    fn new() -> Self {
        let root = SigningKey::from_seed(&[200; 32]);
        let now = SystemClock.now_millis() / 1000;
        Self {
            org: org_id(&root.public()),
            root,
            registrar: SigningKey::from_seed(&[201; 32]),
            valid: Validity {
                not_before: now - DAY,
                not_after: now + 300 * DAY,
            },
        }
    }

    fn signed(&self, label: Option<Label>, body: Body, by: &[(&str, &SigningKey)]) -> Result<SignedStatement, Failure> {
        let statement = Statement {
            org: self.org,
            label,
            seq: 1,
            prev: None,
            body,
        };
        let mut note = statement.note()?;
        for (role, key) in by {
            note.sign_as(role, key);
        }
        Ok(SignedStatement::try_from(note)?)
    }

    fn keys_of(&self, person: &Sender) -> Result<[SignedStatement; 2], Failure> {
        let member = Body::Member {
            identity: person.identity.public(),
            epoch: 1,
            encryption: person.encryption.clone(),
            valid: self.valid,
            bundle: None,
        };
        let device = Body::Device {
            identity: person.identity.public(),
            key: person.device.public(),
            encryption: person.encryption.clone(),
            valid: self.valid,
        };
        let by_both: [(&str, &SigningKey); 2] = [("ik", &person.identity), ("rk", &self.registrar)];
        Ok([
            self.signed(Some(person.label), member, &by_both)?,
            self.signed(Some(person.label), device, &[("ik", &person.identity)])?,
        ])
    }
}

/// Founds the organisation with the first of these people, and takes in the others.
async fn found(ledger: &EmbeddedLedger, people: &[Sender]) -> Result<(), Failure> {
    let founder = Founder::new();
    let (first, others) = people.split_first().ok_or("nobody founds")?;
    let org = Body::Org {
        root: founder.root.public(),
        name: "Clinic".to_owned(),
    };
    let registrar = Body::Registrar {
        key: founder.registrar.public(),
        valid: founder.valid,
    };
    let mut signed = vec![
        founder.signed(None, org, &[("or", &founder.root)])?,
        founder.signed(Some(first.label), registrar, &[("or", &founder.root)])?,
    ];
    signed.extend(founder.keys_of(first)?);
    let request = OrgRequest {
        auth: Base64(vec![1; 32]),
        address: "sender@clinic.example".parse()?,
        statements: signed.iter().map(ToString::to_string).collect(),
    };
    let (key, by) = (first.device.public(), first.requester());
    let decide = move |loaded: &Loaded, at: Stamp| match statements::found(loaded, at, &request, &key, &by) {
        Ok((_, effects)) => (Ok(()), effects),
        Err(refusal) => (Err(refusal), Effects::none()),
    };
    let (founded, _) = transact(ledger, vec![Key::Organisation], decide).await?;
    founded.map_err(|refusal| format!("{refusal:?}"))?;
    for person in others {
        let taken = founder.keys_of(person)?.map(|signed| Change::StatementTaken {
            text: signed.to_string(),
        });
        let object = object::person(&person.label);
        let leaf: LeafDraft = first.requester().did(EventType::KeyMember, object, None);
        let decide = move |_: &Loaded, _: Stamp| {
            let (changes, leaves) = (taken.to_vec(), vec![leaf.clone()]);
            ((), Effects { changes, leaves })
        };
        transact(ledger, vec![Key::Organisation], decide).await?;
    }
    Ok(())
}
