//! The one thread that writes the journal. It takes what is queued, decides, appends one frame, and answers.
//!
//! No timer: a group is what has gathered while the frame before was written. An answer, even that nothing changed, waits
//! for the frame, because the decision may have seen what the frame holds.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use sealpost_proto::id::Hash;
use sealpost_proto::log::{Leaf, Object};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Builder;

use super::book::{Book, Entry};
use super::journal::{Journal, MAX_RECORD_LEN, has_room};
use super::record::Record;
use crate::clock::Clock;
use crate::domain::{Change, Key, LeafDraft, State, Unfit};
use crate::random::Random;
use crate::store::StoreError;
use crate::store::ledger::{Committed, Decide, Effects, Stamp};

/// A decision that waits for its turn.
pub(super) struct Job {
    pub(super) keys: Vec<Key>,
    pub(super) decide: Decide,
    pub(super) reply: oneshot::Sender<Result<Committed, StoreError>>,
}

/// The committer; owned by its thread.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) journal: Journal,
    pub(super) book: Arc<RwLock<Book>>,
    pub(super) chain: Chain,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) last_millis: u64,
    pub(super) stop: watch::Sender<Option<String>>,
}

/// The last leaf on each object, in order.
type Links = Vec<(Object, Hash)>;

/// Makes leaves: the same draft twice gives two leaves, each linked to the last one on its object.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) node: String,
    pub(super) random: Arc<dyn Random>,
    /// Hash of the last leaf by object.
    pub(super) last: HashMap<Object, Hash>,
}

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
        if let Err(error) = self.journal.make_room() {
            // A full disk is not a broken one: nothing was decided, and there may be room again.
            let is_full = matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            tracing::error!(%error, "there is no room for the journal");
            if !is_full {
                self.halt(&error);
            }
            let _ = first.reply.send(Err(StoreError::Unavailable(same(&error))));
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
        let stamp = self.stamp();
        let loaded = self.read(|book| book.load(&job.keys));
        let effects = (job.decide)(&loaded, stamp);
        let first_leaf = self.read(|book| book.leaves().size()) + group.leaves();
        let committed = |count: u64| Committed::new(stamp, first_leaf..first_leaf + count);
        if effects.changes.is_empty() && effects.leaves.is_empty() {
            group.waiting.push((job.reply, committed(0)));
            return Ok(());
        }
        let seq = self.journal.next_seq() + group.records.len() as u64;
        match self.prepare(seq, stamp, &job.keys, effects) {
            Ok(prepared) => {
                let count = prepared.record.leaves.len() as u64;
                if let Err(unfit) = self.take(prepared, group) {
                    let error = io::Error::other(unfit);
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

    /// All of a record that can fail, before anything is touched.
    fn prepare(&self, seq: u64, stamp: Stamp, keys: &[Key], effects: Effects) -> io::Result<Prepared> {
        if let Some(stray) = effects.changes.iter().map(Change::key).find(|key| !keys.contains(key)) {
            let kind = format!("a decision changed {stray:?} without naming it");
            return Err(io::Error::other(kind));
        }
        let tenant = self.tenant_after(&effects.changes);
        let (lines, chain) = self.chain.leaves(stamp, tenant.as_deref(), effects.leaves)?;
        let record = Record::new(seq, stamp.millis, effects.changes, lines);
        let bytes = record.encode()?;
        if bytes.len() > MAX_RECORD_LEN {
            return Err(io::Error::other("a record is longer than 256 KiB"));
        }
        Ok(Prepared { record, bytes, chain })
    }

    /// Applies a record ahead of its frame.
    fn take(&mut self, prepared: Prepared, group: &mut Group) -> Result<(), Unfit> {
        let Prepared { record, bytes, chain } = prepared;
        let changed = self
            .book
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .apply(&record.changes)?;
        self.chain.last.extend(chain);
        group.bytes += bytes.len() + 4;
        group.records.push(bytes);
        group.entries.push(Entry {
            seq: record.seq,
            changed,
            lines: record.leaves,
        });
        Ok(())
    }

    /// Makes the group durable, shows it, and answers.
    fn finish(&mut self, group: Group) -> io::Result<()> {
        if !group.records.is_empty() {
            match self.journal.append(&group.records) {
                Ok(frame) => {
                    let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
                    book.publish(frame, &group.entries);
                }
                Err(error) => {
                    // Before anybody hears of it: nobody may look at what is perhaps durable and take it for undone.
                    self.halt(&error);
                    group.refuse(&error);
                    return Err(error);
                }
            }
        }
        for (reply, committed) in group.waiting {
            let _ = reply.send(Ok(committed));
        }
        Ok(())
    }

    /// Ends the ledger for good: every later question and decision is refused.
    fn halt(&self, error: &io::Error) {
        tracing::error!(%error, "the journal could not be written; the ledger has stopped");
        self.stop
            .send_replace(Some(format!("the journal could not be written: {error}")));
    }

    fn stamp(&mut self) -> Stamp {
        self.last_millis = self.clock.now_millis().max(self.last_millis);
        Stamp {
            millis: self.last_millis,
        }
    }

    /// The organisation's id as it will be after `changes`.
    fn tenant_after(&self, changes: &[Change]) -> Option<String> {
        let organisation = [Key::Organisation];
        let tenant = |loaded: &crate::domain::Loaded| {
            let directory = loaded.organisation()?.directory.as_ref()?;
            Some(directory.org().to_string())
        };
        let now = self.read(|book| tenant(&book.load(&organisation)));
        now.or_else(|| {
            let mut founding = State::default();
            let mine = |change: &&Change| change.key() == Key::Organisation;
            let mut mine = changes.iter().filter(mine);
            mine.try_for_each(|change| founding.apply(change)).ok()?;
            tenant(&founding.load(&organisation))
        })
    }

    fn read<T>(&self, question: impl FnOnce(&Book) -> T) -> T {
        question(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Chain {
    /// Lines for `drafts`, and what they make the last leaf of each object.
    fn leaves(&self, stamp: Stamp, tenant: Option<&str>, drafts: Vec<LeafDraft>) -> io::Result<(Vec<String>, Links)> {
        let mut lines = Vec::with_capacity(drafts.len());
        let mut chain: Links = Vec::new();
        for draft in drafts {
            let in_record = chain.iter().rev().find(|(object, _)| *object == draft.object);
            let prev_obj = in_record.map(|(_, hash)| hash).or_else(|| self.last.get(&draft.object));
            let leaf = Leaf {
                v: 1,
                id: self.draw_id(stamp)?,
                t: stamp.millis,
                node: self.node.clone(),
                tenant: tenant.map(str::to_owned),
                event: draft.event,
                outcome: draft.outcome,
                actor: draft.actor,
                prev_obj: prev_obj.copied(),
                object: draft.object.clone(),
                peer: draft.peer,
                req_id: draft.req_id,
                data: draft.data,
            };
            let line = leaf.line().map_err(io::Error::other)?;
            chain.push((draft.object, Leaf::hash_of(&line)));
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
        self.entries.iter().map(|entry| entry.lines.len() as u64).sum()
    }

    fn refuse(self, error: &io::Error) {
        for (reply, _) in self.waiting {
            let _ = reply.send(Err(StoreError::Unavailable(same(error))));
        }
    }
}

/// An error for each who waits.
fn same(error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), error.to_string())
}
