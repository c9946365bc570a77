//! A folder that this process alone uses: the data folder, and the one of the key ring.
//!
//! It is created for its owner alone and locked for as long as any adapter holds it, so that two gateways never write one
//! journal or one ring. The lock is advisory (flock) and dies with the process.

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FlockOperation, flock};

use super::durable;
use super::failure::Failure;
use super::open::OpenError;

/// A private, locked folder. Clones share the lock.
#[derive(Debug, Clone)]
pub struct PrivateFolder {
    path: PathBuf,
    /// Holds the lock; the last clone releases it.
    _lock: Arc<File>,
    /// Whether the disk under it has failed.
    failure: Failure,
}

impl PrivateFolder {
    /// Creates the folder if it is missing (0700) and locks it.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another process (or this one) has it; [`OpenError::NotPrivate`] if others can reach it;
    /// [`OpenError::Io`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        durable::create_folder(path).map_err(OpenError::io(path, "created"))?;
        let path = fs::canonicalize(path).map_err(OpenError::io(path, "found"))?;
        let mode = fs::metadata(&path)
            .map_err(OpenError::io(&path, "read"))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(OpenError::NotPrivate(path));
        }
        let lock = open_lock(&path.join("lock"))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self {
                path,
                _lock: Arc::new(lock),
                failure: Failure::default(),
            }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::InUse(path)),
            Err(error) => Err(OpenError::io(&path, "locked")(error.into())),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Waits until the disk under it has failed, and says how. The process must end then: what it believes to be on the disk is
    /// not known to be there.
    pub async fn failed(&self) -> String {
        self.failure.failed().await
    }

    /// Where whoever changes something here tells of failures.
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }

    /// A folder in it, created if it is missing.
    pub(crate) fn subfolder(&self, name: &str) -> Result<PathBuf, OpenError> {
        let path = self.path.join(name);
        durable::create_folder_below(&path).map_err(OpenError::io(&path, "created"))?;
        Ok(path)
    }
}

fn open_lock(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(OpenError::io(path, "opened"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_holder_at_a_time() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        let first = PrivateFolder::open(&path).unwrap();
        let clone = first.clone();
        drop(first);
        let refused = PrivateFolder::open(&path).unwrap_err();
        assert!(matches!(refused, OpenError::InUse(_)));
        assert!(refused.to_string().contains("another gateway is using"));
        drop(clone);
        PrivateFolder::open(&path).unwrap();
    }

    #[test]
    fn refuses_a_folder_that_others_can_reach() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("data");
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o750)).unwrap();
        assert!(matches!(PrivateFolder::open(&path), Err(OpenError::NotPrivate(_))));
    }
}
