//! The staging folder: beside the target, open to its owner alone, and gone whatever happens.
//!
//! No plaintext leaves it before the whole transfer has been verified; then every file gets its name without replacing anything.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sealpost_proto::id::TransferId;
use sealpost_sealed::FileEntry;

use crate::error::Error;
use crate::{names, platform};

/// Tries at a free name before giving up.
const MAX_NUMBER: u32 = 10_000;

/// Files of one transfer that are not verified yet, under their numbers.
#[derive(Debug)]
pub(super) struct Staging {
    target: PathBuf,
    folder: PathBuf,
    /// Held as long as this process uses the folder; free again after a crash.
    lock: Option<File>,
    open: Option<(usize, File)>,
}

impl Staging {
    /// Makes the folder; takes over one that a crash left behind.
    pub(super) fn create(target: &Path, transfer: &TransferId) -> Result<Self, Error> {
        let folder = target.join(format!(".sealpost-{transfer}"));
        let failed = |error| Error::file("make the staging folder", &folder, error);
        fs::create_dir_all(target).map_err(|error| Error::file("make the folder", target, error))?;
        platform::own_private_dir(&folder).map_err(failed)?;
        let lock_path = folder.join("lock");
        let lock = platform::open_private(&lock_path).map_err(failed)?;
        if lock.try_lock().is_err() {
            return Err(Error::Input(format!(
                "Another process is receiving transfer {transfer} into the same folder; wait until it has finished."
            )));
        }
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path != lock_path {
                fs::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(Self {
            target: target.to_owned(),
            folder,
            lock: Some(lock),
            open: None,
        })
    }

    /// Appends plaintext to the file with this number.
    pub(super) fn write(&mut self, number: usize, plaintext: &[u8]) -> Result<(), Error> {
        let path = self.path(number);
        let failed = |error| Error::file("write", &path, error);
        let file = match &mut self.open {
            Some((open, file)) if *open == number => file,
            _ => {
                let file = platform::create_private(&path).map_err(failed)?;
                &mut self.open.insert((number, file)).1
            }
        };
        file.write_all(plaintext).map_err(failed)
    }

    fn path(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Makes everything durable and gives every file its name. Only for a transfer that has been verified whole.
    pub(super) fn place(mut self, files: &[FileEntry]) -> Result<Vec<PathBuf>, Error> {
        self.open = None;
        for (number, entry) in files.iter().enumerate() {
            self.finish_file(number, entry)?;
        }
        let staged = (0..files.len()).map(|number| self.path(number)).collect::<Vec<_>>();
        platform::sync_files(&self.folder, &staged).map_err(|error| Error::file("write", &self.folder, error))?;
        let mut placed = Vec::with_capacity(files.len());
        for (from, entry) in staged.iter().zip(files) {
            placed.push(self.place_one(from, &names::for_saving(&entry.name))?);
        }
        platform::sync_dir(&self.target).map_err(|error| Error::file("write", &self.target, error))?;
        Ok(placed)
    }

    /// Creates an empty file, for which nothing was ever written, and sets the time of the last change.
    fn finish_file(&self, number: usize, entry: &FileEntry) -> Result<(), Error> {
        let path = self.path(number);
        let failed = |error| Error::file("write", &path, error);
        let file = if entry.len == 0 {
            platform::create_private(&path).map_err(failed)?
        } else {
            File::options().append(true).open(&path).map_err(failed)?
        };
        let mtime = entry.mtime.and_then(|seconds| u64::try_from(seconds).ok());
        if let Some(time) = mtime.and_then(|mtime| UNIX_EPOCH.checked_add(Duration::from_secs(mtime))) {
            // A time that this file system cannot hold is no reason to refuse the file.
            let _ = file.set_modified(time);
        }
        Ok(())
    }

    fn place_one(&self, from: &Path, name: &str) -> Result<PathBuf, Error> {
        for number in 1..MAX_NUMBER {
            let to = self.target.join(names::numbered(name, number));
            match platform::rename_new(from, &to) {
                Ok(()) => return Ok(to),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(Error::file("write", &to, error)),
            }
        }
        let taken = self.target.join(name);
        Err(Error::file(
            "find a free name for",
            &taken,
            io::ErrorKind::AlreadyExists.into(),
        ))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        self.open = None;
        self.lock = None;
        // What cannot be removed now is removed when the same transfer is received again.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_proto::id::Hash;

    fn entry(name: &str, len: u64) -> FileEntry {
        FileEntry {
            name: name.to_owned(),
            mime: String::new(),
            off: 0,
            len,
            blake3: Hash::from_bytes([0; 32]),
            sha256: None,
            mtime: Some(1_000_000),
        }
    }

    const ID: TransferId = TransferId::from_bytes([7; 16]);

    fn names_in(dir: &Path) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(dir)
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn nothing_is_replaced_and_nothing_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.txt"), "mine").unwrap();
        let mut staging = Staging::create(dir.path(), &ID).unwrap();
        staging.write(0, b"the").unwrap();
        staging.write(0, b"irs").unwrap();
        staging.write(1, b"hidden").unwrap();
        let files = [entry("a.txt", 6), entry(".profile", 6), entry("empty", 0)];
        let placed = staging.place(&files).unwrap();
        assert_eq!(names_in(dir.path()), ["_.profile", "a (2).txt", "a.txt", "empty"]);
        assert_eq!(fs::read(dir.path().join("a.txt")).unwrap(), b"mine");
        assert_eq!(fs::read(&placed[0]).unwrap(), b"theirs");
        let modified = fs::metadata(&placed[0]).unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1_000_000));
    }

    #[test]
    fn what_was_not_placed_disappears() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::create(dir.path(), &ID).unwrap();
        staging.write(0, b"secret").unwrap();
        drop(staging);
        assert!(names_in(dir.path()).is_empty());
    }

    #[test]
    fn takes_over_after_a_crash_but_not_from_the_living() {
        let dir = tempfile::tempdir().unwrap();
        let crashed = dir.path().join(format!(".sealpost-{ID}"));
        platform::own_private_dir(&crashed).unwrap();
        fs::write(crashed.join("0"), "old plaintext").unwrap();
        let mut staging = Staging::create(dir.path(), &ID).unwrap();
        assert!(Staging::create(dir.path(), &ID).is_err(), "the first one is alive");
        staging.write(0, b"new").unwrap();
        let placed = staging.place(&[entry("f", 3)]).unwrap();
        assert_eq!(fs::read(&placed[0]).unwrap(), b"new");
    }

    #[test]
    #[cfg(unix)]
    fn staging_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::create(dir.path(), &ID).unwrap();
        staging.write(0, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&staging.folder), 0o700);
        assert_eq!(mode(&staging.path(0)), 0o600);
    }
}
