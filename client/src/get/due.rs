//! Until when what is kept of a visit can be of use: `due/<name>.json`, in clear, because whoever clears up does not know the words under
//! which the rest is sealed.
//!
//! It says the time, the transfer's id, and in which folders a staging folder of that id may lie: what is on the disk for everybody to
//! see who can read it. Nothing else may stand there.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_proto::encoding::Base64;
use sealpost_proto::id::TransferId;
use sealpost_proto::sealed::MAX_LIFETIME;
use serde::{Deserialize, Serialize};

use super::VISITS;
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::platform;
use crate::receive::{is_staged, remove_unopened};
use crate::resume::expiry::is_past;

const DUE: &str = "due";
const MAX_LEN: u64 = 1 << 20;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Due {
    /// Unix seconds.
    expires_at: u64,
    transfer: Option<TransferId>,
    /// Folders into which it was to be saved.
    targets: Vec<Base64>,
}

/// The file of one visit.
pub(super) struct DueFile(PathBuf);

impl DueFile {
    pub(super) fn of(state: &State, name: &str) -> Self {
        Self(state.path(DUE, name).with_extension("json"))
    }

    /// Before the gateway has said which transfer it is: none lives longer than this.
    pub(super) fn begin(&self, now: u64) -> Result<(), Error> {
        match self.read()? {
            // An opening that lapsed may have left something staged.
            Some(_) => Ok(()),
            None => self.write(&Due {
                expires_at: now.saturating_add(MAX_LIFETIME),
                ..Due::default()
            }),
        }
    }

    /// Notes which transfer it is, before anything of it is staged in `target`.
    pub(super) fn note(&self, expires_at: u64, transfer: TransferId, target: Option<&Path>) -> Result<(), Error> {
        let mut due = self.read()?.unwrap_or_default();
        (due.expires_at, due.transfer) = (expires_at, Some(transfer));
        let target = target.and_then(|target| std::path::absolute(target).ok());
        let target = target.and_then(|target| platform::path_bytes(&target)).map(Base64);
        due.targets
            .extend(target.filter(|target| !due.targets.contains(target)));
        self.write(&due)
    }

    /// Nothing is left to clear up.
    pub(super) fn remove(&self) -> Result<(), Error> {
        remove_file(&self.0)
    }

    fn read(&self) -> Result<Option<Due>, Error> {
        match platform::read_limited(&self.0, MAX_LEN) {
            // One that cannot be read is written anew.
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::file("read", &self.0, error)),
        }
    }

    fn write(&self, due: &Due) -> Result<(), Error> {
        let bytes = serde_json::to_vec(due).map_err(|_| Error::State)?;
        let folder = self.0.parent().map_or(Ok(()), platform::create_private_dir);
        folder
            .and_then(|()| platform::write_private(&self.0, &bytes))
            .map_err(|error| Error::file("write", &self.0, error))
    }

    /// Removes what is kept of the visit, and this file last.
    fn clear(&self, folder: &Path, due: &Due) -> Result<(), Error> {
        let name = self.0.file_stem().and_then(|name| name.to_str()).unwrap_or_default();
        let targets: Vec<PathBuf> = due
            .targets
            .iter()
            .filter_map(|bytes| platform::path_of(&bytes.0))
            .collect();
        remove_unopened(folder, name, due.transfer.as_ref(), &targets)?;
        remove_file(&folder.join(VISITS).join(format!("{name}.spk")))?;
        self.remove()
    }
}

fn remove_file(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", path, error)),
        _ => Ok(()),
    }
}

/// Removes what is kept in a visitor's folder of links whose transfer has expired, and the plaintext that is staged of them. Returns how
/// many. What another process works on, or cannot be removed, stays for the next time. A receipt is not lost by it: of an expired
/// link the gateway takes none any more.
#[must_use]
pub fn remove_expired(folder: &Path, env: &Env) -> usize {
    let entries = fs::read_dir(folder.join(DUE)).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path());
    let files = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    let is_removed = |file: &DueFile| match file.read() {
        Ok(Some(due)) if is_past(due.expires_at, env.now()) => file.clear(folder, &due).is_ok(),
        _ => false,
    };
    files.map(DueFile).filter(is_removed).count()
}

/// Forgets the file of a visit of which nothing is staged any more.
pub(super) fn forget(state: &State, name: &str) -> Result<(), Error> {
    if is_staged(state, name) {
        return Ok(());
    }
    DueFile::of(state, name).remove()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use sealpost_proto::enrolment::Secret;
    use sealpost_proto::id::{Hash, OpeningId};
    use sealpost_proto::sealed::EXPIRY_GRACE;

    use super::*;
    use crate::env::{Clock, SystemRandom};
    use crate::receive::Options;
    use crate::receive::state::{self, Receiving, ReceivingHead};

    const EXPIRY: u64 = 1_800_000_000;
    const ID: TransferId = TransferId::from_bytes([7; 16]);

    #[derive(Debug)]
    struct At(u64);

    impl Clock for At {
        fn now(&self) -> u64 {
            self.0
        }
    }

    fn at(now: u64) -> Env {
        Env::new(Arc::new(At(now)), Arc::new(SystemRandom))
    }

    fn begin(state: &State, target: &Path) -> Receiving {
        let options = Options {
            target: target.to_owned(),
            again: false,
            keep_sealed: None,
        };
        let (hh, opening) = (Hash::from_bytes([8; 32]), OpeningId::from_bytes([9; 16]));
        let head = ReceivingHead::new(ID, hh, opening, &options, EXPIRY - 10, EXPIRY).unwrap();
        state::begin(state, &Env::system(), "name", head).unwrap()
    }

    fn files(folder: &Path) -> usize {
        ["due", "visits", "receiving"]
            .iter()
            .flat_map(|kind| fs::read_dir(folder.join(kind)).into_iter().flatten())
            .count()
    }

    #[test]
    fn what_nobody_can_open_goes_when_it_has_expired_and_no_sooner() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, target) = (dir.path().join("state"), dir.path().join("target"));
        let state = State::at(&folder, Secret::from_bytes([1; 32]));
        let due = DueFile::of(&state, "name");
        due.begin(EXPIRY - 10).unwrap();
        state.put(VISITS, "name", &"key and opening", &Env::system()).unwrap();
        due.note(EXPIRY, ID, Some(&target)).unwrap();
        due.note(EXPIRY, ID, Some(&target)).unwrap();
        let receiving = begin(&state, &target);
        let staging = target.join(format!(".sealpost-{ID}"));
        fs::create_dir(&target).unwrap();
        platform::own_private_dir(&staging).unwrap();
        fs::write(staging.join("0"), "plaintext").unwrap();
        fs::write(target.join("letter.txt"), "delivered").unwrap();

        assert_eq!(
            (remove_expired(&folder, &at(EXPIRY + EXPIRY_GRACE)), files(&folder)),
            (0, 4)
        );
        let later = at(EXPIRY + EXPIRY_GRACE + 1);
        assert_eq!(remove_expired(&folder, &later), 0, "a process is working on it");
        assert_eq!(files(&folder), 4);
        drop(receiving);
        assert_eq!((remove_expired(&folder, &later), files(&folder)), (1, 0));
        assert!(!staging.exists(), "no plaintext is staged");
        assert!(target.join("letter.txt").exists());
        assert_eq!(remove_expired(&folder, &later), 0);
    }

    #[test]
    fn a_visit_of_which_nothing_is_known_goes_after_the_longest_life() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path(), Secret::from_bytes([1; 32]));
        let due = DueFile::of(&state, "name");
        due.begin(5).unwrap();
        due.begin(50).unwrap();
        let latest = 5 + MAX_LIFETIME + EXPIRY_GRACE;
        assert_eq!(remove_expired(dir.path(), &at(latest)), 0);
        assert_eq!(remove_expired(dir.path(), &at(latest + 1)), 1);
    }

    #[test]
    fn the_time_is_forgotten_with_the_visit_but_not_while_something_is_staged() {
        let dir = tempfile::tempdir().unwrap();
        let state = State::at(dir.path(), Secret::from_bytes([1; 32]));
        let due = DueFile::of(&state, "name");
        let receiving = begin(&state, dir.path());
        due.note(EXPIRY, ID, Some(dir.path())).unwrap();
        forget(&state, "name").unwrap();
        assert!(due.read().unwrap().is_some());
        due.begin(5).unwrap();
        assert_eq!(due.read().unwrap().unwrap().expires_at, EXPIRY, "it is known already");
        receiving.remove().unwrap();
        forget(&state, "name").unwrap();
        assert!(due.read().unwrap().is_none());
    }
}
