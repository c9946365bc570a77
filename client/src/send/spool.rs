//! The standard input on its way: its length must be known before it is sealed, so it is kept in a file that nobody can read.
//!
//! The file is sealed under a key that exists in this process alone, and has no name while it is used (where the system allows).

use std::fs::File;
use std::io::{self, Read, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use sealpost_proto::encoding::hex;
use sealpost_sealed::FAST;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::Error;
use crate::platform;

const CHUNK: usize = 256 * 1024;
const TAG: usize = 16;

/// Bytes that were read once and are read again when they are sealed.
pub struct Spool {
    path: PathBuf,
    file: File,
    key: Zeroizing<[u8; 32]>,
    len: u64,
    next: u64,
    chunk: Zeroizing<Vec<u8>>,
    taken: usize,
}

impl std::fmt::Debug for Spool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spool").field("len", &self.len).finish_non_exhaustive()
    }
}

impl Spool {
    /// Reads `input` to its end into a sealed file in `folder`.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn fill(mut input: impl Read, folder: &Path, env: &Env) -> Result<Self, Error> {
        let path = folder.join(format!("spool-{}", hex(&env.draw::<8>())));
        let failed = |error| Error::file("write", &path, error);
        let file = platform::create_private(&path).map_err(failed)?;
        #[cfg(unix)]
        std::fs::remove_file(&path).map_err(failed)?;
        let mut spool = Self {
            path: path.clone(),
            file,
            key: Zeroizing::new(env.draw()),
            len: 0,
            next: 0,
            chunk: Zeroizing::new(Vec::with_capacity(CHUNK + TAG)),
            taken: 0,
        };
        spool.fill_from(&mut input).map_err(failed)?;
        Ok(spool)
    }

    /// Bytes in all.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    fn fill_from(&mut self, input: &mut impl Read) -> io::Result<()> {
        loop {
            self.chunk.clear();
            let read = input.take(CHUNK as u64).read_to_end(&mut self.chunk)?;
            if read == 0 {
                break;
            }
            self.len += read as u64;
            let iv = self.iv();
            let tag = FAST
                .aead_seal(&self.key, &iv, &mut self.chunk)
                .map_err(io::Error::other)?;
            self.file.write_all(&self.chunk)?;
            self.file.write_all(&tag)?;
            self.next += 1;
        }
        self.next = 0;
        self.chunk.clear();
        self.file.rewind()
    }

    /// The number of the chunk: each is sealed once under a key that is never used again.
    fn iv(&self) -> [u8; 12] {
        let mut iv = [0; 12];
        iv.iter_mut()
            .rev()
            .zip(self.next.to_le_bytes())
            .for_each(|(to, from)| *to = from);
        iv
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        let left = self.len.saturating_sub(self.next * CHUNK as u64);
        let len = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        self.taken = 0;
        self.chunk.clear();
        if len == 0 {
            return Ok(());
        }
        self.chunk.resize(len + TAG, 0);
        self.file.read_exact(&mut self.chunk)?;
        let iv = self.iv();
        FAST.aead_open(&self.key, &iv, &mut self.chunk)
            .map_err(io::Error::other)?;
        self.chunk.truncate(len);
        self.next += 1;
        Ok(())
    }
}

impl Read for Spool {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.chunk.len() {
            self.next_chunk()?;
        }
        let rest = self.chunk.get(self.taken..).unwrap_or_default();
        let len = rest.len().min(buffer.len());
        let copied = rest.iter().zip(buffer.iter_mut()).map(|(from, to)| *to = *from).count();
        debug_assert_eq!(copied, len);
        self.taken += len;
        Ok(len)
    }
}

impl Drop for Spool {
    fn drop(&mut self) {
        // Where a file cannot be removed while it is open; elsewhere it has no name any more.
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gives_back_what_it_took_and_leaves_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        for len in [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK] {
            let bytes: Vec<u8> = (0..=250_u8).cycle().take(len).collect();
            let mut spool = Spool::fill(&bytes[..], dir.path(), &Env::system()).unwrap();
            assert_eq!(spool.len(), len as u64);
            let mut read = Vec::new();
            spool.read_to_end(&mut read).unwrap();
            assert_eq!(read, bytes, "{len} bytes");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }
}
