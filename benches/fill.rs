//! Fills the data folder of a gateway with sealed transfers, through the domain's rules and the ledger's port, without HTTP: to
//! measure a start with many. Ciphertext is left out; nothing here could open any of them.
//!
//! `cargo run --release --package sealpost-benches --bin fill -- --data DIR --transfers 1000000`

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use clap::Parser;
use sealpost_gateway::clock::{Clock, SystemClock};
use sealpost_gateway::domain::sealing::{self, SealCommand};
use sealpost_gateway::domain::{
    Change, Effects, EnvelopeSizes, Key, LeafDraft, Loaded, Requester, Stamp, object, statements,
};
use sealpost_gateway::identity::identity;
use sealpost_gateway::random::SystemRandom;
use sealpost_gateway::service::Identity;
use sealpost_gateway::store::embedded::{EmbeddedLedger, EmbeddedShares};
use sealpost_gateway::store::folder::PrivateFolder;
use sealpost_gateway::store::ledger::{Ledger, transact};
use sealpost_gateway::store::share::{ShareRef, ShareStore};
use sealpost_gateway::store::views::Views;
use sealpost_proto::api::{OrgRequest, SealOptions};
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

type Failure = Box<dyn Error + Send + Sync>;

const MANIFEST_BOX: [u8; 4096 + 48] = [5; 4096 + 48];
const DAY: u64 = 86_400;

/// Fills the data folder of a gateway with sealed transfers.
#[derive(Debug, Parser)]
struct Arguments {
    /// The data folder; its ring lies beside it.
    #[arg(long)]
    data: PathBuf,
    /// How many transfers.
    #[arg(long, default_value_t = 1_000_000)]
    transfers: u64,
    /// How many write at once.
    #[arg(long, default_value_t = 64)]
    writers: u64,
    /// How many people receive.
    #[arg(long, default_value_t = 200)]
    people: u16,
    /// Announces only, which costs nothing but the ledger: how many records a second it takes.
    #[arg(long)]
    announce: bool,
    /// Ends without a stop, as a kill would.
    #[arg(long)]
    kill: bool,
}

/// A person with a device. All keys follow from one number.
struct Person {
    label: Label,
    identity: SigningKey,
    device: SigningKey,
    encryption: EncryptionPublicKey,
}

struct Clinic {
    org: OrgId,
    registrar: SigningKey,
    sender: Person,
    people: Vec<Person>,
    gateway: Identity,
    started_at: u64,
}

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments = Arguments::parse();
    let data = PrivateFolder::open(&arguments.data)?;
    let ring = PrivateFolder::open(&ring_of(&arguments.data))?;
    let random = Arc::new(SystemRandom);
    let gateway = identity(&folder_in(&data, "keys")?, random.as_ref())?;
    let begun = Instant::now();
    let ledger = EmbeddedLedger::open(&data, "1", Arc::new(SystemClock), random.clone())?;
    let size = ledger.audit_head().await?.0;
    say(&format!("opened with {size} leaves in {:?}", begun.elapsed()));
    let shares = EmbeddedShares::open(&data, &ring, random)?;
    let clinic = Arc::new(clinic(gateway, &arguments)?);
    found(&ledger, &clinic).await?;
    let (ledger, shares) = (Arc::new(ledger), Arc::new(shares));
    let begun = Instant::now();
    let next = Arc::new(AtomicU64::new(0));
    let writers = (0..arguments.writers).map(|_| {
        let (ledger, shares, clinic, next) = (ledger.clone(), shares.clone(), clinic.clone(), next.clone());
        let (all, announces) = (arguments.transfers, arguments.announce);
        tokio::spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= all {
                    return Ok::<_, Failure>(());
                }
                if announces {
                    announce(ledger.as_ref(), &clinic, size + n).await?;
                } else {
                    seal(ledger.as_ref(), shares.as_ref(), &clinic, size + n).await?;
                }
                if n % 100_000 == 99_999 {
                    say(&format!("{} after {:?}", n + 1, begun.elapsed()));
                }
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await??;
    }
    let rate = u128::from(arguments.transfers) * 1_000_000 / begun.elapsed().as_micros().max(1);
    say(&format!(
        "{} in {:?}: {rate} a second",
        arguments.transfers,
        begun.elapsed()
    ));
    if arguments.kill {
        std::process::abort();
    }
    let begun = Instant::now();
    drop(ledger);
    say(&format!("closed in {:?}", begun.elapsed()));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "this is what it is run for")]
fn say(line: &str) {
    println!("{line}");
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

fn clinic(gateway: Identity, arguments: &Arguments) -> Result<Clinic, Failure> {
    let root = SigningKey::from_seed(&[200; 32]);
    let people: Result<_, _> = (1..=arguments.people).map(person).collect();
    Ok(Clinic {
        org: org_id(&root.public()),
        registrar: SigningKey::from_seed(&[201; 32]),
        sender: person(0)?,
        people: people?,
        gateway,
        started_at: SystemClock.now_millis() / 1000,
    })
}

fn person(n: u16) -> Result<Person, Failure> {
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
    Ok(Person {
        label: Label::from_bytes(seed("label")),
        identity: SigningKey::from_seed(&seed("identity")),
        device: SigningKey::from_seed(&seed("device")),
        encryption: EncryptionPublicKey::from_bytes(encryption).map_err(|_| "no key")?,
    })
}

impl Person {
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

    fn stanza(&self, role: Role) -> Stanza {
        Stanza::Hpke(HpkeStanza {
            role,
            kid: self.encryption.kid(),
            enc: Box::new([7; 1120]),
            ct: [8; 48],
        })
    }
}

impl Clinic {
    fn statements(&self, person: &Person) -> Result<[SignedStatement; 2], Failure> {
        let member = Body::Member {
            identity: person.identity.public(),
            epoch: 1,
            encryption: person.encryption.clone(),
            valid: self.valid(),
            bundle: None,
        };
        let device = Body::Device {
            identity: person.identity.public(),
            key: person.device.public(),
            encryption: person.encryption.clone(),
            valid: self.valid(),
        };
        let by_both: [(&str, &SigningKey); 2] = [("ik", &person.identity), ("rk", &self.registrar)];
        Ok([
            self.signed(Some(person.label), member, &by_both)?,
            self.signed(Some(person.label), device, &by_both[..1])?,
        ])
    }

    fn valid(&self) -> Validity {
        Validity {
            not_before: self.started_at - DAY,
            not_after: self.started_at + 300 * DAY,
        }
    }

    fn signed(
        &self,
        label: Option<Label>,
        body: Body,
        signers: &[(&str, &SigningKey)],
    ) -> Result<SignedStatement, Failure> {
        let statement = Statement {
            org: self.org,
            label,
            seq: 1,
            prev: None,
            body,
        };
        let mut note = statement.note()?;
        for (role, key) in signers {
            note.sign_as(role, key);
        }
        Ok(SignedStatement::try_from(note)?)
    }

    fn command(&self, n: u64) -> Result<(SealCommand, [u8; 32]), Failure> {
        let seed = sha256(&[self.gateway.gateway.as_str().as_bytes(), &n.to_be_bytes()]);
        let now = SystemClock.now_millis() / 1000;
        let to = usize::try_from(n)? % self.people.len().max(1);
        let recipient = self.people.get(to).ok_or("nobody receives")?;
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
            recipient.stanza(Role::Recipient),
            self.sender.stanza(Role::SenderCopy),
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

/// Founds the organisation and takes everybody in, unless that was done before.
async fn found(ledger: &EmbeddedLedger, clinic: &Clinic) -> Result<(), Failure> {
    if ledger.organisation().await?.directory.is_some() {
        return Ok(());
    }
    let root = SigningKey::from_seed(&[200; 32]);
    let org = Body::Org {
        root: root.public(),
        name: "Clinic".to_owned(),
    };
    let registrar = Body::Registrar {
        key: clinic.registrar.public(),
        valid: clinic.valid(),
    };
    let [member, device] = clinic.statements(&clinic.sender)?;
    let first = [
        clinic.signed(None, org, &[("or", &root)])?,
        clinic.signed(Some(clinic.sender.label), registrar, &[("or", &root)])?,
        member,
        device,
    ];
    let request = OrgRequest {
        auth: Base64(vec![1; 32]),
        address: "sender@clinic.example".parse()?,
        statements: first.iter().map(ToString::to_string).collect(),
    };
    let (key, by) = (clinic.sender.device.public(), clinic.sender.requester());
    let decide = move |loaded: &Loaded, at: Stamp| match statements::found(loaded, at, &request, &key, &by) {
        Ok((_, effects)) => (Ok(()), effects),
        Err(refusal) => (Err(refusal), Effects::none()),
    };
    let (founded, _) = transact(ledger, vec![Key::Organisation], decide).await?;
    founded.map_err(|refusal| format!("{refusal:?}"))?;
    for person in &clinic.people {
        let taken = clinic.statements(person)?.map(|signed| Change::StatementTaken {
            text: signed.to_string(),
        });
        let object = object::person(&person.label);
        let leaf: LeafDraft = clinic.sender.requester().did(EventType::KeyMember, object, None);
        let decide = move |_: &Loaded, _: Stamp| {
            let (changes, leaves) = (taken.to_vec(), vec![leaf.clone()]);
            ((), Effects { changes, leaves })
        };
        transact(ledger, vec![Key::Organisation], decide).await?;
    }
    Ok(())
}

async fn announce(ledger: &dyn Ledger, clinic: &Clinic, n: u64) -> Result<(), Failure> {
    let id = TransferId::from_bytes(*sha256(&[&n.to_be_bytes()]).first_chunk().ok_or("no id")?);
    let request = sealpost_proto::api::AnnounceRequest {
        transfer: id,
        bytes: 1_000,
    };
    let (sender, by) = (clinic.sender.label, clinic.sender.requester());
    let decide = move |loaded: &Loaded, at: Stamp| {
        let decided = sealpost_gateway::domain::uploading::announce(loaded, at, &request, sender, u64::MAX, &by);
        decided.map_or_else(
            |refusal| (Err(refusal), Effects::none()),
            |(_, effects)| (Ok(()), effects),
        )
    };
    let (announced, _) = transact(ledger, vec![Key::Transfer(id)], decide).await?;
    Ok(announced.map_err(|refusal| format!("{refusal:?}"))?)
}

async fn seal(ledger: &dyn Ledger, shares: &dyn ShareStore, clinic: &Arc<Clinic>, n: u64) -> Result<(), Failure> {
    let (command, share) = clinic.command(n)?;
    let audience = clinic.gateway.gateway.audience();
    sealing::check(&command, &audience, Some(&share), command.now).map_err(|refusal| format!("{refusal:?}"))?;
    let header = &command.envelope.header;
    let id = header.transfer_id;
    let commit = header.share_commit.map(Hash::from_bytes);
    let row = ShareRef::of(id, commit, header.expires_at).ok_or("no share")?;
    shares.put(&row, &share.into()).await?;
    let clinic = Arc::clone(clinic);
    let decide = move |loaded: &Loaded, at: Stamp| {
        let accept = |receipt: &Receipt| {
            let mut signed = SignedReceipt::try_from(receipt.note().ok()?).ok()?;
            signed.countersign(&clinic.gateway.gateway, &clinic.gateway.log_key);
            Some(signed)
        };
        let decided = sealing::seal(loaded, at, &command, &accept, &clinic.sender.requester());
        decided.map_or_else(
            |refusal| (Err(refusal), Effects::none()),
            |(_, effects)| (Ok(()), effects),
        )
    };
    let (sealed, _) = transact(ledger, vec![Key::Organisation, Key::Transfer(id)], decide).await?;
    Ok(sealed.map_err(|refusal| format!("{refusal:?}"))?)
}
