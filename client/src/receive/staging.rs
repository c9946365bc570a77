//! The staging folder: beside the target, and open to its owner alone.
//!
//! No plaintext leaves it before the whole transfer has been verified; then every file gets its name without replacing anything. It
//! stays after an interruption only where somebody keeps a journal of it; what is taken from it then is hashed before it counts.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use sealpost_proto::id::{Hash, TransferId};
use sealpost_proto::sealed::{PART_SEGMENTS, PayloadLayout, SEGMENT_LEN};
use sealpost_sealed::{FileDigests, FileEntry, FileHasher, Manifest, Unpacker};
use zeroize::Zeroizing;

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
    /// Stays when it is dropped before its files have their names.
    is_kept: bool,
    /// A file that was there in part when staging was resumed.
    partial: Option<usize>,
    /// The target folder was made for this transfer: it goes again if nothing comes to lie in it.
    is_target_new: bool,
}

impl Staging {
    /// Makes the folder, or takes over one that a crash left behind: with what it holds if `is_kept`, which has to be
    /// [restored](Self::restore), else emptied.
    pub(super) fn create(target: &Path, transfer: &TransferId, is_kept: bool) -> Result<Self, Error> {
        let folder = folder_of(target, transfer);
        let failed = |error| Error::file("make the staging folder", &folder, error);
        let is_target_new = !target.exists();
        // The names of what comes to lie in it are nobody else's business.
        platform::create_private_dir(target).map_err(|error| Error::file("make the folder", target, error))?;
        platform::own_private_dir(&folder).map_err(failed)?;
        let lock_path = folder.join(LOCK);
        let lock = platform::open_private(&lock_path).map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Input(format!(
                    "Another process is receiving transfer {transfer} into the same folder; wait until it has finished."
                )));
            }
            Err(TryLockError::Error(error)) => return Err(Error::file("lock", &lock_path, error)),
        }
        let staging = Self {
            target: target.to_owned(),
            folder,
            lock: Some(lock),
            open: None,
            is_kept,
            partial: None,
            is_target_new,
        };
        if !is_kept {
            staging.remove_from(0)?;
        }
        Ok(staging)
    }

    /// The folder itself.
    pub(super) fn folder(&self) -> PathBuf {
        self.folder.clone()
    }

    /// Removes all files from this number on.
    fn remove_from(&self, first: usize) -> Result<(), Error> {
        let failed = |error| Error::file("clear the staging folder", &self.folder, error);
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let name = entry.file_name();
            let is_before = |name: &str| name.parse::<usize>().is_ok_and(|number| number < first);
            if name != LOCK && !name.to_str().is_some_and(is_before) {
                fs::remove_file(entry.path()).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Reads what is staged, as far as it is what was staged, into `unpacker`; cuts off the rest. Returns the first part that is
    /// missing.
    pub(super) fn restore(
        &mut self,
        manifest: &Manifest,
        layout: &PayloadLayout,
        parts: &[Hash],
        unpacker: &mut Unpacker<'_>,
    ) -> Result<u64, Error> {
        let part_len = PART_SEGMENTS * SEGMENT_LEN as u64;
        let mut stream = StagedStream::new(self, manifest);
        let mut first = 0;
        for (number, expected) in (0..layout.parts()).zip(parts) {
            let len: usize = layout.part_segments(number).filter_map(|i| layout.segment_len(i)).sum();
            let mut tried = unpacker.clone();
            let Some(plaintext) = stream.next_part(len) else {
                break;
            };
            if tried.push(&plaintext, |_, _| Ok::<(), Error>(())).is_err() || tried.mark() != *expected {
                break;
            }
            *unpacker = tried;
            first = number + 1;
        }
        let staged = (first * part_len).min(manifest.total());
        self.cut_off(manifest, staged)?;
        Ok(first)
    }

    /// Leaves exactly the first `staged` bytes of the plaintext.
    fn cut_off(&mut self, manifest: &Manifest, staged: u64) -> Result<(), Error> {
        let mut files = manifest.files.iter().enumerate();
        let current = files.rfind(|(_, entry)| entry.len > 0 && entry.off < staged);
        let Some((number, entry)) = current else {
            return self.remove_from(0);
        };
        self.remove_from(number + 1)?;
        let path = self.path(number);
        let failed = |error| Error::file("write", &path, error);
        let file = File::options().append(true).open(&path).map_err(failed)?;
        file.set_len(staged - entry.off).map_err(failed)?;
        self.partial = (staged - entry.off < entry.len).then_some(number);
        Ok(())
    }

    /// Appends plaintext to the file with this number.
    pub(super) fn write(&mut self, number: usize, plaintext: &[u8]) -> Result<(), Error> {
        let path = self.path(number);
        let failed = |error| Error::file("write", &path, error);
        let file = match &mut self.open {
            Some((open, file)) if *open == number => file,
            _ => {
                let file = match self.partial.take_if(|partial| *partial == number) {
                    Some(_) => File::options().append(true).open(&path),
                    None => platform::create_private(&path),
                };
                &mut self.open.insert((number, file.map_err(failed)?)).1
            }
        };
        file.write_all(plaintext).map_err(failed)
    }

    /// The file with this number.
    pub(super) fn path(&self, number: usize) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Makes everything durable. Only for a transfer that has been verified whole.
    pub(super) fn finish(&mut self, files: &[FileEntry]) -> Result<(), Error> {
        self.open = None;
        for (number, entry) in files.iter().enumerate() {
            self.finish_file(number, entry)?;
        }
        let staged = (0..files.len()).map(|number| self.path(number)).collect::<Vec<_>>();
        platform::sync_files(&self.folder, &staged).map_err(|error| Error::file("write", &self.folder, error))
    }

    /// Free names in the target folder for all files. A name of `earlier` under which a file lies already is that file's.
    pub(super) fn names(&self, files: &[FileEntry], earlier: Option<&[String]>) -> Vec<String> {
        let mut taken = HashSet::new();
        let mut names = Vec::with_capacity(files.len());
        for (number, entry) in files.iter().enumerate() {
            let before = earlier.and_then(|names| names.get(number));
            let before = before.filter(|name| is_file(&self.target.join(name), entry));
            let name = before.cloned().unwrap_or_else(|| self.free_name(entry, &taken));
            taken.insert(name.clone());
            names.push(name);
        }
        names
    }

    fn free_name(&self, entry: &FileEntry, taken: &HashSet<String>) -> String {
        let name = names::for_saving(&entry.name);
        let is_free = |name: &String| !taken.contains(name) && fs::symlink_metadata(self.target.join(name)).is_err();
        let mut numbered = (1..MAX_NUMBER).map(|number| names::numbered(&name, number));
        // When none is free, placing says so.
        numbered.find(is_free).unwrap_or(name)
    }

    /// Gives every file its name, as far as it does not have it. Then the folder is of no use any more.
    pub(super) fn place(mut self, files: &[FileEntry], names: &[String]) -> Result<Vec<PathBuf>, Error> {
        let mut placed = Vec::with_capacity(files.len());
        for (number, (entry, name)) in files.iter().zip(names).enumerate() {
            let (from, to) = (self.path(number), self.target.join(name));
            placed.push(if is_file(&to, entry) {
                to
            } else {
                self.place_one(&from, &to, &names::for_saving(&entry.name))?
            });
        }
        platform::sync_dir(&self.target).map_err(|error| Error::file("write", &self.target, error))?;
        self.is_kept = false;
        Ok(placed)
    }

    /// The transfer is refused: nothing of it stays.
    pub(super) fn discard(&mut self) {
        self.is_kept = false;
    }

    /// Creates an empty file, for which nothing was ever written, and sets the time of the last change.
    fn finish_file(&self, number: usize, entry: &FileEntry) -> Result<(), Error> {
        let path = self.path(number);
        let failed = |error| Error::file("write", &path, error);
        let file = if entry.len == 0 {
            platform::open_private(&path).map_err(failed)?
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

    /// Under `planned`, or where that has been taken since under the next free name.
    fn place_one(&self, from: &Path, planned: &Path, name: &str) -> Result<PathBuf, Error> {
        let numbered = (1..MAX_NUMBER).map(|number| self.target.join(names::numbered(name, number)));
        for to in std::iter::once(planned.to_owned()).chain(numbered) {
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
        let is_empty = || fs::read_dir(&self.folder).is_ok_and(|entries| entries.count() <= 1);
        if !self.is_kept || is_empty() {
            // What cannot be removed now is removed when the same transfer is received again.
            let _ = fs::remove_dir_all(&self.folder);
        }
        if self.is_target_new {
            // Fails for one that holds something.
            let _ = fs::remove_dir(&self.target);
        }
    }
}

const LOCK: &str = "lock";

pub(super) fn folder_of(target: &Path, transfer: &TransferId) -> PathBuf {
    target.join(format!(".sealpost-{transfer}"))
}

/// Removes what an interrupted receive left in a target folder, if anything.
pub(super) fn remove(target: &Path, transfer: &TransferId) -> Result<(), Error> {
    if folder_of(target, transfer).exists() {
        drop(Staging::create(target, transfer, false)?);
    }
    Ok(())
}

/// Whether a regular file is the sender's: its length and its digests.
fn is_file(path: &Path, entry: &FileEntry) -> bool {
    let is_candidate = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == entry.len);
    is_candidate && digests(path, entry.sha256.is_some()).is_ok_and(|digests| digests == entry.digests())
}

fn digests(path: &Path, with_sha256: bool) -> io::Result<FileDigests> {
    let mut file = File::open(path)?;
    let mut hasher = FileHasher::new(with_sha256);
    let mut buffer = Zeroizing::new(vec![0; SEGMENT_LEN]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

/// The plaintext of the staged files, one after the other.
struct StagedStream<'a> {
    staging: &'a Staging,
    files: std::iter::Enumerate<std::slice::Iter<'a, FileEntry>>,
    current: Option<(u64, File)>,
}

impl<'a> StagedStream<'a> {
    fn new(staging: &'a Staging, manifest: &'a Manifest) -> Self {
        Self {
            staging,
            files: manifest.files.iter().enumerate(),
            current: None,
        }
    }

    /// The plaintext of the next part with its padding; none if it is not there.
    fn next_part(&mut self, len: usize) -> Option<Zeroizing<Vec<u8>>> {
        let mut plaintext = Zeroizing::new(vec![0; len]);
        self.read(&mut plaintext)?;
        Some(plaintext)
    }

    /// Fills the front of `buffer` with what the files hold; none if one of them is too short or cannot be read.
    fn read(&mut self, buffer: &mut [u8]) -> Option<()> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            let Some((left, file)) = &mut self.current else {
                let Some((number, entry)) = self.files.find(|(_, entry)| entry.len > 0) else {
                    break;
                };
                self.current = Some((entry.len, File::open(self.staging.path(number)).ok()?));
                continue;
            };
            let wanted = usize::try_from(*left).unwrap_or(usize::MAX).min(rest.len());
            file.read_exact(rest.get_mut(..wanted)?).ok()?;
            filled += wanted;
            *left -= wanted as u64;
            if *left == 0 {
                self.current = None;
            }
        }
        Some(())
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
        let mut staging = Staging::create(dir.path(), &ID, false).unwrap();
        staging.write(0, b"the").unwrap();
        staging.write(0, b"irs").unwrap();
        staging.write(1, b"hidden").unwrap();
        let files = [entry("a.txt", 6), entry(".profile", 6), entry("empty", 0)];
        staging.finish(&files).unwrap();
        let names = staging.names(&files, None);
        let placed = staging.place(&files, &names).unwrap();
        assert_eq!(names_in(dir.path()), ["_.profile", "a (2).txt", "a.txt", "empty"]);
        assert_eq!(fs::read(dir.path().join("a.txt")).unwrap(), b"mine");
        assert_eq!(fs::read(&placed[0]).unwrap(), b"theirs");
        let modified = fs::metadata(&placed[0]).unwrap().modified().unwrap();
        assert_eq!(modified, UNIX_EPOCH + Duration::from_secs(1_000_000));
    }

    #[test]
    fn what_was_not_placed_disappears() {
        let dir = tempfile::tempdir().unwrap();
        let mut staging = Staging::create(dir.path(), &ID, false).unwrap();
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
        let mut staging = Staging::create(dir.path(), &ID, false).unwrap();
        assert!(
            Staging::create(dir.path(), &ID, false).is_err(),
            "the first one is alive"
        );
        staging.write(0, b"new").unwrap();
        let files = [entry("f", 3)];
        staging.finish(&files).unwrap();
        let names = staging.names(&files, None);
        let placed = staging.place(&files, &names).unwrap();
        assert_eq!(fs::read(&placed[0]).unwrap(), b"new");
    }

    #[test]
    fn an_empty_folder_is_not_left_behind() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("letters/new");
        let mut staging = Staging::create(&target, &ID, false).unwrap();
        staging.finish(&[]).unwrap();
        assert!(staging.place(&[], &[]).unwrap().is_empty());
        assert!(!target.exists(), "it was made for files, and there is none");
        fs::create_dir(&target).unwrap();
        drop(Staging::create(&target, &ID, false).unwrap());
        assert!(target.exists(), "it was there before");
    }

    #[test]
    #[cfg(unix)]
    fn staging_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let made = dir.path().join("letters/new");
        let staging = Staging::create(&made, &ID, true).unwrap();
        for folder in [&made, &dir.path().join("letters")] {
            assert_eq!(fs::metadata(folder).unwrap().permissions().mode() & 0o777, 0o700);
        }
        drop(staging);
        let mut staging = Staging::create(dir.path(), &ID, false).unwrap();
        staging.write(0, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&staging.folder), 0o700);
        assert_eq!(mode(&staging.path(0)), 0o600);
    }
}
