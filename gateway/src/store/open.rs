//! Why a store cannot be opened at start: for the operator, who reads it on a terminal.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a store could not be opened. Each sentence says what happened and what to do next.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has the folder.
    #[error("another gateway is using the folder {folder}. Stop it, or give this one a folder of its own.", folder = .0.display())]
    InUse(PathBuf),
    /// Others than the gateway's user can reach the folder.
    #[error("the folder {folder} can be reached by other users of this machine. Take their rights away with `chmod 700 {folder}`.", folder = .0.display())]
    NotPrivate(PathBuf),
    /// The ring lies inside the data folder, or the other way round.
    #[error("the key ring {ring} and the data folder {data} lie inside each other. A backup of one would hold both: move the ring elsewhere.", ring = ring.display(), data = data.display())]
    RingInsideData {
        /// Folder of the ring.
        ring: PathBuf,
        /// Folder of the data.
        data: PathBuf,
    },
    /// What is stored is not what was written.
    #[error("{file} is damaged at offset {offset}: {what}. Nothing was changed; restore this file from a backup.", file = file.display())]
    Corrupt {
        /// The file.
        file: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found.
        what: String,
    },
    /// A repair was interrupted after it took the damaged journal away and before it put the repaired one in its place.
    #[error(
        "the folder {data} has no journal, but {found} is there: a repair was interrupted. Move {found} to {data}/journal, and run \
         `sealpost-gateway journal repair` again.",
        data = data.display(), found = found.display()
    )]
    JournalAside {
        /// The data folder.
        data: PathBuf,
        /// The journal that was damaged, or that was kept last.
        found: PathBuf,
    },
    /// Written by a version of the gateway that this one does not know.
    #[error("{file} was written in format version {found}, and this gateway knows {known}. Use the version of the gateway that wrote it.", file = file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// Its version.
        found: u32,
        /// The newest version known here.
        known: u32,
    },
    /// The operating system refused.
    #[error("{path} could not be {what}: {source}", path = path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What was tried, as a participle.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
}

impl OpenError {
    /// For `map_err`: an [`OpenError::Io`] about `path`.
    pub(crate) fn io(path: &Path, what: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            path: path.to_owned(),
            what,
            source,
        }
    }

    pub(crate) fn corrupt(file: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt {
            file: file.to_owned(),
            offset,
            what: what.into(),
        }
    }
}
