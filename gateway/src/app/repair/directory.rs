//! The directory after a loss: it goes on as the same log, with every statement that was vouched for, or not at all. So no revocation is
//! undone, and what clients have seen stays true.

use sealpost_proto::log::Checkpoint;

use super::RepairError;
use super::known::{Known, head_of};
use crate::domain::Change;
use crate::store::embedded::Remains;

/// Whether the statements of the directory log are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Directory {
    /// Statements before the damage.
    pub kept: u64,
    /// Statements that were found again.
    pub found: u64,
    /// Statements that were vouched for, as far as that is known.
    pub vouched: u64,
    /// Whether kept and found ones are those that were vouched for.
    pub is_complete: bool,
}

/// Compares what is there with what was vouched for.
pub(super) fn compare(remains: &Remains, known: &Known) -> Directory {
    let complete = complete(remains, known);
    let kept = remains.statements.len() as u64;
    let all = complete.clone().unwrap_or_else(|| behind(remains));
    Directory {
        kept,
        found: (all.len() as u64).saturating_sub(kept),
        vouched: known.directory.iter().map(|head| head.size).max().unwrap_or_default(),
        is_complete: complete.is_some(),
    }
}

/// Changes of the organisation that the repaired journal has to take again.
pub(super) fn to_take_again(remains: &Remains, known: &Known) -> Result<Vec<Change>, RepairError> {
    let all = complete(remains, known).ok_or_else(|| RepairError::Statements {
        have: behind(remains).len() as u64,
        need: known.directory.iter().map(|head| head.size).max().unwrap_or_default(),
    })?;
    let others = remains.organisation_behind.iter();
    let (founding, others): (Vec<&Change>, Vec<&Change>) = others
        .filter(|change| !matches!(change, Change::StatementTaken { .. }))
        .partition(|change| matches!(change, Change::OrganisationFounded { .. }));
    let new = all.into_iter().skip(remains.statements.len());
    let statements = new.map(|text| Change::StatementTaken { text });
    let mut changes: Vec<Change> = founding.into_iter().cloned().collect();
    changes.extend(statements);
    changes.extend(others.into_iter().cloned());
    Ok(changes)
}

/// All statements of the directory log, if they are those that were vouched for: kept ones with those behind the damage, or those
/// that a client holds.
fn complete(remains: &Remains, known: &Known) -> Option<Vec<String>> {
    let continues = |all: &Vec<String>| all.starts_with(&remains.statements);
    let is_vouched = |all: &Vec<String>| known.directory.iter().all(|head| has_head(all, head));
    let candidates = [Some(behind(remains)), known.statements.clone()];
    let mut candidates = candidates.into_iter().flatten().filter(continues).filter(is_vouched);
    candidates.next()
}

/// Statements before the damage with those behind it.
fn behind(remains: &Remains) -> Vec<String> {
    let mut all = remains.statements.clone();
    for change in &remains.organisation_behind {
        if let Change::StatementTaken { text } = change {
            all.push(text.clone());
        }
    }
    all
}

fn has_head(all: &[String], head: &Checkpoint) -> bool {
    let size = usize::try_from(head.size).ok();
    let first = size.and_then(|size| all.get(..size));
    first.is_some_and(|first| head_of(first) == Some(head.root))
}
