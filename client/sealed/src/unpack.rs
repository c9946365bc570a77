//! From the plaintext stream to files: boundaries, padding and digests; and the digests that a sender writes down.

use std::fmt;

use sealpost_proto::crypto::Sha256;
use sealpost_proto::id::Hash;
use sealpost_proto::sealed::{PayloadLayout, Reason};
use thiserror::Error;

use crate::manifest::{FileEntry, Manifest};

/// Digests of a file's plaintext.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileDigests {
    /// BLAKE3.
    pub blake3: Hash,
    /// SHA-256, when policy asks for it.
    pub sha256: Option<Hash>,
}

/// Makes the digests of one file.
#[derive(Clone)]
pub struct FileHasher {
    blake3: Box<blake3::Hasher>,
    sha256: Option<Sha256>,
}

impl FileHasher {
    /// A hasher; with SHA-256 beside BLAKE3 when asked.
    #[must_use]
    pub fn new(with_sha256: bool) -> Self {
        Self {
            blake3: Box::default(),
            sha256: with_sha256.then(Sha256::new),
        }
    }

    /// Adds plaintext.
    pub fn update(&mut self, plaintext: &[u8]) {
        self.blake3.update(plaintext);
        if let Some(sha256) = &mut self.sha256 {
            sha256.update(plaintext);
        }
    }

    /// BLAKE3 of everything added so far.
    fn so_far(&self) -> blake3::Hash {
        self.blake3.finalize()
    }

    /// The digests of everything added.
    #[must_use]
    pub fn finish(self) -> FileDigests {
        FileDigests {
            blake3: Hash::from_bytes(*self.blake3.finalize().as_bytes()),
            sha256: self.sha256.map(|hash| Hash::from_bytes(hash.finish())),
        }
    }
}

impl fmt::Debug for FileHasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FileHasher").finish_non_exhaustive()
    }
}

/// Why unpacking stopped.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum UnpackError<E> {
    /// The transfer is refused.
    #[error("{0}")]
    Refused(Reason),
    /// The caller's sink failed.
    #[error("{0}")]
    Sink(E),
}

/// Cuts the plaintext stream into files, in order, and checks padding and digests.
///
/// No file is to be trusted, or to leave staging, before [`Unpacker::finish`] says so: a wrong digest is kept until then, so
/// that the reason told is the first in the order of the checks.
#[derive(Clone, Debug)]
pub struct Unpacker<'a> {
    files: &'a [FileEntry],
    current: usize,
    /// Bytes still to come of the current file, and its hasher.
    open: Option<(u64, FileHasher)>,
    padding: u64,
    digests_agree: bool,
    /// Of the files that have ended since the last mark.
    ended: Box<blake3::Hasher>,
}

impl<'a> Unpacker<'a> {
    /// At the start of the stream.
    #[must_use]
    pub fn new(manifest: &'a Manifest, layout: &PayloadLayout) -> Self {
        Self {
            files: &manifest.files,
            current: 0,
            open: None,
            padding: layout.padded_len().saturating_sub(manifest.total()),
            digests_agree: true,
            ended: Box::default(),
        }
    }

    /// Takes the next bytes of the stream, and hands `sink` those that belong to files, with each file's place in the manifest.
    /// It is not called for empty files.
    ///
    /// # Errors
    /// [`Reason::Padding`] for padding that is not zero, [`Reason::Leaves`] for bytes beyond it, or the sink's own error.
    pub fn push<E>(
        &mut self,
        mut plaintext: &[u8],
        mut sink: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), UnpackError<E>> {
        while let Some(file) = self.files.get(self.current) {
            let (left, hasher) = self
                .open
                .get_or_insert_with(|| (file.len, FileHasher::new(file.sha256.is_some())));
            let here = usize::try_from(*left).unwrap_or(usize::MAX).min(plaintext.len());
            let (now, later) = plaintext.split_at(here);
            if !now.is_empty() {
                hasher.update(now);
                sink(self.current, now).map_err(UnpackError::Sink)?;
            }
            *left -= now.len() as u64;
            plaintext = later;
            if *left > 0 {
                return Ok(());
            }
            self.end_file(file);
        }
        self.take_padding(plaintext).map_err(UnpackError::Refused)
    }

    /// What has been taken since the last mark, in 32 bytes: BLAKE3 over the digests, as they stand now, of the files that have bytes in
    /// it. It costs no second look at the bytes.
    #[must_use]
    pub fn mark(&mut self) -> Hash {
        let mut hasher = std::mem::take(&mut *self.ended);
        if let Some((_, open)) = &self.open {
            hasher.update(open.so_far().as_bytes());
        }
        Hash::from_bytes(*hasher.finalize().as_bytes())
    }

    fn end_file(&mut self, file: &FileEntry) {
        let Some((_, hasher)) = self.open.take() else {
            return;
        };
        let digests = hasher.finish();
        self.ended.update(digests.blake3.as_bytes());
        self.digests_agree &= digests == file.digests();
        self.current += 1;
    }

    fn take_padding(&mut self, bytes: &[u8]) -> Result<(), Reason> {
        self.padding = self.padding.checked_sub(bytes.len() as u64).ok_or(Reason::Leaves)?;
        if bytes.iter().any(|byte| *byte != 0) {
            return Err(Reason::Padding);
        }
        Ok(())
    }

    /// The verdict on the whole stream.
    ///
    /// # Errors
    /// [`Reason::Leaves`] when it is not complete, [`Reason::Digest`] when a file is not the sender's.
    pub fn finish(mut self) -> Result<(), Reason> {
        // Empty files at the end of an empty stream have not been looked at yet.
        let _: Result<(), UnpackError<Reason>> = self.push(&[], |_, _| Ok(()));
        if self.current != self.files.len() || self.padding != 0 {
            return Err(Reason::Leaves);
        }
        if self.digests_agree {
            Ok(())
        } else {
            Err(Reason::Digest)
        }
    }
}
