//! What a repair says, for an operator who reads it on a terminal.

use std::fmt::{self, Display};
use std::path::{Path, PathBuf};

use sealpost_proto::log::Checkpoint;

use super::directory::Directory;
use crate::store::embedded::{Counts, Damage};

/// How a repair ended.
#[derive(Debug)]
pub enum Outcome {
    /// There is nothing to repair.
    Whole(Findings),
    /// Something is lost; nothing was changed.
    Found(Findings),
    /// The loss was accepted; the damaged journal is in this folder.
    Repaired(Findings, PathBuf),
}

/// What is there and what is not.
#[derive(Debug)]
pub struct Findings {
    /// Where the journal stops being readable in order.
    pub damage: Option<Damage>,
    /// Before that.
    pub kept: Counts,
    /// Readable behind it.
    pub behind: Counts,
    /// Number of the first lost record.
    pub first_lost: u64,
    /// Lost records, as far as known.
    pub lost: Option<u64>,
    /// The last head of the audit log that ends.
    pub ended: Checkpoint,
    /// Leaves of that log that are there.
    pub kept_of_ended: u64,
    /// Number of the log after it.
    pub successor: u64,
    /// Its name.
    pub successor_origin: String,
    /// Whether more leaves were vouched for than are there.
    pub is_audit_behind: bool,
    /// The directory log.
    pub directory: Directory,
    /// The key ring's folder, if it remembers nothing of this gateway.
    pub forgetful: Option<PathBuf>,
}

impl Findings {
    /// Whether the journal is what it was.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let is_directory_behind = self.directory.vouched > self.directory.kept;
        self.damage.is_none() && !self.is_audit_behind && !is_directory_behind
    }
}

impl Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(findings) => {
                let Counts { records, leaves, .. } = findings.kept;
                writeln!(
                    f,
                    "The journal is whole: {records} records with {leaves} audit entries. Nothing to repair."
                )?;
                write!(f, "{}", Forgetful(findings.forgetful.as_deref()))
            }
            Self::Found(findings) => {
                write!(f, "{findings}")?;
                writeln!(
                    f,
                    "Nothing was changed. Before you accept this loss, look for a newer copy of the data folder."
                )?;
                writeln!(
                    f,
                    "`sealpost-gateway journal repair --accept-loss` keeps what is before the loss, ends the audit log {} and goes on \
                     with {}. All transfers that have not ended are then held until their senders run `sealpost rearm`.",
                    findings.ended.origin, findings.successor_origin
                )
            }
            Self::Repaired(findings, aside) => {
                write!(f, "{findings}")?;
                writeln!(
                    f,
                    "The loss is written down: the audit log goes on as {}.",
                    findings.successor_origin
                )?;
                writeln!(
                    f,
                    "The damaged journal, and the log that ended as text, are kept in {}.",
                    aside.display()
                )?;
                writeln!(
                    f,
                    "All release shares are destroyed: transfers that have not ended are held from the next start on, until their \
                     senders run `sealpost rearm`. Tell them, and tell whoever reads the audit log."
                )
            }
        }
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.damage {
            Some(Damage { file, offset, what }) => {
                writeln!(f, "{} is damaged at offset {offset}: {what}.", file.display())?;
            }
            None => writeln!(
                f,
                "The journal can be read, but it is older than what this gateway has vouched for."
            )?,
        }
        write!(f, "{}", Forgetful(self.forgetful.as_deref()))?;
        writeln!(f, "Before the loss, and kept: {}.", Told(&self.kept))?;
        match self.lost {
            Some(lost) => {
                let unreadable = lost.saturating_sub(self.behind.records);
                writeln!(
                    f,
                    "Lost from record {} on: at least {lost} records, of which {unreadable} cannot be read.",
                    self.first_lost
                )?;
                writeln!(
                    f,
                    "Readable behind the damage, but without their place: {}.",
                    Told(&self.behind)
                )?;
            }
            None => writeln!(
                f,
                "Lost from record {} on; how many records is not known.",
                self.first_lost
            )?,
        }
        writeln!(
            f,
            "The audit log {} was vouched for up to {} entries; {} of them are here.",
            self.ended.origin, self.ended.size, self.kept_of_ended
        )?;
        let Directory {
            kept,
            found,
            vouched,
            is_complete,
        } = self.directory;
        if is_complete {
            writeln!(
                f,
                "The directory is complete: {kept} statements are kept and {found} were found again."
            )
        } else {
            writeln!(
                f,
                "The directory is not complete: {kept} statements are kept and {found} were found again, of {vouched}. Fetch the others \
                 with --seen FOLDER, the folder of a client that was up to date."
            )
        }
    }
}

/// Says what cannot be known without a memory.
struct Forgetful<'a>(Option<&'a Path>);

impl Display for Forgetful<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(ring) = self.0 else {
            return Ok(());
        };
        writeln!(
            f,
            "The key ring's folder {} remembers nothing of this gateway, so an older copy of the data folder cannot be told from the \
             newest one. If the gateway has another, name it with `ring_dir` or SEALPOST__RING_DIR and run this again.",
            ring.display()
        )
    }
}

/// Counts in words.
struct Told<'a>(&'a Counts);

impl Display for Told<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            records,
            leaves,
            sealed,
            openings,
            receipts,
            statements,
        } = self.0;
        write!(
            f,
            "{records} records, {leaves} audit entries, {sealed} sealed transfers, {openings} openings, {receipts} receipts, \
             {statements} statements"
        )
    }
}
