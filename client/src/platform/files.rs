//! Files and folders that are their owner's alone, names that replace nothing, and opening what must not be a link.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use super::sync_parent;

/// Creates a folder that only its owner can enter, with its parents; an existing one is left as it is.
///
/// # Errors
/// Of the file system.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.create(path)
}

/// Creates the private folder `path`, whose parent exists, or takes over one of our own: a real folder, not a link, that nobody
/// else can enter.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::PermissionDenied`] for a folder that is not ours alone.
pub fn own_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    match builder.create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        result => return result,
    }
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_dir() && is_ours_alone(&metadata) {
        Ok(())
    } else {
        Err(io::ErrorKind::PermissionDenied.into())
    }
}

#[cfg(unix)]
fn is_ours_alone(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw() && metadata.mode() & 0o077 == 0
}

#[cfg(not(unix))]
fn is_ours_alone(_: &fs::Metadata) -> bool {
    true
}

/// Opens a new file that only its owner can read; refuses an existing one, and a link in its place.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::AlreadyExists`].
pub fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).read(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Opens a file for reading and writing; a new one can be read by its owner alone.
///
/// # Errors
/// Of the file system.
pub fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Opens a regular file for reading, and nothing else: a link is not followed, and a pipe is not waited for.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::InvalidInput`] for what is no regular file.
pub fn open_regular(path: &Path) -> io::Result<File> {
    let file = open_itself(path)?;
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(io::ErrorKind::InvalidInput.into())
}

#[cfg(unix)]
fn open_itself(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, open};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(File::from(open(path, flags, Mode::empty())?))
}

/// No flag forbids links here.
#[cfg(not(unix))]
fn open_itself(path: &Path) -> io::Result<File> {
    if fs::symlink_metadata(path)?.is_file() {
        return File::open(path);
    }
    Err(io::ErrorKind::InvalidInput.into())
}

/// Removes a folder and everything in it, also from folders inside that are write-protected. Links are removed, never followed.
///
/// # Errors
/// Of the file system.
pub fn remove_tree(path: &Path) -> io::Result<()> {
    make_removable(path)?;
    fs::remove_dir_all(path)
}

/// Lets the owner change a folder and all folders in it.
#[cfg(unix)]
fn make_removable(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            make_removable(&entry.path())?;
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn make_removable(_: &Path) -> io::Result<()> {
    Ok(())
}

/// Puts `bytes` durably under `path`, as a whole or not at all, readable by the owner alone. An existing file is replaced.
///
/// # Errors
/// Of the file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    with_temporary(path, bytes, |temporary| fs::rename(temporary, path))
}

/// As [`write_private`], and refuses when `path` exists.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::AlreadyExists`].
pub fn write_private_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    with_temporary(path, bytes, |temporary| rename_new(temporary, path))
}

fn with_temporary(path: &Path, bytes: &[u8], place: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = create_private(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    let placed = written.and_then(|()| place(&temporary));
    if placed.is_err() {
        // The first error is the one to tell; what is left of the temporary file is empty or sealed.
        let _ = fs::remove_file(&temporary);
    }
    placed?;
    sync_parent(path)
}

/// Renames `from` to `to` and never replaces what is there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`], or others of the file system.
pub fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rename_exclusive(from, to) {
        // Some file systems know no exclusive rename; a hard link never replaces either.
        Err(error) if is_unsupported(&error) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        result => result,
    }
}

#[cfg(any(target_os = "linux", target_os = "macos"))]
fn rename_exclusive(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    Ok(renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE)?)
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn rename_exclusive(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

/// Whether a rename in this folder is exclusive by itself, so that [`rename_new`] makes no second link.
///
/// # Errors
/// Of the file system.
pub fn renames_exclusively(folder: &Path) -> io::Result<bool> {
    let [from, to] = ["rename.1", "rename.2"].map(|name| folder.join(name));
    create_private(&from)?;
    let renamed = rename_exclusive(&from, &to);
    let left = if renamed.is_ok() { &to } else { &from };
    fs::remove_file(left)?;
    match renamed {
        Ok(()) => Ok(true),
        Err(error) if is_unsupported(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}
/// A path as bytes that [`path_of`] reads; none where a path has no such form.
#[cfg(unix)]
#[must_use]
pub fn path_bytes(path: &Path) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(path.as_os_str().as_bytes().to_vec())
}

/// A path as bytes that [`path_of`] reads; none where a path has no such form.
#[cfg(not(unix))]
#[must_use]
pub fn path_bytes(path: &Path) -> Option<Vec<u8>> {
    path.to_str().map(|text| text.as_bytes().to_vec())
}

/// The path of [`path_bytes`].
#[cfg(unix)]
#[must_use]
pub fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(bytes)))
}

/// The path of [`path_bytes`].
#[cfg(not(unix))]
#[must_use]
pub fn path_of(bytes: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(bytes).ok().map(PathBuf::from)
}

/// Reads a whole file of at most `limit` bytes.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::FileTooLarge`].
pub fn read_limited(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(limit + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > limit {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_private_and_never_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/key");
        create_private_dir(path.parent().unwrap()).unwrap();
        write_private_new(&path, b"one").unwrap();
        let again = write_private_new(&path, b"two").unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"one");
        write_private(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no leftovers");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    #[cfg(unix)]
    fn takes_over_only_folders_of_its_own() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("staging");
        own_private_dir(&path).unwrap();
        own_private_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(own_private_dir(&path).is_err(), "others can enter it");
        let link = dir.path().join("link");
        let elsewhere = dir.path().join("elsewhere");
        own_private_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        assert!(own_private_dir(&link).is_err(), "a link leads elsewhere");
    }

    #[test]
    fn paths_survive_as_bytes() {
        let path = Path::new("/tmp/Grüße ü.txt");
        assert_eq!(path_of(&path_bytes(path).unwrap()).unwrap(), path);
        #[cfg(unix)]
        {
            let bytes = b"/srv/not utf-8 \xff";
            assert_eq!(path_bytes(&path_of(bytes).unwrap()).unwrap(), bytes);
        }
    }

    #[test]
    #[cfg(unix)]
    fn only_a_regular_file_is_opened_as_one() {
        let dir = tempfile::tempdir().unwrap();
        let [file, link, pipe] = ["file", "link", "pipe"].map(|name| dir.path().join(name));
        fs::write(&file, "x").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        assert!(open_regular(&file).is_ok());
        for other in [link.as_path(), &pipe, dir.path()] {
            assert!(open_regular(other).is_err(), "{}", other.display());
        }
    }

    #[test]
    #[cfg(unix)]
    fn a_tree_is_removed_however_its_folders_are_protected() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (tree, outside) = (dir.path().join("tree"), dir.path().join("outside"));
        for folder in [tree.join("a/b"), outside.clone()] {
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("f"), "x").unwrap();
        }
        std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
        for folder in ["a/b", "a", ""] {
            fs::set_permissions(tree.join(folder), fs::Permissions::from_mode(0o500)).unwrap();
        }
        remove_tree(&tree).unwrap();
        assert!(!tree.exists() && outside.join("f").exists());
    }

    #[test]
    fn limits_what_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        fs::write(&path, [0; 10]).unwrap();
        assert_eq!(read_limited(&path, 10).unwrap().len(), 10);
        assert_eq!(read_limited(&path, 9).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }
}
