//! The thread that writes what was changed to sled. The journal has it already: when sled cannot be written, that is logged, the
//! overlay keeps what it holds, and its bound slows those who commit.

use std::io;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use sealpost_proto::id::Hash;
use tokio::sync::watch;

use super::book::Book;
use super::journal::FileIo;
use super::views::blocks::Change;
use super::views::keys;
use super::views::layer::Layer;
use super::views::shelf::{Entries, Meta};
use super::views::stored::key_of_name;
use crate::domain::{Organisation, RequestNote};

/// Notes that are removed at once.
const PURGED_AT_ONCE: usize = 1_000;

/// How much may stand in the overlay.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// How long changes wait for company.
    pub(super) rest: Duration,
    /// From how many on it is drained at once.
    pub(super) drain_at: usize,
    /// From how many on who commits has to wait.
    pub(super) full_at: usize,
    /// How long.
    pub(super) deadline: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            rest: Duration::from_secs(2),
            drain_at: 128 * 1024,
            full_at: 1024 * 1024,
            deadline: Duration::from_secs(5),
        }
    }
}

/// What wakes and ends the drain, and tells whether the overlay has room.
#[derive(Debug)]
pub(super) struct Signal {
    bounds: Bounds,
    state: Mutex<State>,
    changed: Condvar,
    has_room: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    is_due: bool,
    is_ending: bool,
}

impl Signal {
    pub(super) fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            state: Mutex::default(),
            changed: Condvar::new(),
            has_room: watch::Sender::new(true),
        }
    }

    /// Looks at the overlay after it was changed.
    pub(super) fn look(&self, book: &Book) {
        let (waiting, len) = {
            let overlay = book.read();
            (overlay.waiting(), overlay.len())
        };
        let has_room = len < self.bounds.full_at;
        self.has_room
            .send_if_modified(|known| std::mem::replace(known, has_room) != has_room);
        if waiting >= self.bounds.drain_at {
            self.state.lock().unwrap_or_else(PoisonError::into_inner).is_due = true;
            self.changed.notify_one();
        }
    }

    /// Waits until the overlay has room.
    pub(super) async fn room(&self) -> io::Result<()> {
        if *self.has_room.borrow() {
            return Ok(());
        }
        let mut room = self.has_room.subscribe();
        let has_room = room.wait_for(|has_room| *has_room);
        match tokio::time::timeout(self.bounds.deadline, has_room).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(io::Error::new(
                io::ErrorKind::TimedOut,
                "more is changed than the views can take; try again later",
            )),
        }
    }

    /// Lets the drain finish what waits and end.
    pub(super) fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).is_ending = true;
        self.changed.notify_one();
    }

    /// Waits for work; `true` when it was told to end.
    fn wait(&self) -> bool {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self
            .changed
            .wait_timeout_while(state, self.bounds.rest, |state| !state.is_due && !state.is_ending);
        let (mut state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.is_due = false;
        state.is_ending
    }
}

/// The drain; owned by its thread.
#[derive(Debug)]
pub(super) struct Drain {
    pub(super) book: Arc<Book>,
    pub(super) signal: Arc<Signal>,
    pub(super) io: Arc<dyn FileIo>,
    /// What tells this journal from others.
    pub(super) journal: [u8; 32],
    /// What tells this run of the machine from others.
    pub(super) boot: Option<String>,
    /// Statements of the directory log that sled holds.
    pub(super) statements: u64,
}

impl Drain {
    /// Drains until it is told to end; then sled is left with all there is, marked as closed.
    pub(super) fn run(mut self) {
        let mut is_failing = false;
        loop {
            let is_ending = self.signal.wait();
            if is_ending {
                return self.close();
            }
            match self.drain() {
                Ok(()) => is_failing = false,
                Err(error) if !is_failing => {
                    tracing::error!(%error, "the views could not be written; the journal has everything, going on without");
                    is_failing = true;
                }
                Err(_) => {}
            }
            self.signal.look(&self.book);
        }
    }

    /// Writes the layer that could not be written before, or all that waits.
    pub(super) fn drain(&mut self) -> io::Result<()> {
        let frozen = self.book.write().freeze();
        let Some(layer) = frozen else {
            return Ok(());
        };
        self.io.before_drain()?;
        self.put(&layer)?;
        self.book.write().drained();
        Ok(())
    }

    fn put(&mut self, layer: &Layer) -> io::Result<()> {
        let mut changes = changes_of(layer)?;
        let mut statements = self.statements;
        if let Some(organisation) = &layer.organisation {
            statements = organisation.statements.len() as u64;
            let entries = pieces_of(organisation, self.statements).map_err(io::Error::other)?;
            changes.extend(entries.into_iter().map(|(name, value)| (name, Some(value))));
        }
        changes.extend(self.purged(layer)?);
        changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let meta = Meta::new(self.journal, &layer.mark, statements, self.boot.clone());
        self.book.shelf().write(changes, Some(&meta))?;
        self.statements = statements;
        Ok(())
    }

    /// Removes notes that are too old to matter.
    fn purged(&self, layer: &Layer) -> io::Result<Vec<Change>> {
        let now = layer.mark.millis / 1000;
        let mut purged = Vec::new();
        let prefix = [keys::NOTES];
        let high = [&prefix[..], &[0xff; 64]].concat();
        self.book.shelf().scan(&prefix, &high, false, &mut |name, value| {
            let digest = Hash::from_bytes([0; 32]);
            let is_old = keys::number_of(&name).is_some_and(|at| !RequestNote { digest, at }.is_live(now));
            if !is_old {
                return false;
            }
            let is_changed = key_of_name(&value).is_none_or(|key| layer.aggregates.contains_key(&key));
            let birth = name.last_chunk().copied().map(u64::from_be_bytes);
            if let (Some(birth), false) = (birth, is_changed) {
                purged.extend([name, value, keys::aggregate(birth)].map(|name| (name, None)));
            }
            purged.len() < 3 * PURGED_AT_ONCE
        })?;
        Ok(purged)
    }

    fn close(&mut self) {
        if let Err(error) = self.finish() {
            tracing::error!(%error, "the views could not be closed; they will be checked at the next start");
        }
    }

    /// Writes all there is, and only then that it is all.
    fn finish(&mut self) -> io::Result<()> {
        // Behind a layer that could not be written before stands another.
        while self.book.read().len() > 0 {
            self.drain()?;
        }
        let mark = self.book.read().mark().clone();
        let mut meta = Meta::new(self.journal, &mark, self.statements, self.boot.clone());
        meta.is_clean = true;
        self.book.shelf().write(Vec::new(), Some(&meta))
    }
}

/// What a layer changes, in no order.
pub(super) fn changes_of(layer: &Layer) -> io::Result<Vec<Change>> {
    let mut changes = Vec::with_capacity(layer.len());
    for stored in layer.aggregates.values().flatten() {
        let bytes = stored.encode().map_err(io::Error::other)?;
        changes.push((keys::aggregate(stored.birth), Some(bytes)));
    }
    changes.extend(layer.entries.iter().map(|(name, value)| (name.clone(), value.clone())));
    Ok(changes)
}

/// The organisation as entries: its facts, and its statements from number `from` on.
pub(super) fn pieces_of(organisation: &Organisation, from: u64) -> postcard::Result<Entries> {
    let mut pieces = vec![(
        keys::name(keys::ORGANISATION, &[b"f"]),
        postcard::to_stdvec(&organisation.facts())?,
    )];
    let new = (0..)
        .zip(&organisation.statements)
        .filter(|(number, _)| *number >= from);
    pieces.extend(new.map(|(number, statement): (u64, _)| {
        let name = keys::name(keys::ORGANISATION, &[b"s", &number.to_be_bytes()]);
        (name, statement.text.clone().into_bytes())
    }));
    Ok(pieces)
}

/// The organisation that was kept in these pieces.
pub(super) fn organisation_of(pieces: Entries) -> Option<Organisation> {
    let mut pieces = pieces.into_iter();
    let Some((_, facts)) = pieces.next() else {
        return Some(Organisation::default());
    };
    let facts = postcard::from_bytes(&facts).ok()?;
    let statements: Option<Vec<String>> = pieces.map(|(_, text)| String::from_utf8(text).ok()).collect();
    Organisation::load(facts, &statements?)
}
