//! Rows and ring together: what is put, taken and destroyed, and in which order that becomes durable.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::crypto::constant_time_eq;

use super::ring::{Generation, Ring};
use super::rows::{Row, Rows};
use super::wrap::{ShareId, unwrap, wrap};
use crate::random::Random;
use crate::store::StoreError;
use crate::store::embedded::journal::FileIo;
use crate::store::open::OpenError;
use crate::store::share::{Day, Share, ShareRef};

const EXTENSION: &str = "shares";

/// All shares of this gateway.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
    days: BTreeMap<Day, Rows>,
    ring: Ring,
    random: Arc<dyn Random>,
    io: Arc<dyn FileIo>,
    /// A write or sync failed: what is on the disk is not known any more until the next start.
    failed: bool,
}

impl Kept {
    pub(super) fn open(
        folder: &Path,
        ring: &Path,
        random: Arc<dyn Random>,
        io: Arc<dyn FileIo>,
    ) -> Result<Self, OpenError> {
        let mut days = BTreeMap::new();
        for (day, path) in list_days(folder).map_err(OpenError::io(folder, "listed"))? {
            days.insert(day, Rows::open(&path, &io)?);
        }
        let mut kept = Self {
            folder: folder.to_owned(),
            days,
            ring: Ring::open(ring, Arc::clone(&random), &io)?,
            random,
            io,
            failed: false,
        };
        for day in kept.ring.days() {
            kept.finish_replacement(day)
                .map_err(OpenError::io(folder, "brought under its newest key"))?;
        }
        Ok(kept)
    }

    /// Runs `work`, unless an earlier one failed half-way. What a full disk refuses it has left undone, and it can be tried again when
    /// there is room.
    pub(super) fn run<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.failed {
            let why = "an earlier write to the shares failed; the gateway has to be started again";
            return Err(StoreError::Unavailable(io::Error::other(why)));
        }
        let done = work(self);
        self.failed = matches!(&done, Err(error @ StoreError::Unavailable(_)) if !error.is_full());
        done
    }

    /// Whether nothing is done any more until the next start.
    pub(super) fn has_failed(&self) -> bool {
        self.failed
    }

    pub(super) fn put(&mut self, share: &ShareRef, value: &Share) -> Result<(), StoreError> {
        match self.get(share) {
            Ok(known) if constant_time_eq(&*known, &**value) => return Ok(()),
            Ok(_) => return Err(StoreError::Conflict),
            Err(StoreError::Unavailable(error)) => return Err(StoreError::Unavailable(error)),
            // One that cannot be opened any more is replaced.
            Err(StoreError::Corrupt(_) | StoreError::NotFound | StoreError::Conflict) => self.destroy(share)?,
        }
        self.insert(share, value).map_err(StoreError::Unavailable)
    }

    fn insert(&mut self, share: &ShareRef, value: &Share) -> io::Result<()> {
        let day = share.day;
        if !self.days.contains_key(&day) {
            let rows = Rows::open(&path_of(&self.folder, day), &self.io).map_err(cause_of)?;
            self.days.insert(day, rows);
        }
        let rows = self.days.get_mut(&day).ok_or(io::ErrorKind::NotFound)?;
        if self.ring.newest(day).is_none() {
            // Above what rows of a lost ring were wrapped under: those must not be taken for ours.
            self.ring.add(day, next_generation(rows.latest_generation())?)?;
        }
        let (generation, key) = self.ring.newest(day).ok_or(io::ErrorKind::NotFound)?;
        let id = id_of(share);
        let wrapped = wrap(key, &id, value, &*self.random)?;
        rows.insert(&Row {
            id,
            generation,
            wrapped,
        })
    }

    pub(super) fn get(&self, share: &ShareRef) -> Result<Share, StoreError> {
        let id = id_of(share);
        let rows = self.days.get(&share.day).ok_or(StoreError::NotFound)?;
        let row = rows
            .get(&id)
            .map_err(StoreError::Unavailable)?
            .ok_or(StoreError::NotFound)?;
        // Without its key a row is as good as destroyed.
        let key = self.ring.key(share.day, row.generation).ok_or(StoreError::NotFound)?;
        unwrap(key, &id, &row.wrapped)
            .ok_or_else(|| StoreError::Corrupt("a release share cannot be unwrapped".to_owned()))
    }

    pub(super) fn destroy(&mut self, share: &ShareRef) -> Result<(), StoreError> {
        match self.days.get_mut(&share.day) {
            Some(rows) => rows.remove(&id_of(share)).map_err(StoreError::Unavailable),
            None => Ok(()),
        }
    }

    pub(super) fn end_days_before(&mut self, day: Day, except: &BTreeSet<Day>) -> Result<(), StoreError> {
        self.end_days(|ended| ended < day && !except.contains(&ended))
            .map_err(StoreError::Unavailable)
    }

    /// Keys first: without them the rows are noise, whatever happens next.
    fn end_days(&mut self, has_ended: impl Fn(Day) -> bool) -> io::Result<()> {
        for day in self.ring.days().into_iter().filter(|day| has_ended(*day)) {
            self.ring.destroy_day(day)?;
        }
        while let Some((day, rows)) = self.days.iter().find(|(day, _)| has_ended(**day)) {
            let day = *day;
            rows.remove_all()?;
            self.days.remove(&day);
        }
        Ok(())
    }

    /// A key that a full disk left unfinished is finished first, so that there are never more than two; what was put under it since
    /// may have been destroyed again, so it is replaced all the same.
    pub(super) fn replace_key(&mut self, day: Day) -> Result<(), StoreError> {
        let mut replace = || {
            self.finish_replacement(day)?;
            let Some((generation, _)) = self.ring.newest(day) else {
                return Ok(());
            };
            self.ring.add(day, next_generation(Some(generation))?)?;
            self.finish_replacement(day)
        };
        replace().map_err(StoreError::Unavailable)
    }

    /// Brings all rows of a day under its newest key, and destroys the keys before it. Does nothing when there is one key.
    fn finish_replacement(&mut self, day: Day) -> io::Result<()> {
        let Some((newest, key)) = self.ring.newest(day) else {
            return Ok(());
        };
        if let Some(rows) = self.days.get_mut(&day) {
            let mut anew = Vec::new();
            let by_generation = rows.by_generation().into_iter();
            let older = by_generation.filter(|(generation, _)| *generation != newest);
            for id in older.flat_map(|(_, ids)| ids) {
                let row = match rows.get(&id) {
                    // What its slot holds is no row any more; a disk that fails is another thing, and destroys nothing.
                    Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
                    row => row?,
                };
                let old = |row: Row| unwrap(self.ring.key(day, row.generation)?, &id, &row.wrapped);
                let Some(share) = row.and_then(old) else {
                    tracing::warn!(transfer = %id.transfer, "removing a release share that cannot be unwrapped");
                    rows.remove(&id)?;
                    continue;
                };
                let wrapped = wrap(key, &id, &share, &*self.random)?;
                anew.push(Row {
                    id,
                    generation: newest,
                    wrapped,
                });
            }
            rows.replace_all(&anew)?;
        }
        self.ring.destroy_below(day, newest)
    }

    /// Shares that no key opens. The first row of each key speaks for the others, unless it fails.
    pub(super) fn unusable(&self) -> io::Result<Vec<ShareRef>> {
        let mut unusable = Vec::new();
        for (day, rows) in &self.days {
            for (generation, ids) in rows.by_generation() {
                let opens = |id: &ShareId| -> io::Result<bool> {
                    let row = match rows.get(id) {
                        Err(error) if error.kind() == io::ErrorKind::InvalidData => None,
                        row => row?,
                    };
                    let opened = row.and_then(|row| unwrap(self.ring.key(*day, generation)?, id, &row.wrapped));
                    Ok(opened.is_some())
                };
                let first = ids.first().map(opens).transpose()?;
                if first == Some(true) {
                    continue;
                }
                for id in &ids {
                    if !opens(id)? {
                        unusable.push(share_of(*day, id));
                    }
                }
            }
        }
        Ok(unusable)
    }

    pub(super) fn list(&self) -> Vec<ShareRef> {
        let of_day =
            |(day, rows): (&Day, &'_ Rows)| -> Vec<ShareRef> { rows.ids().map(|id| share_of(*day, id)).collect() };
        self.days.iter().flat_map(of_day).collect()
    }
}

fn next_generation(latest: Option<Generation>) -> io::Result<Generation> {
    let next = latest.unwrap_or(0).checked_add(1);
    next.ok_or_else(|| io::Error::other("the key of this day was replaced too often"))
}

/// Why a file could not be opened, where that was the system's doing.
fn cause_of(error: OpenError) -> io::Error {
    match error {
        OpenError::Io { source, .. } => source,
        other => io::Error::other(other),
    }
}

fn id_of(share: &ShareRef) -> ShareId {
    ShareId {
        transfer: share.transfer,
        commit: share.commit,
    }
}

fn share_of(day: Day, id: &ShareId) -> ShareRef {
    ShareRef {
        transfer: id.transfer,
        commit: id.commit,
        day,
    }
}

fn path_of(folder: &Path, day: Day) -> PathBuf {
    folder.join(format!("{:010}.{EXTENSION}", day.0))
}

fn list_days(folder: &Path) -> io::Result<Vec<(Day, PathBuf)>> {
    let mut days = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let stem = path.file_stem().and_then(|stem| stem.to_str());
        let day = stem.and_then(|stem| stem.parse().ok()).map(Day);
        if let Some(day) = day.filter(|day| path == path_of(folder, *day)) {
            days.push((day, path));
        }
    }
    Ok(days)
}

#[cfg(test)]
impl Kept {
    /// The first step of a replacement, as if the power had gone after it.
    pub(super) fn add_key_for_test(&mut self, day: Day) {
        let (generation, _) = self.ring.newest(day).unwrap();
        self.ring.add(day, generation + 1).unwrap();
    }
}
