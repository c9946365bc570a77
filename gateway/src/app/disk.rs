//! How full the file system of the data folder is (ADAPTER of [`DiskSpace`]).

use std::io;
use std::path::PathBuf;

use rustix::fs::statvfs;

use crate::service::DiskSpace;

/// The file system on which a folder lies.
#[derive(Debug)]
pub(super) struct FolderDisk(pub(super) PathBuf);

impl DiskSpace for FolderDisk {
    fn used_percent(&self) -> io::Result<u8> {
        self.used_percent_with(0)
    }

    fn used_percent_with(&self, bytes: u64) -> io::Result<u8> {
        let stat = statvfs(&self.0)?;
        let more = bytes.div_ceil(stat.f_frsize.max(1)).min(stat.f_bavail);
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        Ok(percent(used + more, stat.f_bavail - more))
    }
}

/// Used blocks of those that there are for us, rounded up as `df` does: what is kept for the superuser is not ours.
fn percent(used: u64, available: u64) -> u8 {
    let (used, all) = (u128::from(used), u128::from(used) + u128::from(available));
    let percent = (used * 100).div_ceil(all.max(1));
    u8::try_from(percent).unwrap_or(100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_is_of_what_is_ours() {
        for (used, available, expected) in [
            (0, 100, 0),
            (1, 999, 1),
            (85, 15, 85),
            (851, 149, 86),
            (10, 0, 100),
            (0, 0, 0),
            (u64::MAX, u64::MAX, 50),
        ] {
            assert_eq!(percent(used, available), expected, "{used} and {available}");
        }
    }

    #[test]
    fn a_real_folder_has_a_percentage() {
        let folder = tempfile::tempdir().unwrap();
        let disk = FolderDisk(folder.path().to_path_buf());
        assert!(disk.used_percent().unwrap() <= 100);
        assert_eq!(disk.used_percent_with(u64::MAX).unwrap(), 100);
        assert!(FolderDisk(folder.path().join("missing")).used_percent().is_err());
    }
}
