//! The folder on the disk that is measured on. What is made in it is removed at the end, and what a killed run left at the next start.

use std::fs;
use std::path::{Path, PathBuf};

use rustix::fs::statvfs;
use tempfile::TempDir;

use super::text;
use crate::run::Outcome;

/// Percent of the disk in use that nothing here goes beyond: gateways refuse new transfers from 85 on.
const MOST_USED: u64 = 80;

/// The folder of one run.
#[derive(Debug)]
pub(super) struct Place {
    folder: TempDir,
}

impl Place {
    /// A new folder below `parent`.
    pub(super) fn new(parent: &Path) -> Outcome<Self> {
        fs::create_dir_all(parent)?;
        let parent = parent.canonicalize()?;
        remove_leftovers(&parent)?;
        let prefix = format!("run-{}-", std::process::id());
        Ok(Self {
            folder: tempfile::Builder::new().prefix(&prefix).tempdir_in(parent)?,
        })
    }

    /// The folder.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A folder in it for one workload.
    pub(super) fn folder(&self, name: &str) -> Outcome<TempDir> {
        let prefix = format!("{name}-");
        Ok(tempfile::Builder::new().prefix(&prefix).tempdir_in(self.path())?)
    }

    /// Bytes that may be written before the disk is too full.
    pub(super) fn room(&self) -> Outcome<u64> {
        let disk = statvfs(self.path())?;
        let used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize;
        let all = used + disk.f_bavail * disk.f_frsize;
        Ok((all / 100 * MOST_USED).saturating_sub(used))
    }

    /// Fails when there is no room for the smallest workloads.
    pub(super) fn check_room(&self) -> Outcome {
        let least = 12 << 30;
        let room = self.room()?;
        if room < least {
            return Err(format!(
                "the disk has {} GiB until it is {MOST_USED} % full, and {} are needed; use --folder for another one",
                room >> 30,
                least >> 30
            )
            .into());
        }
        Ok(())
    }
}

/// Removes folders of runs whose process is no more.
fn remove_leftovers(parent: &Path) -> Outcome {
    for entry in fs::read_dir(parent)? {
        let path: PathBuf = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let owner = name
            .strip_prefix("run-")
            .and_then(|rest| rest.split('-').next()?.parse::<u32>().ok());
        if owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            println!("==> {} is of a run that was killed, and is removed", text(&path)?);
            fs::remove_dir_all(&path)?;
        }
    }
    Ok(())
}
