//! What is left of a ledger that cannot be opened, or that is older than what was vouched for: for its repair alone.
//!
//! Nothing is changed by reading. The repaired journal is built in a folder of its own and takes the place of the damaged one in one
//! step; the damaged one is never deleted.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use sealpost_proto::id::Hash;
use sealpost_proto::tree::{Tree, leaf_hash};

use super::journal::{Break, Salvage, Salvaged};
use super::record::Record;
use crate::domain::{AuditPlace, Change, Key};
use crate::store::durable;
use crate::store::folder::PrivateFolder;
use crate::store::open::OpenError;

/// Folder in which the repaired journal is built.
const REPAIRED: &str = "repaired";
/// Folder of the journal, in the data folder and in what is like it.
const JOURNAL: &str = "journal";
/// How the folders begin in which damaged journals are kept.
const LOST: &str = "lost-";
/// Extension of the damaged journal between two steps of an exchange.
const ASIDE: &str = "aside";
/// Folders that are made anew from the journal.
const DERIVED: [&str; 2] = ["views", "snapshots"];

/// How many of what matters to people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records.
    pub records: u64,
    /// Lines of the audit log.
    pub leaves: u64,
    /// Transfers that were sealed.
    pub sealed: u64,
    /// Openings that were made, by members and by links.
    pub openings: u64,
    /// Receipts that were taken.
    pub receipts: u64,
    /// Statements that were taken.
    pub statements: u64,
}

impl Counts {
    fn add(&mut self, record: &Record) {
        self.records += 1;
        self.leaves += record.leaves.len() as u64;
        for change in &record.changes {
            match change {
                Change::TransferSealed { .. } => self.sealed += 1,
                Change::TransferOpened { .. } | Change::LinkRedeemed { .. } => self.openings += 1,
                Change::ReceiptTaken { .. } => self.receipts += 1,
                Change::StatementTaken { .. } => self.statements += 1,
                _ => {}
            }
        }
    }
}

/// Where the journal stops being readable in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is wrong there.
    pub what: String,
}

impl From<Break> for Damage {
    fn from(found: Break) -> Self {
        let Break { file, offset, what } = found;
        Self { file, offset, what }
    }
}

/// What is left of a ledger.
#[derive(Debug)]
pub struct Remains {
    salvage: Salvage,
    /// Before the damage.
    pub kept: Counts,
    /// Readable behind it.
    pub behind: Counts,
    /// The audit log that was written last before the damage.
    pub place: AuditPlace,
    /// Size and head of that log.
    pub audit: (u64, Hash),
    /// Statements before the damage.
    pub statements: Vec<String>,
    /// Changes of the organisation that are readable behind the damage, in order.
    pub organisation_behind: Vec<Change>,
    /// Lines of the audit log that are readable behind the damage.
    pub lines_behind: Vec<String>,
    heads: BTreeMap<(u64, u64), Hash>,
}

impl Remains {
    /// Reads the journal in the data folder. `watched` are numbers of audit logs with sizes at which their heads are wanted.
    ///
    /// # Errors
    /// [`OpenError`] if it cannot be read at all.
    pub fn read(data: &PrivateFolder, watched: &[(u64, u64)]) -> Result<Self, OpenError> {
        let journal = journal_folder(data)?;
        let mut reading = Reading::new(watched);
        let salvage = Salvage::read(&journal, &mut |record| reading.take(&record))?;
        Ok(Self {
            salvage,
            kept: reading.kept,
            behind: reading.behind,
            place: reading.place,
            audit: (reading.tree.size(), Hash::from_bytes(reading.tree.head())),
            statements: reading.statements,
            organisation_behind: reading.organisation_behind,
            lines_behind: reading.lines_behind,
            heads: reading.heads,
        })
    }

    /// Where the damage begins, if there is any.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        self.salvage.damage.clone().map(Damage::from)
    }

    /// Number of the first record that is lost.
    #[must_use]
    pub fn first_lost(&self) -> u64 {
        self.salvage.last_kept + 1
    }

    /// Number of records that are lost, as far as those behind the damage tell; none without damage.
    #[must_use]
    pub fn lost(&self) -> Option<u64> {
        self.salvage
            .damage
            .as_ref()
            .map(|_| self.salvage.last_found - self.salvage.last_kept)
    }

    /// Head that audit log number `log` had at a watched size; none if it was not that long before the damage.
    #[must_use]
    pub fn head_at(&self, log: u64, size: u64) -> Option<Hash> {
        self.heads.get(&(log, size)).copied()
    }

    /// A folder like the data folder with the records before the damage, to go on from. What an earlier try left there may be the
    /// damaged journal, and is kept as `data/lost-<name>`.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn rebuild(&self, data: &PrivateFolder, name: &str) -> Result<PrivateFolder, OpenError> {
        let path = data.path().join(REPAIRED);
        if path.exists() {
            let keep = || {
                fs::rename(&path, lost(data.path(), name))?;
                durable::sync_folder(data.path())
            };
            keep().map_err(OpenError::io(&path, "kept aside"))?;
        }
        let repaired = PrivateFolder::open(&path)?;
        let journal = repaired.subfolder(JOURNAL)?;
        self.salvage
            .copy_kept(&journal)
            .map_err(OpenError::io(&journal, "filled"))?;
        Ok(repaired)
    }
}

/// The folder of the journal in the data folder; made if there is none, unless a repair took one away from there.
///
/// # Errors
/// [`OpenError::JournalAside`] if a repair was interrupted between two steps; [`OpenError::Io`].
pub(super) fn journal_folder(data: &PrivateFolder) -> Result<PathBuf, OpenError> {
    check_in_place(data.path())?;
    data.subfolder(JOURNAL)
}

/// Checks that a repair did not take the journal away without putting another in its place.
///
/// # Errors
/// [`OpenError::JournalAside`] if it did; [`OpenError::Io`].
pub fn check_in_place(data: &Path) -> Result<(), OpenError> {
    if !data.exists() || data.join(JOURNAL).exists() {
        return Ok(());
    }
    match journal_aside(data).map_err(OpenError::io(data, "listed"))? {
        Some(found) => Err(OpenError::JournalAside {
            data: data.to_owned(),
            found,
        }),
        None => Ok(()),
    }
}

/// A journal that a repair has kept: the damaged one of the repair that was interrupted, or of the last that was not.
fn journal_aside(data: &Path) -> io::Result<Option<PathBuf>> {
    let repaired = data.join(REPAIRED).join(JOURNAL);
    let mut aside = vec![repaired.with_extension(ASIDE), repaired];
    let mut lost = Vec::new();
    for entry in fs::read_dir(data)? {
        let name = entry?.file_name();
        if name.to_string_lossy().starts_with(LOST) {
            lost.push(data.join(name).join(JOURNAL));
        }
    }
    lost.sort();
    aside.extend(lost.into_iter().rev());
    Ok(aside.into_iter().find(|journal| journal.exists()))
}

/// A folder for what is kept that does not exist yet.
fn lost(data: &Path, name: &str) -> PathBuf {
    let first = data.join(format!("{LOST}{name}"));
    let others = (2_u32..).map(|number| data.join(format!("{LOST}{name}-{number}")));
    let free = std::iter::once(first.clone()).chain(others).find(|path| !path.exists());
    free.unwrap_or(first)
}

/// Puts the repaired journal into its place, and keeps the damaged one as `data/lost-<name>/journal`. Returns that folder.
///
/// # Errors
/// [`OpenError::Io`]; then either journal is in place, or [`check_in_place`] says where they are.
pub fn put_in_place(data: &PrivateFolder, repaired: PrivateFolder, name: &str) -> Result<PathBuf, OpenError> {
    let (folder, lost) = (repaired.path().to_owned(), lost(data.path(), name));
    let place = || -> io::Result<()> {
        for derived in DERIVED {
            durable::remove_folder(&data.path().join(derived))?;
            durable::remove_folder(&folder.join(derived))?;
        }
        exchange(&data.path().join(JOURNAL), &folder.join(JOURNAL))?;
        durable::sync_folder(data.path())?;
        durable::sync_folder(&folder)?;
        durable::remove(&folder.join("lock"))?;
        fs::rename(&folder, &lost)?;
        durable::sync_folder(data.path())
    };
    place().map_err(OpenError::io(&folder, "put in place"))?;
    drop(repaired);
    Ok(lost)
}

/// Swaps two folders in one step; where the file system cannot, in three.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    match renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE) {
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            let aside = other.with_extension(ASIDE);
            fs::rename(one, &aside)?;
            fs::rename(other, one)?;
            fs::rename(aside, other)
        }
        done => done.map_err(io::Error::from),
    }
}

/// What is gathered while the journal is read.
struct Reading<'a> {
    watched: &'a [(u64, u64)],
    kept: Counts,
    behind: Counts,
    place: AuditPlace,
    tree: Tree,
    statements: Vec<String>,
    organisation_behind: Vec<Change>,
    lines_behind: Vec<String>,
    heads: BTreeMap<(u64, u64), Hash>,
}

impl<'a> Reading<'a> {
    fn new(watched: &'a [(u64, u64)]) -> Self {
        let mut reading = Self {
            watched,
            kept: Counts::default(),
            behind: Counts::default(),
            place: AuditPlace::default(),
            tree: Tree::new(),
            statements: Vec::new(),
            organisation_behind: Vec::new(),
            lines_behind: Vec::new(),
            heads: BTreeMap::new(),
        };
        reading.watch();
        reading
    }

    fn take(&mut self, salvaged: &Salvaged<'_>) -> Result<(), String> {
        let record = Record::decode(salvaged.seq, salvaged.bytes)?;
        if salvaged.is_kept {
            self.keep(record);
        } else {
            self.behind.add(&record);
            self.lines_behind.extend(record.leaves);
            let of_organisation = record.changes.into_iter().filter(is_of_organisation);
            self.organisation_behind.extend(of_organisation);
        }
        Ok(())
    }

    fn keep(&mut self, record: Record) {
        self.kept.add(&record);
        for change in record.changes {
            match change {
                Change::LossAccepted { log, first_leaf } => {
                    self.place = AuditPlace { log, first_leaf };
                    self.tree = Tree::new();
                    self.watch();
                }
                Change::StatementTaken { text } => self.statements.push(text),
                _ => {}
            }
        }
        for line in record.leaves {
            self.tree.push(leaf_hash(line.as_bytes()));
            self.watch();
        }
    }

    fn watch(&mut self) {
        let here = (self.place.log, self.tree.size());
        if self.watched.contains(&here) {
            self.heads.insert(here, Hash::from_bytes(self.tree.head()));
        }
    }
}

/// Whether a change can be made again without the records between. Who waits for a registrar waits with an invitation, which
/// cannot; they are invited again.
fn is_of_organisation(change: &Change) -> bool {
    change.key() == Key::Organisation && !matches!(change, Change::DeviceWaiting { .. } | Change::LossAccepted { .. })
}

#[cfg(test)]
mod tests;
