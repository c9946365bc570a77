//! How journal and shares touch their files: one seam, so that what a failing disk does can be shown.

use std::fmt::Debug;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use rustix::fs::{FallocateFlags, fallocate};

/// Writes and syncs of the journal and the shares.
pub(crate) trait FileIo: Debug + Send + Sync {
    /// Reserves the blocks of a file up to `len` bytes, zeroed.
    fn allocate(&self, file: &File, len: u64) -> io::Result<()>;
    /// Writes at `offset`.
    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes what was written durable (fdatasync).
    fn sync(&self, file: &File) -> io::Result<()>;
    /// Called before views or snapshots are written, which may fail there.
    fn before_drain(&self) -> io::Result<()> {
        Ok(())
    }
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemIo;

impl FileIo for SystemIo {
    fn allocate(&self, file: &File, len: u64) -> io::Result<()> {
        match fallocate(file, FallocateFlags::empty(), 0, len) {
            // Where the file system cannot reserve, writing zeros does.
            Err(rustix::io::Errno::OPNOTSUPP) => fill_with_zeros(file, len),
            other => other.map_err(io::Error::from),
        }
    }

    fn write_at(&self, file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }
}

fn fill_with_zeros(file: &File, len: u64) -> io::Result<()> {
    let zeros = vec![0; 1024 * 1024];
    let mut offset = file.metadata()?.len();
    while offset < len {
        let part = usize::try_from(len - offset).unwrap_or(usize::MAX).min(zeros.len());
        file.write_all_at(zeros.split_at(part).0, offset)?;
        offset += part as u64;
    }
    Ok(())
}
