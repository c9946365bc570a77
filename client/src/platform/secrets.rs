//! Reading secrets: from files that nobody else may read or change, and into memory that is wiped.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;

use zeroize::Zeroizing;

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
