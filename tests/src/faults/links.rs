//! Transfers to links: sent by a member, opened by visitors who have no account, and compared with the account afterwards.
//!
//! Every visitor comes with a folder of its own, so every visitor is one opening, however often it asks.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_client::Session;
use sealpost_client::get::{Door, Visit};
use sealpost_client::link::DrawnLink;
use sealpost_client::progress::Silent;
use sealpost_proto::api::{LinkState, TransferState, TransferSummary};
use sealpost_proto::encoding::hex;
use sealpost_proto::id::TransferId;
use sealpost_proto::link::Link;
use sealpost_proto::log::{EventType, Leaf, LeafOutcome};

use super::acks::{Account, Acks, Linked, now};
use super::asking::asking;
use super::dice::Dice;
use super::workload::{Work, digest_of, sent};
use super::{Outcome, Verdict, failed};

/// Words of a link: deriving a key from them takes most of the time of a visit, however many there are.
const WORDS: usize = 5;

/// Sends a small file to a link.
///
/// # Errors
/// As [`sent`].
pub async fn send(session: &mut Session, work: &mut Work<'_>) -> Outcome<TransferId> {
    let limit = if work.dice.percent(50) { 1 } else { 2 };
    let drawn = DrawnLink::draw(WORDS, work.dice.percent(50), limit, &session.env);
    let len = 100 + work.dice.below(90_000);
    let text = drawn.text(&session.account.at, &session.account.org);
    let text = text.map_err(failed("a link"))?;
    let link = Link::parse(&text).map_err(failed("a link"))?;
    let (words, hash) = (drawn.words().to_owned(), drawn.hash());
    let (sent, digest) = sent(session, work, len, None, Some(drawn)).await?;
    let linked = Linked {
        link,
        words,
        hash,
        digest,
        limit,
        at: now(),
        asked: 0,
        opened: Vec::new(),
        receipt: None,
    };
    work.account.lock().links.insert(sent.transfer, linked);
    Ok(sent.transfer)
}

/// A visitor opens one of the links, and mostly saves what is behind it.
///
/// # Errors
/// What the visitor's client said.
pub async fn visit_one(at: &Session, folder: &Path, account: &Account, dice: &mut Dice) -> Outcome {
    let choice = {
        let acks = account.lock();
        let n = dice.index(acks.links.len());
        let choice = acks.links.keys().nth(n).copied();
        choice.map(|id| (id, acks.revoked.contains_key(&id)))
    };
    let Some((transfer, is_revoked)) = choice else {
        return Ok(());
    };
    let mut visitor = Visitor::new(at, folder, account, transfer)?;
    let mut visit = visitor.open().await?;
    if is_revoked {
        let fault = format!("the link of {transfer} was opened after its revocation was acknowledged");
        account.lock().faults.push(fault);
    }
    if dice.percent(30) {
        // The same visitor again is the same opening.
        visit = visitor.open().await?;
    }
    if dice.percent(70) {
        visitor.save(visit).await?;
    }
    Ok(())
}

/// Somebody who was given a link and its words.
struct Visitor<'a> {
    account: &'a Account,
    at: &'a Session,
    transfer: TransferId,
    linked: Linked,
    folder: PathBuf,
    is_counted: bool,
}

impl<'a> Visitor<'a> {
    /// A new one, who is noted as about to ask.
    fn new(at: &'a Session, folder: &Path, account: &'a Account, transfer: TransferId) -> Outcome<Self> {
        let name: [u8; 8] = at.env.draw();
        let mut acks = account.lock();
        let linked = acks.links.get_mut(&transfer).ok_or("no such link")?;
        linked.asked += 1;
        Ok(Self {
            account,
            at,
            transfer,
            linked: linked.clone(),
            folder: folder.join(format!("visitor-{}", hex(&name))),
            is_counted: false,
        })
    }

    /// Opens the link. The first answer is noted.
    async fn open(&mut self) -> Outcome<Visit> {
        let (link, words) = (self.linked.link.clone(), &self.linked.words);
        let door = Door::knock(link, Some(self.at.account.at.pin), self.at.env.clone()).await;
        let door = door.map_err(failed("a link"))?;
        let (visit, drawn) = asking(self.account, self.transfer, door.open(words, &self.folder)).await;
        let visit = visit.map_err(failed("a link"))?;
        if !std::mem::replace(&mut self.is_counted, true)
            && let Some(linked) = self.account.lock().links.get_mut(&self.transfer)
        {
            linked.opened.push((drawn, now()));
        }
        Ok(visit)
    }

    /// Saves what is behind the link, and returns its digest.
    async fn save(&self, visit: Visit) -> Outcome<String> {
        let target = self.folder.join("saved");
        std::fs::create_dir_all(&target).map_err(failed("a folder"))?;
        let saved = visit.save(&target, Arc::new(Silent)).await.map_err(failed("saving"))?;
        let file = saved.files.first().ok_or("a transfer without files")?;
        let digest = digest_of(&file.path)?;
        let mut acks = self.account.lock();
        if let Some(linked) = acks.links.get_mut(&self.transfer).filter(|_| saved.is_receipted) {
            let at = now();
            linked.receipt.get_or_insert(at);
        }
        Ok(digest)
    }
}

/// Compares all links with the account, and opens some of them: the bytes are right, and a limit is reached at last.
pub async fn check(
    at: &Session,
    account: &Account,
    sent: &BTreeMap<TransferId, TransferSummary>,
    leaves: &[Leaf],
    some: &[TransferId],
    verdict: &mut Verdict,
) {
    let acks = account.lock().clone();
    let redeemed = redeemed_in(leaves);
    for (id, linked) in &acks.links {
        let summary = sent.get(id);
        verdict.acknowledged(summary.is_some(), || format!("the seal of {id}, for a link"));
        let Some(summary) = summary else {
            continue;
        };
        check_counts(
            &acks,
            linked,
            summary,
            redeemed.get(&linked.hash.to_string()).copied().unwrap_or(0),
            verdict,
        );
        if some.contains(id) {
            exceed(at, account, *id, summary, verdict).await;
        }
    }
}

fn check_counts(acks: &Acks, linked: &Linked, summary: &TransferSummary, logged: u32, verdict: &mut Verdict) {
    let id = summary.transfer;
    let Some(known) = summary.links.iter().find(|known| known.link == linked.hash) else {
        verdict.lost(format!("the link of {id}"));
        return;
    };
    let used = known.openings_used;
    if used > linked.asked {
        let asked = linked.asked;
        verdict.doubled(format!(
            "{used} openings of the link of {id} are counted for {asked} visitors"
        ));
    }
    if used > linked.limit || logged > linked.limit || known.openings != linked.limit {
        verdict.doubled(format!("the link of {id} was opened {used} times, more than allowed"));
    }
    if logged != used {
        verdict.wrong(format!(
            "{used} openings of the link of {id} are counted, and {logged} are in the audit log"
        ));
    }
    if linked.receipt.is_some() {
        verdict.acknowledged(known.receipt.is_some(), || format!("the receipt of the link of {id}"));
    }
    let is_right = match summary.state {
        TransferState::Available => true,
        TransferState::Revoked => acks.revoking.contains(&id),
        TransferState::Used => used == linked.limit,
        TransferState::Expired | TransferState::Held => false,
    };
    if !is_right || !matches!(known.state, LinkState::Open | LinkState::Used) {
        let state = (summary.state, known.state);
        verdict.wrong(format!("the link of {id} is {state:?}, and nobody did that"));
    }
}

/// New visitors come, one more than may. Each who is let in gets the right bytes.
async fn exceed(at: &Session, account: &Account, id: TransferId, summary: &TransferSummary, verdict: &mut Verdict) {
    let Some(linked) = account.lock().links.get(&id).cloned() else {
        return;
    };
    let used = summary.links.first().map_or(0, |link| link.openings_used);
    let is_open = summary.state == TransferState::Available;
    for n in used..=linked.limit {
        let Ok(mut visitor) = Visitor::new(at, at.home.path(), account, id) else {
            return;
        };
        match visitor.open().await {
            // The first bytes speak for all.
            Ok(visit) if is_open && n == used => match visitor.save(visit).await {
                Ok(digest) if digest == linked.digest => {}
                Ok(_) => verdict.wrong(format!("the link of {id} opens to other bytes")),
                Err(error) => verdict.lost(format!("the link of {id} does not open: {error}")),
            },
            Ok(_) if is_open => {}
            Ok(_) => verdict.doubled(format!("the link of {id} opens, and its transfer has ended")),
            Err(error) if is_open && n < linked.limit => {
                verdict.lost(format!("the link of {id} does not open: {error}"));
            }
            Err(_) => break,
        }
    }
    let opened = account.lock().links.get(&id).map_or(0, opened);
    if opened > linked.limit {
        let limit = linked.limit;
        verdict.doubled(format!(
            "the link of {id} was opened {opened} times, and {limit} are allowed"
        ));
    }
}

fn opened(linked: &Linked) -> u32 {
    u32::try_from(linked.opened.len()).unwrap_or(u32::MAX)
}

/// Openings by the name of the link.
fn redeemed_in(leaves: &[Leaf]) -> BTreeMap<String, u32> {
    let mut redeemed = BTreeMap::new();
    let done = leaves
        .iter()
        .filter(|leaf| leaf.event == EventType::LinkRedeemed && leaf.outcome == LeafOutcome::Ok);
    for leaf in done {
        *redeemed.entry(leaf.object.id.clone()).or_default() += 1;
    }
    redeemed
}
