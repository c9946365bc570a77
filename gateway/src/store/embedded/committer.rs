//! The one thread that writes the journal. It takes what is queued, decides, appends one frame, and answers.
//!
//! No timer: a group is what has gathered while the frame before was written. An answer, even that nothing changed, waits
//! for the frame, because the decision may have seen what the frame holds.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sealpost_proto::id::Hash;
use sealpost_proto::log::{Leaf, Object};
use sealpost_proto::tree::leaf_hash;
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Builder;

use super::ahead::Ahead;
use super::book::{Book, Preloaded};
use super::drain::Signal;
use super::journal::{Journal, MAX_RECORD_LEN, has_room};
use super::record::Record;
use super::stamps::Stamps;
use super::views::keys;
use super::views::layer::Step;
use super::views::overlay::Entry;
use super::views::stored::Stored;
use crate::clock::Clock;
use crate::domain::{Change, Key, LeafDraft, Loaded, State};
use crate::random::Random;
use crate::store::StoreError;
use crate::store::failure;
use crate::store::ledger::{Committed, Decide, Effects, Stamp};
use crate::store::views::{Concern, Watchers};

/// A decision that waits for its turn.
pub(super) struct Job {
    pub(super) keys: Vec<Key>,
    /// What they name, as it was when the caller asked.
    pub(super) preloaded: Preloaded,
    pub(super) decide: Decide,
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// The committer; owned by its thread.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) journal: Journal,
    pub(super) book: Arc<Book>,
    pub(super) ahead: Ahead,
    pub(super) chain: Chain,
    /// Told when the overlay was changed.
    pub(super) signal: Arc<Signal>,
    /// Called when a journal file was closed.
    pub(super) closed: Arc<super::snapshot::Signal>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) stamps: Stamps,
    pub(super) stop: watch::Sender<Option<String>>,
    /// Told whom a frame concerns.
    pub(super) watchers: Arc<Watchers>,
}

/// The last leaf on each object by its name in the views, in order.
type Links = Vec<(Vec<u8>, Hash)>;

/// Makes leaves: the same draft twice gives two leaves, each linked to the last one on its object.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) node: String,
    pub(super) random: Arc<dyn Random>,
    /// Last leaves on objects that are not transfers or their links, by name: all of them.
    pub(super) resident: HashMap<Vec<u8>, Hash>,
}

/// Aggregates that a decision named, as they are for it.
type Known = HashMap<Key, Option<Stored>>;

/// Records of one frame to be, and who waits for it.
#[derive(Default)]
struct Group {
    records: Vec<Vec<u8>>,
    bytes: usize,
    entries: Vec<Entry>,
    waiting: Vec<(oneshot::Sender<Result<Committed, StoreError>>, Committed)>,
}

/// What a decision needs to become a record.
struct Prepared {
    record: Record,
    bytes: Vec<u8>,
    chain: Links,
}

impl Committer {
    /// Works until all senders are gone, or a frame cannot be written.
    pub(super) fn run(mut self, mut queue: mpsc::Receiver<Job>) {
        while let Some(first) = queue.blocking_recv() {
            if self.commit_group(first, &mut queue).is_err() {
                return;
            }
        }
    }

    fn commit_group(&mut self, first: Job, queue: &mut mpsc::Receiver<Job>) -> io::Result<()> {
        let room = self.journal.make_room();
        if let Ok(true) = room {
            self.closed.file_closed();
        }
        if let Err(error) = room {
            // A full disk is not a broken one: nothing was decided, and there may be room again.
            let is_full = failure::is_full(&error);
            tracing::error!(%error, "there is no room for the journal");
            if !is_full {
                self.halt(&error);
            }
            let _ = first.reply.send(Err(StoreError::Unavailable(failure::again(&error))));
            return if is_full { Ok(()) } else { Err(error) };
        }
        let mut group = Group::default();
        let mut job = Some(first);
        while let Some(current) = job {
            if let Err(error) = self.decide(current, &mut group) {
                group.refuse(&error);
                return Err(error);
            }
            let has_room = has_room(group.records.len(), group.bytes);
            job = has_room.then(|| queue.try_recv().ok()).flatten();
        }
        self.finish(group)
    }

    /// Runs a decision and takes its effects into the group. An error says that the state is of no use any more.
    fn decide(&mut self, mut job: Job, group: &mut Group) -> io::Result<()> {
        if job.reply.is_closed() {
            return Ok(());
        }
        let stamp = match self.stamps.next(self.clock.as_ref()) {
            Ok(stamp) => stamp,
            Err(error) => {
                tracing::error!(%error, "nothing is decided by this clock");
                let _ = job.reply.send(Err(StoreError::Unavailable(error)));
                return Ok(());
            }
        };
        let known = match self.known(&job) {
            Ok(known) => known,
            Err(error) => {
                tracing::error!(%error, "the views cannot be read");
                let _ = job.reply.send(Err(StoreError::Unavailable(error)));
                return Ok(());
            }
        };
        let effects = (job.decide)(&self.loaded(&job.keys, &known), stamp);
        let first_leaf = self.book.read().mark().tree.size() + group.leaves();
        let committed = |count: u64| Committed::new(stamp, first_leaf..first_leaf + count);
        if effects.changes.is_empty() && effects.leaves.is_empty() {
            group.waiting.push((job.reply, committed(0)));
            return Ok(());
        }
        let seq = self.journal.next_seq() + group.records.len() as u64;
        match self.prepare(seq, stamp, &job, effects) {
            Ok(prepared) => {
                let count = prepared.record.leaves.len() as u64;
                if let Err(error) = self.take(prepared, &known, group) {
                    // Before the caller hears of it, as for a frame that failed.
                    self.halt(&error);
                    return Err(error);
                }
                group.waiting.push((job.reply, committed(count)));
            }
            Err(error) => {
                let _ = job.reply.send(Err(StoreError::Unavailable(error)));
            }
        }
        Ok(())
    }

    /// The aggregates that a job names: as records in the making left them, or as they are.
    fn known(&self, job: &Job) -> io::Result<Known> {
        let others = job.keys.iter().filter(|key| **key != Key::Organisation);
        let known = |key: &Key| match self.ahead.aggregate(key) {
            Some(stored) => Ok(stored),
            None => job.preloaded.aggregate(&self.book, key),
        };
        others.map(|key| Ok((*key, known(key)?))).collect()
    }

    fn loaded(&self, keys: &[Key], known: &Known) -> Loaded {
        let mut loaded = Loaded::default();
        for key in keys {
            match known.get(key) {
                Some(stored) => loaded.add(*key, stored.as_ref().map(|stored| stored.aggregate.clone())),
                None => loaded.add_organisation(Arc::clone(self.ahead.organisation())),
            }
        }
        loaded
    }

    /// All of a record that can fail, before anything is touched.
    fn prepare(&self, seq: u64, stamp: Stamp, job: &Job, effects: Effects) -> io::Result<Prepared> {
        if let Some(stray) = effects
            .changes
            .iter()
            .map(Change::key)
            .find(|key| !job.keys.contains(key))
        {
            let kind = format!("a decision changed {stray:?} without naming it");
            return Err(io::Error::other(kind));
        }
        let (tenant, log) = self.organisation_after(&effects.changes);
        let last = |name: &[u8], object: &Object| self.last_leaf(&job.preloaded, name, object);
        let (lines, chain) = self.chain.leaves(stamp, (tenant, log), effects.leaves, &last)?;
        let record = Record::new(seq, stamp.millis, effects.changes, lines);
        let bytes = record.encode()?;
        if bytes.len() > MAX_RECORD_LEN {
            return Err(io::Error::other("a record is longer than 256 KiB"));
        }
        Ok(Prepared { record, bytes, chain })
    }

    fn last_leaf(&self, preloaded: &Preloaded, name: &[u8], object: &Object) -> io::Result<Option<Hash>> {
        if let Some(hash) = self.ahead.head(name) {
            return Ok(Some(hash));
        }
        if keys::is_resident(object.kind) {
            return Ok(self.chain.resident.get(name).copied());
        }
        preloaded.head(&self.book, name)
    }

    /// Applies a record ahead of its frame.
    fn take(&mut self, prepared: Prepared, known: &Known, group: &mut Group) -> io::Result<()> {
        let Prepared { record, bytes, chain } = prepared;
        let mut load = |key: &Key| Ok(known.get(key).cloned().flatten());
        let done = self.ahead.apply(record.seq, &record.changes, &mut load)?;
        self.stamps.written(record.millis);
        let mut heads = Vec::with_capacity(chain.len());
        for (name, hash) in chain {
            if name.first() == Some(&keys::RESIDENT) {
                self.chain.resident.insert(name.clone(), hash);
            }
            self.ahead.set_head(name.clone(), hash);
            heads.push((name, *hash.as_bytes()));
        }
        group.bytes += bytes.len() + 4;
        group.records.push(bytes);
        group.entries.push(Entry {
            seq: record.seq,
            millis: record.millis,
            steps: done.steps,
            organisation: done.organisation,
            leaves: record.leaves.iter().map(|line| leaf_hash(line.as_bytes())).collect(),
            heads,
        });
        Ok(())
    }

    /// Makes the group durable, shows it, and answers.
    fn finish(&mut self, mut group: Group) -> io::Result<()> {
        let mut concerns = self.concerns(&group.entries);
        if !group.records.is_empty() {
            match self.journal.append(&group.records) {
                Ok((frame, hash)) => {
                    let entries = std::mem::take(&mut group.entries);
                    let mut overlay = self.book.write();
                    // Whoever begins to watch after this line reads what is shown by the next one.
                    if concerns.is_none() {
                        concerns = self.concerns(&entries);
                    }
                    overlay.show(frame, hash, entries);
                    drop(overlay);
                    self.ahead.shown();
                    self.signal.look(&self.book);
                }
                Err(error) => {
                    // Before anybody hears of it: nobody may look at what is perhaps durable and take it for undone.
                    self.halt(&error);
                    group.refuse(&error);
                    return Err(error);
                }
            }
        }
        self.watchers.tell(concerns.unwrap_or_default());
        for (reply, committed) in group.waiting {
            let _ = reply.send(Ok(committed));
        }
        Ok(())
    }

    /// Whom a frame concerns; nothing while nobody watches.
    fn concerns(&self, entries: &[Entry]) -> Option<Vec<Concern>> {
        let concerns = || entries.iter().flat_map(|entry| &entry.steps).flat_map(Step::concerns);
        self.watchers.is_any().then(|| concerns().collect())
    }

    /// Ends the ledger for good: every later question and decision is refused.
    fn halt(&self, error: &io::Error) {
        tracing::error!(%error, "the journal could not be written; the ledger has stopped");
        self.stop
            .send_replace(Some(format!("the journal could not be written: {error}")));
    }

    /// The organisation's id and the number of its audit log, as they will be after `changes`.
    fn organisation_after(&self, changes: &[Change]) -> (Option<String>, u64) {
        let now = self.ahead.organisation();
        let tenant = now.directory.as_ref().map(|directory| directory.org().to_string());
        let log = changes.iter().rev().find_map(|change| match change {
            Change::LossAccepted { log, .. } => Some(*log),
            _ => None,
        });
        let log = log.unwrap_or(now.audit.log);
        (tenant.or_else(|| tenant_founded(changes)), log)
    }
}

/// The id of the organisation that these changes found.
fn tenant_founded(changes: &[Change]) -> Option<String> {
    let mut founding = State::default();
    let mine = |change: &&Change| change.key() == Key::Organisation;
    let mut mine = changes.iter().filter(mine);
    mine.try_for_each(|change| founding.apply(change)).ok()?;
    let loaded = founding.load(&[Key::Organisation]);
    let directory = loaded.organisation()?.directory.as_ref()?;
    Some(directory.org().to_string())
}

/// Finds the last leaf on an object.
type LastLeaf<'a> = dyn Fn(&[u8], &Object) -> io::Result<Option<Hash>> + 'a;

impl Chain {
    /// Lines for `drafts` of an organisation and its audit log, and what they make the last leaf of each object.
    fn leaves(
        &self,
        stamp: Stamp,
        (tenant, log): (Option<String>, u64),
        drafts: Vec<LeafDraft>,
        last: &LastLeaf<'_>,
    ) -> io::Result<(Vec<String>, Links)> {
        let mut lines = Vec::with_capacity(drafts.len());
        let mut chain: Links = Vec::new();
        for draft in drafts {
            let name = keys::head(log, &draft.object);
            let in_record = chain.iter().rev().find(|(other, _)| *other == name);
            let prev_obj = match in_record {
                Some((_, hash)) => Some(*hash),
                None => last(&name, &draft.object)?,
            };
            let leaf = Leaf {
                v: 1,
                id: self.draw_id(stamp)?,
                t: stamp.millis,
                node: self.node.clone(),
                tenant: tenant.clone(),
                event: draft.event,
                outcome: draft.outcome,
                actor: draft.actor,
                prev_obj,
                object: draft.object,
                peer: draft.peer,
                req_id: draft.req_id,
                data: draft.data,
            };
            let line = leaf.line().map_err(io::Error::other)?;
            chain.push((name, Leaf::hash_of(&line)));
            lines.push(line);
        }
        Ok((lines, chain))
    }

    /// UUID version 7 (RFC 9562): the stamp, then random bits.
    fn draw_id(&self, stamp: Stamp) -> io::Result<String> {
        let mut random = [0; 10];
        self.random.fill(&mut random)?;
        Ok(Builder::from_unix_timestamp_millis(stamp.millis, &random)
            .into_uuid()
            .to_string())
    }
}

impl Group {
    fn leaves(&self) -> u64 {
        self.entries.iter().map(|entry| entry.leaves.len() as u64).sum()
    }

    fn refuse(self, error: &io::Error) {
        for (reply, _) in self.waiting {
            let _ = reply.send(Err(StoreError::Unavailable(failure::again(error))));
        }
    }
}
