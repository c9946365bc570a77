//! What differs between operating systems: private files and folders, durable writes, renaming without overwriting.
//!
//! Nothing else in the client asks which system it runs on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

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

/// Returns when the user or the system asks the process to end (Ctrl-C; on Unix also the terminate signal).
/// The hangup signal is left alone, so that `nohup` keeps its meaning.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
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

fn is_unsupported(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Unsupported | io::ErrorKind::InvalidInput)
}

/// Makes the entries of the folder that holds `path` durable.
///
/// # Errors
/// Of the file system.
pub fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Makes the entries of a folder durable.
///
/// # Errors
/// Of the file system.
#[cfg(unix)]
pub fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows writes folder entries through; a folder cannot be opened there to be synced.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn sync_dir(_: &Path) -> io::Result<()> {
    Ok(())
}

/// More files than this are made durable by one sync of their file system where there is such a thing.
#[cfg(target_os = "linux")]
const MANY_FILES: usize = 16;

/// Makes files of one folder, and the folder's entries, durable.
///
/// # Errors
/// Of the file system.
pub fn sync_files(folder: &Path, files: &[PathBuf]) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if files.len() > MANY_FILES {
        return Ok(rustix::fs::syncfs(File::open(folder)?)?);
    }
    for file in files {
        OpenOptions::new().append(true).open(file)?.sync_all()?;
    }
    sync_dir(folder)
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

/// Reads a whole file of at most `limit` bytes that holds a secret; none if it is one that other users can read or change. Pipes
/// and terminals have no such rule.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::FileTooLarge`].
pub fn read_private(path: &Path, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let file = File::open(path)?;
    if is_open_to_others(&file.metadata()?) {
        return Ok(None);
    }
    read_secret(file, limit, |_| false).map(Some)
}

/// Reads a whole file of at most `limit` bytes that a service manager handed to this process, as systemd does with credentials: its
/// folder and itself belong to the system or to us, nobody else can write to either, and others cannot read it. That a group
/// seems to is how systemd's access list for the one user shows. None if it is otherwise.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::FileTooLarge`].
pub fn read_credential(path: &Path, limit: u64) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let folder = path.parent().map(fs::symlink_metadata).transpose()?;
    let is_placed = folder.is_some_and(|folder| folder.is_dir() && is_kept_from_others(&folder, 0o022));
    // A link would lead to a file of another folder.
    let is_file = fs::symlink_metadata(path)?.is_file();
    let file = File::open(path)?;
    if !is_placed || !is_file || !is_kept_from_others(&file.metadata()?, 0o037) {
        return Ok(None);
    }
    read_secret(file, limit, |_| false).map(Some)
}

/// Whether it belongs to the system or to us, and nobody else may do what `denied` says.
#[cfg(unix)]
fn is_kept_from_others(metadata: &fs::Metadata, denied: u32) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let is_owned = [0, rustix::process::geteuid().as_raw()].contains(&metadata.uid());
    is_owned && metadata.mode() & denied == 0
}

#[cfg(not(unix))]
fn is_kept_from_others(_: &fs::Metadata, _: u32) -> bool {
    true
}

/// Reads at most `limit` bytes to the end, or until `is_whole` says so of what was read; no byte of it is left in memory but in what is
/// returned.
///
/// # Errors
/// Of the file system; [`io::ErrorKind::FileTooLarge`].
pub fn read_secret(
    mut input: impl Read,
    limit: u64,
    is_whole: impl Fn(&[u8]) -> bool,
) -> io::Result<Zeroizing<Vec<u8>>> {
    let room = usize::try_from(limit).map_err(|_| io::ErrorKind::FileTooLarge)?;
    // Room for all of it at once: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(vec![0; room.saturating_add(1)]);
    let mut len = 0;
    while let Some(rest) = bytes.get_mut(len..).filter(|rest| !rest.is_empty()) {
        match input.read(rest) {
            Ok(0) => break,
            Ok(read) => len += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        if bytes.get(..len).is_some_and(&is_whole) {
            break;
        }
    }
    if len > room {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    bytes.truncate(len);
    Ok(bytes)
}

/// The standard input without the process's own buffer, which nobody wipes.
///
/// # Errors
/// Of the system.
#[cfg(unix)]
pub fn unbuffered_stdin() -> io::Result<File> {
    use std::os::fd::AsFd as _;
    Ok(File::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// The standard input: only its buffered form understands the console here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn unbuffered_stdin() -> io::Result<io::Stdin> {
    Ok(io::stdin())
}

#[cfg(unix)]
fn is_open_to_others(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.is_file() && metadata.mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &fs::Metadata) -> bool {
    false
}

/// Lets the system write no core dump of this process from now on: it would hold keys and plaintext.
///
/// # Errors
/// Of the system.
#[cfg(unix)]
pub fn forbid_core_dumps() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// There is no such limit here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn no_core_dump_holds_keys() {
        use rustix::process::{Resource, getrlimit};
        forbid_core_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }

    #[test]
    #[cfg(unix)]
    fn a_secret_that_others_can_read_or_change_is_not_read() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        fs::write(&path, b"secret").unwrap();
        for (mode, is_read) in [
            (0o600, true),
            (0o400, true),
            (0o700, true),
            (0o640, false),
            (0o604, false),
            (0o620, false),
            (0o644, false),
        ] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(read_private(&path, 6).unwrap().is_some(), is_read, "{mode:o}");
        }
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read_private(&path, 5).unwrap_err().kind(), io::ErrorKind::FileTooLarge);
    }

    #[test]
    #[cfg(unix)]
    fn a_credential_is_read_where_nobody_else_can_write() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let (folder, elsewhere) = (dir.path().join("credentials"), dir.path().join("elsewhere"));
        fs::create_dir(&folder).unwrap();
        let path = folder.join("sealpost-passphrase");
        fs::write(&path, b"secret").unwrap();
        let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        for (of_folder, of_file, is_read) in [
            (0o550, 0o440, true),
            (0o500, 0o400, true),
            (0o700, 0o600, true),
            (0o770, 0o440, false),
            (0o702, 0o440, false),
            (0o550, 0o444, false),
            (0o550, 0o460, false),
            (0o550, 0o442, false),
        ] {
            mode(&path, of_file);
            mode(&folder, of_folder);
            let read = read_credential(&path, 6).unwrap();
            assert_eq!(read.is_some(), is_read, "{of_folder:o} {of_file:o}");
            mode(&folder, 0o700);
        }
        mode(&path, 0o440);
        assert_eq!(
            read_credential(&path, 5).unwrap_err().kind(),
            io::ErrorKind::FileTooLarge
        );
        fs::rename(&path, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
        assert_eq!(read_credential(&path, 6).unwrap(), None, "a link leads elsewhere");
        fs::remove_file(&path).unwrap();
        assert_eq!(read_credential(&path, 6).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

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

    /// Gives one byte at a time, then fails.
    struct Trickle(&'static [u8]);

    impl Read for Trickle {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let (first, rest) = self.0.split_first().ok_or(io::ErrorKind::BrokenPipe)?;
            self.0 = rest;
            buffer[0] = *first;
            Ok(1)
        }
    }

    #[test]
    fn a_secret_is_read_whole_and_stays_where_it_was_read() {
        let is_line = |bytes: &[u8]| bytes.ends_with(b"\n");
        let read = read_secret(Trickle(b"five words\nmore"), 20, is_line).unwrap();
        assert_eq!((&read[..], read.capacity()), (&b"five words\n"[..], 21));
        assert_eq!(*read_secret(&b"five words"[..], 10, |_| false).unwrap(), b"five words");
        let long = read_secret(&b"five words"[..], 9, |_| false).unwrap_err();
        assert_eq!(long.kind(), io::ErrorKind::FileTooLarge);
        let broken = read_secret(Trickle(b"five"), 9, |_| false).unwrap_err();
        assert_eq!(broken.kind(), io::ErrorKind::BrokenPipe);
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
