//! Durable files: written, synced, named, and their names synced. Nothing else in the gateway calls fsync on a folder.
//!
//! Order for a new file: create under a temporary name (`O_CREAT|O_EXCL`, 0600) -> write -> fsync -> rename -> fsync of
//! the folder. Only then does it survive a power cut. A failed fsync is never tried again: the kernel may have dropped the
//! pages and would report success the second time.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::failure;

/// Creates a folder (0700) and those above it that are missing, and makes their names durable.
pub(crate) fn create_folder(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = parent_of(path);
    create_folder(parent)?;
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent)
}

/// Makes sure that a folder (0700) is there below one that is durable, and that its name is, whoever made it: it may have been
/// made by another thread a moment ago, or by a process that died before it could sync.
pub(crate) fn create_folder_below(path: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent_of(path))
}

/// Makes the names in a folder durable.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all().map_err(failure::of_sync)
}

/// Creates a file that must not exist yet, for its owner alone.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Opens an existing file to read and write in place.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Writes a small file whole: after a crash there is the old one or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(".new");
    let temporary = PathBuf::from(temporary);
    remove(&temporary)?;
    let mut file = TempFile::create(temporary)?;
    file.write_all(bytes)?;
    file.persist(path)?;
    Ok(())
}

/// Removes a file; a missing one is no error. The name may come back after a power cut until the folder is synced.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// Removes a folder and what is in it; a missing one is no error.
pub(crate) fn remove_folder(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

/// The folder in which a path lies.
pub(crate) fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// A file without its final name; removed when dropped.
#[derive(Debug)]
pub(crate) struct TempFile {
    file: File,
    path: Option<PathBuf>,
}

impl TempFile {
    /// Creates it, for its owner alone.
    pub(crate) fn create(path: PathBuf) -> io::Result<Self> {
        let file = create_new(&path)?;
        Ok(Self { file, path: Some(path) })
    }

    /// Adds bytes.
    pub(crate) fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// The file, to write at offsets.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Makes it durable and gives it its name, replacing what had that name. `target` lies in the same file system.
    pub(crate) fn persist(mut self, target: &Path) -> io::Result<File> {
        self.file.sync_all().map_err(failure::of_sync)?;
        let Some(path) = self.path.as_deref() else {
            return Err(io::Error::other("the temporary file has no name"));
        };
        fs::rename(path, target)?;
        self.path = None;
        sync_folder(parent_of(target))?;
        self.file.try_clone()
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // What stays here is removed at the next start.
            let _ = remove(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn replaces_whole_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b/note");
        create_folder(path.parent().unwrap()).unwrap();
        replace(&path, b"one").unwrap();
        fs::write(path.with_extension("new"), b"left by a crash").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_it_makes_is_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/er/note");
        create_folder(path.parent().unwrap()).unwrap();
        replace(&path, b"x").unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o600);
        assert_eq!(mode(&folder.path().join("deep")), 0o700);
        assert_eq!(mode(&folder.path().join("deep/er")), 0o700);
    }

    #[test]
    fn a_dropped_file_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut file = TempFile::create(path.clone()).unwrap();
        file.write_all(b"x").unwrap();
        drop(file);
        assert!(!path.exists());
    }
}
