//! What must hold of a gateway after a fault: everything acknowledged is there, nothing happened too often, and what was not
//! acknowledged is there wholly or not at all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use sealpost_client::transfers::List;
use sealpost_client::{Session, audit};
use sealpost_proto::api::{OpenRequest, TransferState, TransferSummary};
use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_proto::log::Leaf;
use sealpost_proto::tree::{Tree, leaf_hash};

use super::acks::{Account, Acks, Sealed, now};
use super::dice::Dice;
use super::links;
use super::openings::{self, Openings};
use super::workload::{adopt, shredded, whole};
use super::world::World;
use super::{Outcome, Verdict, failed};

/// Who looks.
#[derive(Debug)]
pub struct Checker {
    desk: Session,
    provider: Session,
}

/// How thoroughly.
#[derive(Debug, Clone, Copy)]
pub struct Depth {
    /// Most transfers that are opened and compared byte by byte; the others are looked up.
    pub opened: usize,
    /// Most links that are opened.
    pub visited: usize,
}

impl Checker {
    /// People with homes of their own below `folder`, who know nothing of what happened.
    ///
    /// # Errors
    /// When a home cannot be made.
    pub fn new(world: &World, folder: &Path) -> Outcome<Self> {
        Ok(Self {
            desk: world.desk.session(&folder.join("check-desk"))?,
            provider: world.provider.session(&folder.join("check-provider"))?,
        })
    }

    /// Compares a running gateway with the account. What the comparison itself does (openings, receipts) is added to it.
    pub async fn check(&mut self, account: &Account, depth: Depth, dice: &mut Dice) -> Verdict {
        let mut verdict = Verdict::default();
        let done = self.compare(account, depth, dice, &mut verdict).await;
        if let Err(error) = done {
            verdict.wrong(format!("the gateway cannot be asked: {error}"));
        }
        verdict
    }

    async fn compare(&mut self, account: &Account, depth: Depth, dice: &mut Dice, verdict: &mut Verdict) -> Outcome {
        self.desk.update().await.map_err(failed("the directory"))?;
        self.provider.update().await.map_err(failed("the directory"))?;
        let acks = account.lock().clone();
        let log = match audit::update(&self.desk).await {
            Ok(log) => log,
            Err(error) => {
                verdict.wrong(format!("the audit log does not verify: {error}"));
                return Ok(());
            }
        };
        acks.faults.iter().for_each(|fault| verdict.wrong(fault.as_str()));
        check_log(&acks, &log.leaves, verdict)?;
        self.check_parts(&acks, verdict).await;
        self.check_invites(&acks, verdict).await?;
        let sent = List::Sent
            .list(&self.desk.api, usize::MAX)
            .await
            .map_err(failed("what was sent"))?;
        let inbox = List::In
            .list(&self.provider.api, usize::MAX)
            .await
            .map_err(failed("the inbox"))?;
        let sent: BTreeMap<_, _> = sent.into_iter().map(|summary| (summary.transfer, summary)).collect();
        let inbox: BTreeMap<_, _> = inbox.into_iter().map(|summary| (summary.transfer, summary)).collect();
        for id in acks.sealed.keys() {
            let is_there = sent.contains_key(id) && inbox.contains_key(id);
            verdict.acknowledged(is_there, || format!("the seal of {id}"));
        }
        let openings = openings::check(&acks, &log.leaves, verdict);
        for (id, summary) in &inbox {
            if !acks.begun.contains(id) && !acks.sealed.contains_key(id) {
                verdict.wrong(format!("nobody sent {id}"));
            }
            check_counts(&acks, summary, openings.count(id), verdict);
        }
        for summary in some(inbox.values(), depth.opened, dice) {
            self.open(account, &acks, summary, &openings, verdict).await;
        }
        let visited = some(acks.links.keys().copied(), depth.visited, dice);
        let visits = links::check(&self.desk, account, &sent, &log.leaves, &visited, verdict);
        visits.await;
        self.check_revoked(&acks, &inbox, &sent, verdict).await;
        Ok(())
    }

    /// What was revoked stays so, and no opening of it gets a share, be it new or one that was answered before.
    async fn check_revoked(&self, acks: &Acks, inbox: &Summaries, sent: &Summaries, verdict: &mut Verdict) {
        for id in acks.revoked.keys() {
            let state = sent.get(id).map(|summary| summary.state);
            let is_revoked = state == Some(TransferState::Revoked);
            verdict.acknowledged(is_revoked, || format!("the revocation of {id}, which is {state:?}"));
            let Some(hh) = inbox.get(id).and_then(|summary| hh_of(summary).ok()) else {
                continue;
            };
            let earlier = acks.openings.get(id).and_then(|openings| openings.keys().next_back());
            let openings = [Some(OpeningId::from_bytes(self.provider.env.draw())), earlier.copied()];
            for opening in openings.into_iter().flatten() {
                if self.provider.api.open(id, &OpenRequest { hh, opening }).await.is_ok() {
                    verdict.doubled(format!("{id} was opened after its revocation"));
                }
            }
        }
    }

    async fn check_parts(&self, acks: &Acks, verdict: &mut Verdict) {
        for (id, (root, _)) in &acks.parts {
            let parts = self.desk.api.parts(id).await.unwrap_or_default();
            let is_there = parts.iter().any(|part| part.number == 0 && part.root == *root);
            verdict.acknowledged(is_there, || format!("part 0 of {id}"));
        }
    }

    async fn check_invites(&self, acks: &Acks, verdict: &mut Verdict) -> Outcome {
        let listed = self.desk.api.invites().await.map_err(failed("the invitations"))?;
        let listed: BTreeSet<_> = listed.invites.into_iter().map(|invite| invite.invite).collect();
        for id in acks.invites.keys() {
            verdict.acknowledged(listed.contains(id), || format!("the invitation {id}"));
        }
        Ok(())
    }

    /// Opens a transfer, compares every byte, and tries to open it once more than is allowed.
    async fn open(
        &mut self,
        account: &Account,
        acks: &Acks,
        summary: &TransferSummary,
        openings: &Openings,
        verdict: &mut Verdict,
    ) {
        let id = summary.transfer;
        let known = acks.sealed.get(&id);
        let Ok(hh) = hh_of(summary) else {
            verdict.wrong(format!("{id} is not a transfer"));
            return;
        };
        let used = summary
            .recipients
            .first()
            .map_or(0, |recipient| recipient.openings_used);
        let is_left = summary.openings.is_none_or(|limit| used < limit);
        let repeatable = acks.openings.get(&id).and_then(|openings| openings.keys().next_back());
        let is_receipted = acks.receipts.contains_key(&id);
        match summary.state {
            TransferState::Available if is_left => self.compare_bytes(account, id, known, verdict).await,
            TransferState::Available => {
                if let Some(opening) = repeatable.filter(|_| !is_receipted) {
                    let adopted = adopt(&self.provider, id, hh, *opening);
                    if let Err(error) = adopted {
                        verdict.wrong(error);
                    }
                    self.compare_bytes(account, id, known, verdict).await;
                }
            }
            TransferState::Revoked if acks.revoking.contains(&id) => return,
            TransferState::Used if openings.is_used_up(&id, summary.openings, now() / 1000) => {}
            state => verdict.wrong(format!("{id} is {state:?}, and nobody did that")),
        }
        self.exceed(account, id, hh, verdict).await;
    }

    async fn compare_bytes(
        &mut self,
        account: &Account,
        id: TransferId,
        known: Option<&Sealed>,
        verdict: &mut Verdict,
    ) {
        match whole(&mut self.provider, account, id, true).await {
            Ok(digest) => {
                let is_right = match known {
                    Some(sealed) => sealed.digest == digest,
                    None => account.lock().digests.contains(&digest),
                };
                if !is_right {
                    verdict.wrong(format!("{id} opens to other bytes"));
                }
            }
            Err(error) if known.is_some() => verdict.lost(format!("{id} does not open: {error}")),
            Err(error) => verdict.wrong(format!("{id} is there, but not whole: {error}")),
        }
    }

    /// A limit is reached at last, whatever happened before.
    async fn exceed(&mut self, account: &Account, id: TransferId, hh: Hash, verdict: &mut Verdict) {
        let Ok(summary) = self.provider.api.transfer(&id).await else {
            verdict.wrong(format!("{id} was there and is gone"));
            return;
        };
        let Some(limit) = summary.openings else {
            return;
        };
        let used = summary
            .recipients
            .first()
            .map_or(0, |recipient| recipient.openings_used);
        for _ in used..=limit {
            let opening = OpeningId::from_bytes(self.provider.env.draw());
            account.lock().ask(id, opening);
            if self.provider.api.open(&id, &OpenRequest { hh, opening }).await.is_ok() {
                account.lock().open(id, opening);
            }
        }
        let opened = account.lock().opened(&id);
        if opened > limit {
            verdict.doubled(format!("{id} was opened {opened} times, and {limit} are allowed"));
        }
    }
}

/// Transfers by id.
type Summaries = BTreeMap<TransferId, TransferSummary>;

/// At most `count` of them, by chance.
fn some<T>(all: impl Iterator<Item = T>, count: usize, dice: &mut Dice) -> Vec<T> {
    let mut all: Vec<T> = all.collect();
    while all.len() > count {
        all.swap_remove(dice.index(all.len()));
    }
    all
}

/// Openings, receipts and limit of a transfer, as the gateway lists them and as its audit log has them.
fn check_counts(acks: &Acks, summary: &TransferSummary, logged: u32, verdict: &mut Verdict) {
    let id = summary.transfer;
    let Some(recipient) = summary.recipients.first() else {
        verdict.wrong(format!("{id} has no recipient"));
        return;
    };
    let used = recipient.openings_used;
    if summary.openings.is_some_and(|limit| used > limit || logged > limit) {
        verdict.doubled(format!("{id} was opened {used} times, more than allowed"));
    }
    if logged != used {
        verdict.wrong(format!(
            "{used} openings of {id} are counted, and {logged} are in the audit log"
        ));
    }
    if acks.receipts.contains_key(&id) {
        verdict.acknowledged(recipient.receipt.is_some(), || format!("the receipt of {id}"));
    }
    let limit = acks.sealed.get(&id).map(|sealed| sealed.limit);
    if limit.is_some_and(|limit| limit != summary.openings) {
        verdict.wrong(format!("{id} has another limit than it was sealed with"));
    }
    let is_destroyed = acks.seen.iter().any(|seen| seen.shredded.contains(&id));
    if is_destroyed && summary.state == TransferState::Available {
        verdict.wrong(format!("the share of {id} was destroyed, and it is available again"));
    }
}

/// Everything that a client has seen of the log is still its beginning.
fn check_log(acks: &Acks, leaves: &[Leaf], verdict: &mut Verdict) -> Outcome {
    let mut heads = vec![Hash::from_bytes(Tree::new().head())];
    let mut tree = Tree::new();
    for leaf in leaves {
        let line = leaf.line().map_err(failed("a leaf"))?;
        tree.push(leaf_hash(line.as_bytes()));
        heads.push(Hash::from_bytes(tree.head()));
    }
    for seen in &acks.seen {
        let head = usize::try_from(seen.size).ok().and_then(|size| heads.get(size));
        verdict.acknowledged(head.is_some(), || {
            format!("the audit log had {} events, and has {}", seen.size, leaves.len())
        });
        if head.is_some_and(|head| *head != seen.root) {
            verdict.wrong(format!("the first {} events of the audit log are others", seen.size));
        }
    }
    let destroyed = shredded(leaves);
    let seen = acks.seen.iter().flat_map(|seen| &seen.shredded);
    for id in seen.chain(acks.revoked.keys()) {
        verdict.acknowledged(destroyed.contains(id), || {
            format!("that the share of {id} is destroyed")
        });
    }
    Ok(())
}

fn hh_of(summary: &TransferSummary) -> Outcome<Hash> {
    let (header, _) = sealpost_client::verify::pieces(summary).map_err(failed("a summary"))?;
    Ok(Hash::from_bytes(header.hash()))
}

/// Shares in the folder of a gateway that does not run, which must not be there: rows of transfers whose destruction was
/// acknowledged (a slot names its transfer in clear).
///
/// # Errors
/// Of the file system.
pub fn check_destroyed(data: &Path, acks: &Acks, verdict: &mut Verdict) -> Outcome {
    let mut rows = Vec::new();
    let folder = data.join("shares");
    for entry in std::fs::read_dir(&folder).map_err(failed(folder.display()))? {
        let path = entry.map_err(failed(folder.display()))?.path();
        rows.extend(std::fs::read(&path).map_err(failed(path.display()))?);
    }
    // A revocation is answered when its share is destroyed.
    let seen = acks.seen.iter().flat_map(|seen| &seen.shredded);
    let destroyed: BTreeSet<_> = seen.chain(acks.revoked.keys()).collect();
    for id in destroyed {
        let bytes: &[u8] = id.as_bytes();
        let is_there = rows.windows(bytes.len()).any(|window| window == bytes);
        verdict.acknowledged(!is_there, || {
            format!("the destruction of the share of {id}: it is on the disk again")
        });
    }
    Ok(())
}
