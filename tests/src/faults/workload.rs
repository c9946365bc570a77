//! Work for a gateway: people who send, receive, revoke, invite, visit links and read the audit log at once, and write into the
//! account what they are told.
//!
//! Whatever fails is left alone: it was not acknowledged. Only an answer that cannot be right is a fault of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sealpost_client::link::DrawnLink;
use sealpost_client::progress::Silent;
use sealpost_client::records::{Progress, ReceivedRecord};
use sealpost_client::send::{Draft, Input, Sent};
use sealpost_client::{Session, admin, audit, receive, send};
use sealpost_proto::api::{AnnounceRequest, OpenRequest, TransferState};
use sealpost_proto::crypto::sha256;
use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::log::{EventType, Leaf};
use sealpost_proto::sealed::PayloadLayout;

use super::acks::{Account, Sealed, Seen, now};
use super::asking::asking;
use super::dice::Dice;
use super::links;
use super::parts;
use super::world::World;
use super::{Outcome, failed};

const DAY: u64 = 86_400;

/// How much is going on at once.
#[derive(Debug, Clone, Copy)]
pub struct Crew {
    /// People who send.
    pub senders: u64,
    /// People who receive.
    pub receivers: u64,
    /// Longest wait of each between two acts, in milliseconds.
    pub pause: u64,
    /// Of a hundred acts of a sender, transfers of more than one part.
    pub large: u64,
}

/// Of a file that takes two parts.
pub const LARGE: u64 = 9 << 20;

/// Workers on a gateway.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    tasks: tokio::task::JoinSet<()>,
}

impl Crowd {
    /// Puts a crew to work in new homes below `folder`. Must be called within a runtime.
    ///
    /// # Errors
    /// When a home cannot be made.
    pub fn start(world: &World, folder: &Path, account: &Account, crew: Crew, dice: &Dice) -> Outcome<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        let mut tasks = tokio::task::JoinSet::new();
        let place = |name: &str, n: u64| Place {
            folder: folder.join(format!("{name}-{n}")),
            account: account.clone(),
            dice: dice.part(n),
            stop: Arc::clone(&stop),
            pause: crew.pause,
            large: crew.large,
        };
        for n in 0..crew.senders {
            let place = place("sender", n);
            let session = world.desk.session(&place.folder)?;
            tasks.spawn(sender(session, place));
        }
        for n in 0..crew.receivers {
            let place = place("receiver", 100 + n);
            let session = world.provider.session(&place.folder)?;
            tasks.spawn(receiver(session, place));
        }
        let place = place("auditor", 200);
        let session = world.desk.session(&place.folder)?;
        tasks.spawn(auditor(session, place));
        Ok(Self { stop, tasks })
    }

    /// Lets everybody finish what they are at.
    pub async fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while self.tasks.join_next().await.is_some() {}
    }

    /// Sends everybody home at once.
    pub async fn leave(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Where somebody works, and what with.
struct Place {
    folder: PathBuf,
    account: Account,
    dice: Dice,
    stop: Arc<AtomicBool>,
    pause: u64,
    large: u64,
}

impl Place {
    /// For sending.
    fn work(&mut self) -> Work<'_> {
        Work {
            folder: &self.folder,
            dice: &mut self.dice,
            account: &self.account,
        }
    }

    /// Whether there is still something to do, after a moment of rest.
    async fn next(&mut self) -> bool {
        let pause = self.dice.below(self.pause.max(1));
        tokio::time::sleep(Duration::from_millis(pause)).await;
        !self.stop.load(Ordering::Relaxed)
    }
}

async fn sender(mut session: Session, mut place: Place) {
    while place.next().await {
        let is_large = place.dice.percent(place.large);
        let kind = place.dice.below(100);
        // What fails was not acknowledged, and that is all there is to know of it.
        let _ = match kind {
            _ if is_large => transfer_of(&mut session, &mut place.work(), LARGE).await.map(drop),
            0..8 => stored_part(&session, &mut place).await,
            8..14 => invitation(&session, &place).await,
            14..18 => links::send(&mut session, &mut place.work()).await.map(drop),
            18..26 => revocation(&session, &mut place).await,
            26..46 => {
                let len = 70_000 + place.dice.below(230_000);
                transfer_of(&mut session, &mut place.work(), len).await.map(drop)
            }
            _ => {
                let len = 100 + place.dice.below(45_000);
                transfer_of(&mut session, &mut place.work(), len).await.map(drop)
            }
        };
    }
}

/// Makes a file of chance named by its digest, so that it vouches for itself wherever it arrives.
///
/// # Errors
/// Of the file system.
pub fn file(folder: &Path, dice: &mut Dice, len: u64, account: &Account) -> Outcome<(PathBuf, String)> {
    let bytes = dice.bytes(usize::try_from(len).unwrap_or(0));
    let digest = hex(&sha256(&[&bytes]));
    let path = folder.join(format!("{digest}.bin"));
    std::fs::write(&path, bytes).map_err(failed(path.display()))?;
    account.lock().digests.insert(digest.clone());
    Ok((path, digest))
}

/// Sends a file of `len` bytes to the provider.
///
/// # Errors
/// What the client said: it is not known then whether the gateway took it.
pub async fn transfer_of(session: &mut Session, work: &mut Work<'_>, len: u64) -> Outcome<TransferId> {
    let limit = match work.dice.below(4) {
        0 => None,
        n => u32::try_from(n).ok(),
    };
    let (sent, digest) = sent(session, work, len, limit, None).await?;
    let sealed = Sealed {
        hh: sent.hh,
        digest,
        limit,
        at: now(),
    };
    work.account.lock().sealed.insert(sent.transfer, sealed);
    Ok(sent.transfer)
}

/// Sends a new file to a link, or else to the provider, and returns its digest as well.
///
/// # Errors
/// As [`transfer_of`].
pub async fn sent(
    session: &mut Session,
    work: &mut Work<'_>,
    len: u64,
    openings: Option<u32>,
    link: Option<DrawnLink>,
) -> Outcome<(Sent, String)> {
    let (path, digest) = file(work.folder, work.dice, len, work.account)?;
    let mut input = Input::default();
    input.add(&path).map_err(failed("a file"))?;
    let recipients = match link {
        Some(_) => Vec::new(),
        None => vec![World::recipient()?],
    };
    let draft = Draft {
        input,
        recipients,
        subject: None,
        note: None,
        patients: Vec::new(),
        purpose: "TREAT".to_owned(),
        lifetime: 3 * DAY,
        openings,
        public_label: None,
        no_forward: false,
        link,
        reply_to: None,
    };
    let sent = send::send(session, draft, Arc::new(Silent)).await;
    let names = session.state.names("sent").map_err(failed("what was sent"))?;
    work.account
        .lock()
        .begun
        .extend(names.iter().filter_map(|name| name.parse::<TransferId>().ok()));
    Ok((sent.map_err(failed("sending"))?, digest))
}

/// What sending needs beside a session.
#[derive(Debug)]
pub struct Work<'a> {
    /// For files.
    pub folder: &'a Path,
    /// Chance.
    pub dice: &'a mut Dice,
    /// The account.
    pub account: &'a Account,
}

/// Announces a transfer and stores its only part, and leaves it there: an acknowledged part is kept for whoever resumes.
async fn stored_part(session: &Session, place: &mut Place) -> Outcome {
    let account = place.account.clone();
    store_part(session, &mut place.dice, &account).await.map(drop)
}

/// Announces a transfer and stores its only part. The gateway cannot tell noise from ciphertext.
///
/// # Errors
/// What the gateway said.
pub async fn store_part(session: &Session, dice: &mut Dice, account: &Account) -> Outcome<TransferId> {
    let layout = PayloadLayout::for_total(80_000 + dice.below(100_000)).ok_or("a layout")?;
    let bytes = dice.bytes(usize::try_from(layout.stored_len()).unwrap_or(0));
    let root = parts::root_of(&bytes);
    let transfer = TransferId::from_bytes(session.env.draw());
    account.lock().begun.insert(transfer);
    let announce = AnnounceRequest {
        transfer,
        bytes: bytes.len() as u64,
    };
    session.api.announce(&announce).await.map_err(failed("announcing"))?;
    let put = session.api.put_part(&transfer, 0, root, bytes.into());
    put.await.map_err(failed("a part"))?;
    account.lock().parts.insert(transfer, (root, now()));
    Ok(transfer)
}

/// Takes one of the transfers back, whoever is at it just now.
async fn revocation(session: &Session, place: &mut Place) -> Outcome {
    let all: Vec<_> = {
        let acks = place.account.lock();
        acks.sealed.keys().chain(acks.links.keys()).copied().collect()
    };
    match all.get(place.dice.index(all.len())) {
        Some(transfer) => revoke(session, &place.account, *transfer).await,
        None => Ok(()),
    }
}

/// Takes a transfer back.
///
/// # Errors
/// What the gateway said: it is not known then whether it was done.
pub async fn revoke(session: &Session, account: &Account, transfer: TransferId) -> Outcome {
    account.lock().revoking.insert(transfer);
    let answer = session.api.revoke(&transfer).await.map_err(failed("revoking"))?;
    let mut acks = account.lock();
    acks.revoke(transfer);
    if answer.state != TransferState::Revoked {
        acks.faults
            .push(format!("{transfer} was revoked, and is {:?}", answer.state));
    }
    Ok(())
}

async fn invitation(session: &Session, place: &Place) -> Outcome {
    let name: [u8; 8] = session.env.draw();
    let address = format!("guest-{}@practice.example", hex(&name));
    let address = address.parse().map_err(failed("an address"))?;
    let string = admin::invite(session, address, DAY).await.map_err(failed("inviting"))?;
    place.account.lock().invites.insert(string.invite, now());
    Ok(())
}

async fn receiver(mut session: Session, mut place: Place) {
    while place.next().await {
        // As for a sender: what fails was not acknowledged.
        let _ = if place.dice.percent(10) {
            links::visit_one(&session, &place.folder, &place.account, &mut place.dice).await
        } else {
            reception(&mut session, &mut place).await
        };
    }
}

/// Opens one of the transfers, or receives it whole.
async fn reception(session: &mut Session, place: &mut Place) -> Outcome {
    let choice = {
        let acks = place.account.lock();
        let n = place.dice.index(acks.sealed.len());
        let choice = acks.sealed.iter().nth(n);
        choice.map(|(id, sealed)| (*id, sealed.hh, acks.revoked.contains_key(id)))
    };
    let Some((transfer, hh, is_revoked)) = choice else {
        return Ok(());
    };
    if place.dice.percent(40) {
        let opening = OpeningId::from_bytes(session.env.draw());
        place.account.lock().ask(transfer, opening);
        let opened = session.api.open(&transfer, &OpenRequest { hh, opening }).await;
        opened.map_err(failed("opening"))?;
        place.account.lock().open(transfer, opening);
    } else {
        let again = place.dice.percent(20);
        whole(session, &place.account, transfer, again).await?;
    }
    if is_revoked {
        let fault = format!("{transfer} was opened after its revocation was acknowledged");
        place.account.lock().faults.push(fault);
    }
    Ok(())
}

/// Receives a transfer as the command does, into a new folder of the session's home, and returns the digest of what arrived.
///
/// # Errors
/// What the client said, or that the bytes are not those of their name.
pub async fn whole(session: &mut Session, account: &Account, id: TransferId, again: bool) -> Outcome<String> {
    session.update().await.map_err(failed("the directory"))?;
    let summary = session.api.transfer(&id).await.map_err(failed("the transfer"))?;
    let name: [u8; 8] = session.env.draw();
    let target = session.home.path().join(format!("in-{}", hex(&name)));
    std::fs::create_dir_all(&target).map_err(failed("a folder"))?;
    let options = receive::Options {
        target: target.clone(),
        again,
        keep_sealed: None,
    };
    let receiving = receive::receive(session, &summary, &options, Arc::new(Silent));
    let (received, _) = asking(account, id, receiving).await;
    let received = received.map_err(failed("receiving"))?;
    let digest = received.files.first().map(|file| digest_of(&file.path)).transpose()?;
    let hh = {
        let (header, _) = sealpost_client::verify::pieces(&summary).map_err(failed("the summary"))?;
        Hash::from_bytes(header.hash())
    };
    let record = ReceivedRecord::get(&session.state, &hh).map_err(failed("a record"))?;
    let mut acks = account.lock();
    if let Some(record) = record {
        acks.open(id, record.opening);
    }
    if received.is_receipted {
        acks.receipt(id);
    }
    drop(acks);
    // Only the digest is of use; the next one needs the room.
    let _ = std::fs::remove_dir_all(&target);
    digest.ok_or_else(|| "a transfer without files".to_owned())
}

/// Makes the next [`whole`] of this session repeat an opening that was made elsewhere by the same device.
///
/// # Errors
/// Of the file system.
pub fn adopt(session: &Session, transfer: TransferId, hh: Hash, opening: OpeningId) -> Outcome {
    let record = ReceivedRecord {
        transfer,
        hh,
        opening,
        progress: Progress::Opened,
        receipt: None,
    };
    record.put(&session.state, &session.env).map_err(failed("a record"))
}

/// Digest of a file's bytes.
///
/// # Errors
/// Of the file system.
pub fn digest_of(path: &Path) -> Outcome<String> {
    let bytes = std::fs::read(path).map_err(failed(path.display()))?;
    Ok(hex(&sha256(&[&bytes])))
}

async fn auditor(session: Session, mut place: Place) {
    while place.next().await {
        tokio::time::sleep(Duration::from_millis(place.pause)).await;
        let Ok(log) = audit::update(&session).await else {
            continue;
        };
        let seen = Seen {
            size: log.size,
            root: log.root,
            shredded: shredded(&log.leaves),
            at: now(),
        };
        place.account.lock().seen.push(seen);
    }
}

/// Transfers whose shares a log says were destroyed.
#[must_use]
pub fn shredded(leaves: &[Leaf]) -> std::collections::BTreeSet<TransferId> {
    let destroyed = leaves.iter().filter(|leaf| leaf.event == EventType::TransferShredded);
    destroyed.filter_map(|leaf| leaf.object.id.parse().ok()).collect()
}
