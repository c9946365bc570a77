//! Durable writes: after these return, a power cut takes nothing back.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

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
        open_to_sync(file)?.sync_all()?;
    }
    sync_dir(folder)
}

/// A file need not be writable for its bytes to be made durable.
#[cfg(unix)]
fn open_to_sync(path: &Path) -> io::Result<File> {
    super::open_regular(path)
}

/// Windows syncs only what may be written to.
#[cfg(not(unix))]
fn open_to_sync(path: &Path) -> io::Result<File> {
    File::options().append(true).open(path)
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_that_cannot_be_written_to_is_made_durable() {
        let dir = tempfile::tempdir().unwrap();
        let read_only = dir.path().join("a.999");
        fs::write(&read_only, "x").unwrap();
        fs::set_permissions(&read_only, fs::Permissions::from_mode(0o444)).unwrap();
        sync_files(dir.path(), &[read_only]).unwrap();
    }

    /// Nobody at all can open a running program for writing, whereas permissions do not hold the superuser up.
    #[test]
    #[cfg(target_os = "linux")]
    fn a_file_that_nobody_can_write_to_is_made_durable() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("cat");
        fs::copy("/bin/cat", &program).unwrap();
        let busy = std::process::Command::new(&program)
            .stdin(std::process::Stdio::piped())
            .spawn();
        let mut busy = busy.unwrap();
        assert!(File::options().append(true).open(&program).is_err(), "it is running");
        let synced = sync_files(dir.path(), &[program]);
        busy.kill().unwrap();
        busy.wait().unwrap();
        synced.unwrap();
    }

    #[test]
    fn a_link_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("link");
        std::os::unix::fs::symlink("/dev/null", &link).unwrap();
        assert!(sync_files(dir.path(), &[link]).is_err());
    }
}
