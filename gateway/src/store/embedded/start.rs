//! A start: which views can be believed, and what has to be read to bring them up to the journal.
//!
//! Sled is believed after a clean stop; after another end of this process on a machine that has run since, it is checked. If it
//! goes beyond the journal, is of another one, cannot be opened or read, or does not agree with the last records it claims to hold, it
//! is thrown away, and the views are made again of the newest good snapshot and the records after it. What is read of the
//! journal is verified; what lies before it is verified later, by [`super::verification`].

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;

use sealpost_proto::id::{Hash, Label};
use sealpost_proto::log::Leaf;
use sealpost_proto::tree::leaf_hash;

use super::ahead::Ahead;
use super::book::Book;
use super::drain::{Bounds, Drain, Signal, changes_of, organisation_of};
use super::journal::{self, FileHead, Found, Journal, Options};
use super::record::{OfLeaf, Record};
use super::snapshot::{self, Piece, Snapshot};
use super::views::keys;
use super::views::layer::{Layer, Mark, Step};
use super::views::overlay::{Entry, Overlay};
use super::views::shelf::{Entries, Meta, Shelf};
use super::views::stored::Stored;
use crate::domain::{Key, Organisation};
use crate::store::open::OpenError;

/// Records before the end of sled's views that are compared with them after an unclean end.
const SAMPLE: u64 = 256;
/// Entries that are written to sled at once while a snapshot is loaded.
const LOADED_AT_ONCE: usize = 512 * 1024;

/// What is said of a frame that once stood in a file with another number.
const FILES_MISSING: &str = "a file before it is missing or does not belong here";

/// Where everything is, and how it is opened.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    pub(super) journal: Options,
    pub(super) views: PathBuf,
    pub(super) snapshots: PathBuf,
    pub(super) bounds: Bounds,
    /// What tells this run of the machine from others, where the system says so.
    pub(super) boot: Option<String>,
}

/// What a start came to.
#[derive(Debug)]
pub(super) struct Started {
    pub(super) journal: Journal,
    pub(super) book: Arc<Book>,
    pub(super) drain: Drain,
    pub(super) signal: Arc<Signal>,
    /// Last leaves on objects that are held in memory.
    pub(super) resident: HashMap<Vec<u8>, Hash>,
    /// Files of the journal; those before `verified_from` are not verified yet.
    pub(super) files: Vec<FileHead>,
    pub(super) verified_from: usize,
}

/// Views as they were found or loaded, before the journal is read.
struct Base {
    shelf: Shelf,
    mark: Mark,
    organisation: Organisation,
    usage: HashMap<Label, u64>,
    resident: HashMap<Vec<u8>, Hash>,
    statements: u64,
    /// File of the journal to begin with.
    from: usize,
    /// Whether the last records are compared with the views.
    is_checked: bool,
}

/// Why views are not believed.
type Doubt = String;

/// Opens the journal and views of it.
///
/// # Errors
/// [`OpenError`] about the journal or the folder; never about sled or snapshots, which are made again.
pub(super) fn start(setup: &Setup) -> Result<Started, OpenError> {
    let files = journal::prepare(&setup.journal)?;
    let snapshots = snapshot::list(&setup.snapshots, &files)?;
    if setup.views.exists() {
        let tried = found(setup, &files, &snapshots).and_then(|base| replay(setup, &files, base));
        match tried {
            Ok(started) => return started,
            Err(doubt) => tracing::warn!(%doubt, "the views are not believed; making them again"),
        }
    }
    for candidate in snapshots.iter().map(Some).chain([None]) {
        let tried = loaded(setup, &files, candidate).and_then(|base| replay(setup, &files, base));
        match (tried, candidate) {
            (Ok(started), _) => return started,
            (Err(doubt), Some(snapshot)) => {
                tracing::warn!(%doubt, file = %snapshot.path.display(), "the snapshot cannot be used; taking one before it");
            }
            (Err(doubt), None) => return Err(OpenError::io(&setup.views, "filled")(io::Error::other(doubt))),
        }
    }
    Err(OpenError::corrupt(&setup.views, 0, "there is nothing to begin with"))
}

/// Views that are there, if they can be believed so far.
fn found(setup: &Setup, files: &[FileHead], snapshots: &[Snapshot]) -> Result<Base, Doubt> {
    let text = |error: io::Error| error.to_string();
    let shelf = Shelf::open(&setup.views).map_err(text)?;
    let mut meta = shelf.meta().map_err(text)?.ok_or("they were never finished")?;
    let mark = meta
        .mark(&identity(files))
        .ok_or("they are of another journal or version")?;
    if !meta.is_clean && (meta.boot.is_none() || meta.boot != setup.boot) {
        return Err("the machine may have lost power while they were written".to_owned());
    }
    let organisation = organisation_of(shelf.all(&[keys::ORGANISATION]).map_err(text)?);
    let organisation = organisation.ok_or("the organisation in them cannot be read")?;
    let usage = shelf.all(&[keys::USAGE]).map_err(text)?;
    let usage = usage.into_iter().map(|(name, value)| usage_of(&name, &value));
    let resident = shelf.all(&[keys::RESIDENT]).map_err(text)?;
    let resident = resident
        .into_iter()
        .map(|(name, value)| Some((name, keys::hash_of(&value)?)));
    let is_checked = !meta.is_clean;
    if is_checked {
        tracing::info!("the views were not closed; comparing them with the journal");
    }
    let statements = meta.statements;
    meta.is_clean = false;
    meta.boot.clone_from(&setup.boot);
    shelf.write(Vec::new(), Some(&meta)).map_err(text)?;
    let snapshot = snapshots.first().map_or(0, |snapshot| snapshot.next_file);
    let next = files
        .partition_point(|file| file.first_seq <= mark.seq + 1)
        .saturating_sub(1);
    Ok(Base {
        shelf,
        organisation,
        usage: usage
            .collect::<Option<_>>()
            .ok_or("the stored bytes in them cannot be read")?,
        resident: resident
            .collect::<Option<_>>()
            .ok_or("the last leaves in them cannot be read")?,
        statements,
        from: snapshot.min(next),
        mark,
        is_checked,
    })
}

fn identity(files: &[FileHead]) -> [u8; 32] {
    files.first().map(|file| file.continues).unwrap_or_default()
}

fn usage_of(name: &[u8], value: &[u8]) -> Option<(Label, u64)> {
    let label = name.last_chunk().copied().map(Label::from_bytes)?;
    Some((label, u64::from_be_bytes(value.try_into().ok()?)))
}

/// New views, of a snapshot or of nothing.
fn loaded(setup: &Setup, files: &[FileHead], snapshot: Option<&Snapshot>) -> Result<Base, Doubt> {
    let text = |error: io::Error| error.to_string();
    Shelf::discard(&setup.views).map_err(text)?;
    let shelf = Shelf::open(&setup.views).map_err(text)?;
    let mut base = Base {
        shelf,
        mark: Mark::default(),
        organisation: Organisation::default(),
        usage: HashMap::new(),
        resident: HashMap::new(),
        statements: 0,
        from: snapshot.map_or(0, |snapshot| snapshot.next_file),
        is_checked: false,
    };
    if let Some(snapshot) = snapshot {
        base.load(snapshot, &identity(files)).map_err(text)?;
    }
    let meta = Meta::new(identity(files), &base.mark, base.statements, setup.boot.clone());
    base.shelf.write(Vec::new(), Some(&meta)).map_err(text)?;
    Ok(base)
}

impl Base {
    fn load(&mut self, snapshot: &Snapshot, identity: &[u8; 32]) -> io::Result<()> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "the snapshot cannot be read");
        let mut reader = snapshot::Reader::open(&snapshot.path, identity)?;
        let mut layer = Layer::default();
        let mut organisation = Entries::new();
        while let Some(piece) = reader.next()? {
            match piece {
                Piece::Aggregate(bytes) => {
                    let stored = Stored::decode(&bytes).ok_or_else(damaged)?;
                    if let Some((label, bytes)) = keys::usage(Some(&stored)) {
                        *self.usage.entry(label).or_default() += bytes;
                    }
                    layer.step(Step {
                        key: stored.key,
                        before: None,
                        after: Some(stored),
                    });
                }
                Piece::Entry(name, value) => {
                    if name.first() == Some(&keys::RESIDENT) {
                        let hash = keys::hash_of(&value).ok_or_else(damaged)?;
                        self.resident.insert(name.clone(), hash);
                    }
                    if name.first() == Some(&keys::ORGANISATION) {
                        organisation.push((name.clone(), value.clone()));
                    }
                    layer.put(name, value);
                }
            }
            if layer.len() >= LOADED_AT_ONCE {
                self.put(&std::mem::take(&mut layer))?;
            }
        }
        for (label, bytes) in &self.usage {
            layer.put(
                keys::name(keys::USAGE, &[label.as_bytes()]),
                bytes.to_be_bytes().to_vec(),
            );
        }
        self.put(&layer)?;
        self.organisation = organisation_of(organisation).ok_or_else(damaged)?;
        self.statements = self.organisation.statements.len() as u64;
        self.mark = reader.mark().clone();
        Ok(())
    }

    fn put(&self, layer: &Layer) -> io::Result<()> {
        let mut changes = changes_of(layer)?;
        changes.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        self.shelf.write(changes, None)
    }
}

/// Brings views up to the journal. The outer error says that the views are not believed.
fn replay(setup: &Setup, files: &[FileHead], base: Base) -> Result<Result<Started, OpenError>, Doubt> {
    let (from, statements, is_checked) = (base.from, base.statements, base.is_checked);
    let mark = base.mark;
    let first = files.get(from);
    let is_here = first.is_some_and(|first| (first.first_seq, first.continues) == (mark.seq + 1, mark.frame));
    if let (Some(first), true) = (first, is_here && from.checked_sub(1) != usize::try_from(mark.file).ok()) {
        return Ok(Err(OpenError::corrupt(&first.path, 0, FILES_MISSING)));
    }
    let overlay = Overlay::over(mark.clone(), base.organisation, base.usage);
    let ahead = Ahead::of(Arc::clone(overlay.organisation()));
    let book = Arc::new(Book::new(overlay, base.shelf));
    let signal = Arc::new(Signal::new(setup.bounds));
    let drain = Drain {
        book: Arc::clone(&book),
        signal: Arc::clone(&signal),
        io: Arc::clone(&setup.journal.io),
        journal: identity(files),
        boot: setup.boot.clone(),
        statements,
    };
    let mut replay = Replay {
        is_confirmed: is_here || mark.seq == 0,
        drain_at: setup.bounds.drain_at,
        sample: is_checked.then(HashMap::new),
        mark,
        book,
        ahead,
        resident: base.resident,
        drain: Some(drain),
        draining: None,
        doubt: None,
    };
    let opened = Journal::open(setup.journal.clone(), from, &mut |found| replay.take(&found));
    if let (Ok(_), false) = (&opened, replay.is_confirmed) {
        return Err("they go beyond the journal".to_owned());
    }
    let drain = replay.settle();
    if opened.is_ok() {
        replay.check_sample();
    }
    if let Some(doubt) = replay.doubt {
        return Err(doubt);
    }
    let drain = drain.ok_or("the drain has ended")?;
    Ok(opened.map(|journal| Started {
        journal,
        book: replay.book,
        drain,
        signal,
        resident: replay.resident,
        files: files.to_vec(),
        verified_from: from,
    }))
}

/// What is gathered while the journal is read.
struct Replay {
    /// Up to where the views went at the beginning.
    mark: Mark,
    /// Whether the journal has the frame that they end with.
    is_confirmed: bool,
    /// What the last records before that did, until it is compared.
    sample: Option<HashMap<Key, Option<u64>>>,
    book: Arc<Book>,
    ahead: Ahead,
    resident: HashMap<Vec<u8>, Hash>,
    /// None while it is at work.
    drain: Option<Drain>,
    /// What is written to sled while reading goes on.
    draining: Option<thread::JoinHandle<(Drain, io::Result<()>)>>,
    drain_at: usize,
    doubt: Option<Doubt>,
}

impl Replay {
    fn take(&mut self, found: &Found<'_>) -> Result<(), String> {
        if self.doubt.is_some() {
            return Ok(());
        }
        if found.last_seq() <= self.mark.seq {
            return self.pass(found);
        }
        if !self.is_confirmed {
            self.doubt = Some("they end where the journal has no frame".to_owned());
            return Ok(());
        }
        self.check_sample();
        let entries: Result<Vec<Entry>, String> =
            found.numbered().map(|(seq, _, bytes)| self.entry(seq, bytes)).collect();
        if self.doubt.is_some() {
            return Ok(());
        }
        self.book.write().show(found.position, found.hash, entries?);
        self.ahead.shown();
        if self.book.read().waiting() >= self.drain_at {
            self.drain = self.settle();
            self.draining = self.drain.take().map(|mut drain| {
                thread::spawn(move || {
                    let drained = drain.drain();
                    (drain, drained)
                })
            });
        }
        Ok(())
    }

    /// Waits until what is being written is in sled.
    fn settle(&mut self) -> Option<Drain> {
        let Some(draining) = self.draining.take() else {
            return self.drain.take();
        };
        match draining.join() {
            Ok((drain, Ok(()))) => Some(drain),
            Ok((drain, Err(error))) => {
                self.doubt = Some(error.to_string());
                Some(drain)
            }
            Err(_) => {
                self.doubt = Some("the drain panicked".to_owned());
                None
            }
        }
    }

    /// A frame that the views have.
    fn pass(&mut self, found: &Found<'_>) -> Result<(), String> {
        if found.last_seq() == self.mark.seq {
            self.is_confirmed = found.hash == self.mark.frame;
            if self.is_confirmed && found.position.file != self.mark.file {
                return Err(FILES_MISSING.to_owned());
            }
        }
        let Some(sample) = self
            .sample
            .as_mut()
            .filter(|_| found.last_seq() + SAMPLE > self.mark.seq)
        else {
            return Ok(());
        };
        for (seq, _, bytes) in found.numbered() {
            for change in Record::decode(seq, bytes)?.changes {
                let is_removed = matches!(change, crate::domain::Change::TransferRemoved { .. });
                sample.insert(change.key(), (!is_removed).then_some(seq));
            }
        }
        Ok(())
    }

    /// Compares the views with the last records that they claim to hold.
    fn check_sample(&mut self) {
        for (key, expected) in self.sample.take().unwrap_or_default() {
            if matches!(key, Key::Organisation | Key::Request(_)) {
                continue;
            }
            match self.book.shelf().aggregate(&key) {
                Ok(stored) if stored.as_ref().map(|stored| stored.seq) == expected => {}
                Ok(_) => self.doubt = Some("they do not agree with the last records that they should hold".to_owned()),
                Err(error) => self.doubt = Some(error.to_string()),
            }
        }
    }

    /// What to say of a record that does not follow: that it is damaged is only known where all before it was read.
    fn unfit(&mut self, what: String) -> String {
        if self.mark.seq > 0 {
            self.doubt = Some(format!("the journal does not follow from them: {what}"));
        }
        what
    }

    fn entry(&mut self, seq: u64, bytes: &[u8]) -> Result<Entry, String> {
        let record = Record::decode(seq, bytes)?;
        if record.millis < self.mark.millis {
            return Err(self.unfit(format!("record {seq} is older than the one before it")));
        }
        self.mark.millis = record.millis;
        let book = Arc::clone(&self.book);
        let mut unreadable = None;
        let mut load = |key: &Key| match book.aggregate(key) {
            Ok(stored) => Ok(stored),
            Err(error) => {
                unreadable = Some(error.to_string());
                Ok(None)
            }
        };
        let applied = self.ahead.apply(seq, &record.changes, &mut load);
        if unreadable.is_some() {
            self.doubt = unreadable;
            return Err("the views cannot be read".to_owned());
        }
        let done = applied.map_err(|error| self.unfit(format!("record {seq}: {error}")))?;
        let log = self.ahead.organisation().audit.log;
        let mut heads = Vec::with_capacity(record.leaves.len());
        let mut leaves = Vec::with_capacity(record.leaves.len());
        for line in &record.leaves {
            let leaf = OfLeaf::read(line).map_err(|error| format!("record {seq}: {error}"))?;
            let (name, hash) = (keys::head(log, &leaf.object), Leaf::hash_of(line));
            if keys::is_resident(leaf.object.kind) {
                self.resident.insert(name.clone(), hash);
            }
            heads.push((name, *hash.as_bytes()));
            leaves.push(leaf_hash(line.as_bytes()));
        }
        Ok(Entry {
            seq,
            millis: record.millis,
            steps: done.steps,
            organisation: done.organisation,
            leaves,
            heads,
        })
    }
}
