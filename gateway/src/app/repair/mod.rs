//! `sealpost-gateway journal repair`: shows what a damaged or an old journal has lost, and goes on without it if the operator accepts
//! the loss (security.md 6.4, 9.2, 9.5).
//!
//! Order: everything is read and compared; the records before the damage are copied into a folder of their own; there the audit log
//! gets its successor and the directory what was found again; all release shares are destroyed, so that nothing that was released in
//! the lost range is released again uncounted; then the repaired journal takes the place of the damaged one in one step. A repair
//! that is interrupted is run again. What was damaged is kept aside, never deleted. A running gateway holds the folders' locks.

mod directory;
mod known;
mod report;

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::key::note::NoteError;
use sealpost_proto::log::{Checkpoint, Restart};
use thiserror::Error;

use self::known::Known;
pub use self::report::{Findings, Outcome};
use crate::clock::Clock;
use crate::config::Config;
use crate::domain::{Change, Effects, Key, restoring};
use crate::identity::{IdentityError, identity};
use crate::random::Random;
use crate::service::Identity;
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedHeads, EmbeddedLedger, EmbeddedShares, Remains, check_in_place, put_in_place};
use crate::store::folder::PrivateFolder;
use crate::store::ledger::Ledger;
use crate::store::open::OpenError;
use crate::store::share::{Day, ShareStore as _};
use crate::store::views::Views as _;

/// Statements in one record: each has at most 8 KiB, a record 256.
const STATEMENTS: usize = 16;
/// Lines written aside at once.
const LINES: usize = 4_096;

/// Why a repair was not done. Nothing was changed, unless a sentence says so.
#[derive(Debug, Error)]
pub enum RepairError {
    /// There is no gateway here.
    #[error(
        "the folder {folder} holds no journal and no keys of a gateway. `data_dir` of the file that --config names, or \
         SEALPOST__DATA_DIR, says that it is the data folder: name the right one there.", folder = .0.display()
    )]
    NoGateway(PathBuf),
    /// There is no gateway in the folder that is the default.
    #[error(
        "no data folder is named, neither in a file with --config nor by SEALPOST__DATA_DIR. So {folder} was looked at, and it \
         holds no journal and no keys of a gateway. Set SEALPOST__DATA_DIR and SEALPOST__RING_DIR to the folders of the gateway; where \
         systemd starts it, its unit sets them (docs/OPERATIONS.md, Repair).", folder = .0.display()
    )]
    NoneNamed(PathBuf),
    /// A folder or file cannot be used.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The gateway's keys cannot be read.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// A store failed.
    #[error("the repaired journal cannot be used: {0}. The damaged one is as it was.")]
    Store(#[from] StoreError),
    /// The journal and the memory are of different histories.
    #[error(
        "the journal does not continue what this gateway has vouched for in {0}. The data folder and the key ring's folder do not \
         belong together: put the right ones back."
    )]
    Forked(String),
    /// What a client has seen is not this gateway's.
    #[error("{file} is not what a client of this gateway has seen: {why}. Name the folder of a client that is enrolled here.", file = file.display())]
    Seen {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// Statements are missing, and going on without them would bring revoked keys back to life.
    #[error(
        "of the directory's {need} statements only {have} can be read here, and without the others people and devices that were \
         revoked would be trusted again. Fetch them from somebody whose client was up to date: copy that person's client folder here, \
         and name it with --seen FOLDER."
    )]
    Statements {
        /// Statements that can be read.
        have: u64,
        /// Statements that this gateway has vouched for.
        need: u64,
    },
    /// Statements do not follow the rules.
    #[error("the statements that were found again do not fit the journal. Restore the data folder from a backup.")]
    Unfit,
    /// The name of a log cannot stand in a checkpoint.
    #[error("the gateway's id cannot stand in a checkpoint: {0}")]
    Origin(#[from] NoteError),
    /// A file cannot be written.
    #[error("what is kept aside cannot be written: {0}. Make room and run it again; the damaged journal is as it was.")]
    Aside(#[from] io::Error),
}

/// What is to be repaired.
#[derive(Debug, Clone)]
pub struct Request {
    /// The data folder.
    pub data: PathBuf,
    /// The key ring's folder.
    pub ring: PathBuf,
    /// A client's folder, for what it has seen of both logs.
    pub seen: Option<PathBuf>,
    /// Whether the operator accepts the loss.
    pub accept_loss: bool,
}

/// Shows what is lost, and with [`Request::accept_loss`] goes on without it.
///
/// # Errors
/// [`RepairError`].
pub async fn run(request: &Request, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Result<Outcome, RepairError> {
    check_in_place(&request.data)?;
    let has = |name: &str| request.data.join(name).exists();
    if !has("journal") || !has("keys/gateway-id") {
        return Err(no_gateway(&request.data));
    }
    let data = PrivateFolder::open(&request.data)?;
    let ring = PrivateFolder::open(&request.ring)?;
    let identity = identity(&data.path().join("keys"), random.as_ref())?;
    let known = Known::gather(&EmbeddedHeads::open(&ring)?, &identity, request.seen.as_deref())?;
    let remains = Remains::read(&data, &known.watched())?;
    let mut findings = compare(&remains, &known, &identity)?;
    findings.forgetful = (!known.has_memory).then(|| request.ring.clone());
    if findings.is_whole() {
        return Ok(Outcome::Whole(findings));
    }
    if !request.accept_loss {
        return Ok(Outcome::Found(findings));
    }
    let again = directory::to_take_again(&remains, &known)?;
    let repair = Repair {
        data: &data,
        ring: &ring,
        identity: &identity,
        remains: &remains,
        clock,
        random,
    };
    let aside = repair.run(&findings, again).await?;
    Ok(Outcome::Repaired(findings, aside))
}

fn no_gateway(folder: &Path) -> RepairError {
    // Without a current folder the name alone has to do.
    let whole = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    if folder == Config::default().data_dir {
        return RepairError::NoneNamed(whole);
    }
    RepairError::NoGateway(whole)
}

/// What the journal has, against what was vouched for.
fn compare(remains: &Remains, known: &Known, identity: &Identity) -> Result<Findings, RepairError> {
    let (log, (size, root)) = (remains.place.log, remains.audit);
    let origin = |log| identity.gateway.audit_origin_of(log);
    let mut ended = Checkpoint {
        origin: origin(log),
        size,
        root,
    };
    let mut last_log = log;
    if let Some((vouched_log, vouched)) = known.audit.iter().max_by_key(|(log, head)| (*log, head.size)) {
        let is_behind = *vouched_log > log || (*vouched_log == log && vouched.size > size);
        if is_behind {
            (last_log, ended) = (*vouched_log, vouched.clone());
        }
    }
    for (vouched_log, vouched) in &known.audit {
        let here = remains.head_at(*vouched_log, vouched.size);
        if here.is_some_and(|here| here != vouched.root) {
            return Err(RepairError::Forked(vouched.origin.clone()));
        }
    }
    Ok(Findings {
        damage: remains.damage(),
        kept: remains.kept,
        behind: remains.behind,
        first_lost: remains.first_lost(),
        lost: remains.lost(),
        kept_of_ended: if last_log == log { size } else { 0 },
        successor: last_log + 1,
        successor_origin: origin(last_log + 1),
        ended,
        is_audit_behind: (last_log, known.size_of(last_log)) > (log, Some(size)),
        directory: directory::compare(remains, known),
        forgetful: None,
    })
}

/// A repair whose loss is accepted.
struct Repair<'a> {
    data: &'a PrivateFolder,
    ring: &'a PrivateFolder,
    identity: &'a Identity,
    remains: &'a Remains,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Repair<'_> {
    /// Does it, and returns the folder with what was damaged.
    async fn run(self, findings: &Findings, again: Vec<Change>) -> Result<PathBuf, RepairError> {
        let name = (self.clock.now_millis() / 1000).to_string();
        let repaired = self.remains.rebuild(self.data, &name)?;
        let checkpoint = findings.ended.sign(&self.identity.log_key)?.to_string();
        let restart = Restart {
            log: findings.successor,
            checkpoint,
            kept: findings.kept_of_ended,
            first: findings.first_lost,
            records: findings.lost,
        };
        let (clock, random) = (Arc::clone(&self.clock), Arc::clone(&self.random));
        let ledger = EmbeddedLedger::open(&repaired, "1", clock, random)?;
        self.keep_aside(&ledger, &restart, repaired.path()).await?;
        self.accept(&ledger, &restart, again).await?;
        // Ends the committer and gives up its lock.
        drop(ledger);
        let shares = EmbeddedShares::open(self.data, self.ring, Arc::clone(&self.random))?;
        shares.end_days_before(Day(u32::MAX), &BTreeSet::new()).await?;
        drop(shares);
        Ok(put_in_place(self.data, repaired, &name)?)
    }

    /// The first records of the successor: the loss, then what was found again of the organisation.
    async fn accept(&self, ledger: &EmbeddedLedger, restart: &Restart, again: Vec<Change>) -> Result<(), RepairError> {
        let mut organisation = ledger.organisation().await?.as_ref().clone();
        for change in &again {
            organisation.apply(change).map_err(|_| RepairError::Unfit)?;
        }
        let leaves = ledger.audit_head().await?.0;
        let gateway = &self.identity.gateway;
        commit(ledger, restoring::accept_loss(restart, leaves, gateway)).await?;
        for changes in again.chunks(STATEMENTS) {
            commit(ledger, restoring::take_again(changes.to_vec(), gateway)).await?;
        }
        Ok(())
    }

    /// Writes the log that ended as text, for who has to keep it: the API serves only its successor.
    async fn keep_aside(&self, ledger: &EmbeddedLedger, restart: &Restart, folder: &Path) -> Result<(), RepairError> {
        let place = self.remains.place;
        let mut file = fs::File::create_new(folder.join(format!("audit-{}.leaves", place.log)))?;
        let mut from = place.first_leaf;
        loop {
            let lines = ledger.audit_leaves(from, LINES).await?;
            if lines.is_empty() {
                break;
            }
            from += lines.len() as u64;
            write_lines(&mut file, &lines)?;
        }
        file.sync_all()?;
        fs::write(folder.join("audit.checkpoint"), &restart.checkpoint)?;
        if !self.remains.lines_behind.is_empty() {
            let mut file = fs::File::create_new(folder.join("audit-behind-the-damage.leaves"))?;
            write_lines(&mut file, &self.remains.lines_behind)?;
            file.sync_all()?;
        }
        Ok(())
    }
}

fn write_lines(file: &mut fs::File, lines: &[String]) -> io::Result<()> {
    let mut text = lines.join("\n");
    text.push('\n');
    file.write_all(text.as_bytes())
}

async fn commit(ledger: &EmbeddedLedger, effects: Effects) -> Result<(), StoreError> {
    let decide = move |_: &_, _| effects.clone();
    ledger.commit(vec![Key::Organisation], Box::new(decide)).await?;
    Ok(())
}
