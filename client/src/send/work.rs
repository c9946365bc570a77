//! The thread that reads and seals: plaintext goes straight from the file into the buffer in which it is sealed.

use bytes::Bytes;
use rand_core::CryptoRng;
use sealpost_proto::id::Hash;
use sealpost_proto::tree::tree_head;
use sealpost_sealed::{FileDigests, FileHasher, Sealer, plaintext_mut};
use tokio::sync::mpsc::Sender;

use super::files::{Input, InputFile, OpenFile};
use super::seal_error;
use crate::buffers::BufferPool;
use crate::error::Error;

/// A part, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct SealedPart {
    pub(crate) number: u64,
    pub(crate) root: Hash,
    pub(crate) bytes: Bytes,
}

/// What remains to be sealed once all parts have gone.
#[derive(Debug)]
pub(crate) struct SealedPayload {
    pub(crate) leaves: Vec<[u8; 32]>,
    pub(crate) digests: Vec<FileDigests>,
}

/// Reads and seals everything, part by part, with `buffers` buffers. Blocks the thread.
pub(crate) fn seal_payload(
    sealer: &Sealer,
    input: Input,
    mut rng: impl CryptoRng,
    parts: &Sender<SealedPart>,
    buffers: usize,
) -> Result<SealedPayload, Error> {
    let layout = sealer.layout();
    let pool = BufferPool::new(buffers);
    let mut stream = PlaintextStream::new(input);
    let mut leaves: Vec<[u8; 32]> = Vec::with_capacity(usize::try_from(layout.segments()).unwrap_or_default());
    for number in 0..layout.parts() {
        let range = layout.part_range(number).ok_or(Error::Internal("part"))?;
        let len = usize::try_from(range.end - range.start).map_err(|_| Error::Internal("part"))?;
        let mut buffer = pool.take();
        buffer.resize(len, 0);
        let first_leaf = leaves.len();
        let mut rest = buffer.as_mut_slice();
        for index in layout.part_segments(number) {
            let len = layout.stored_segment_len(index).ok_or(Error::Internal("segment"))?;
            let (segment, later) = rest.split_at_mut_checked(len).ok_or(Error::Internal("segment"))?;
            rest = later;
            stream.fill(plaintext_mut(segment).unwrap_or_default())?;
            leaves.push(sealer.seal_segment(index, segment, &mut rng).map_err(seal_error)?);
        }
        let part = SealedPart {
            number,
            root: Hash::from_bytes(tree_head(leaves.get(first_leaf..).unwrap_or_default())),
            bytes: Bytes::from_owner(buffer),
        };
        if parts.blocking_send(part).is_err() {
            return Err(Error::Internal("uploading stopped"));
        }
    }
    Ok(SealedPayload {
        leaves,
        digests: stream.finish()?,
    })
}

/// The plaintext of all files one after the other, then zeros; makes their digests on the way.
struct PlaintextStream {
    waiting: std::vec::IntoIter<InputFile>,
    current: Option<(OpenFile, FileHasher)>,
    digests: Vec<FileDigests>,
}

impl PlaintextStream {
    fn new(input: Input) -> Self {
        Self {
            waiting: input.files.into_iter(),
            current: None,
            digests: Vec::new(),
        }
    }

    /// Fills all of `buffer`; behind the last file with zeros.
    fn fill(&mut self, mut buffer: &mut [u8]) -> Result<(), Error> {
        while !buffer.is_empty() {
            let Some((file, hasher)) = self.current()? else {
                buffer.fill(0);
                return Ok(());
            };
            let read = file.read(buffer)?;
            let (now, later) = buffer.split_at_mut(read);
            hasher.update(now);
            buffer = later;
            self.end_if_finished()?;
        }
        Ok(())
    }

    /// The file that is being read, or the next one.
    fn current(&mut self) -> Result<Option<&mut (OpenFile, FileHasher)>, Error> {
        while self.current.is_none() {
            let Some(next) = self.waiting.next() else {
                return Ok(None);
            };
            self.current = Some((next.open()?, FileHasher::new(false)));
            // An empty file is finished before anything is read of it.
            self.end_if_finished()?;
        }
        Ok(self.current.as_mut())
    }

    fn end_if_finished(&mut self) -> Result<(), Error> {
        if let Some((file, hasher)) = self.current.take_if(|(file, _)| file.is_finished()) {
            file.finish()?;
            self.digests.push(hasher.finish());
        }
        Ok(())
    }

    /// The digests; empty files at the end have not been looked at yet.
    fn finish(mut self) -> Result<Vec<FileDigests>, Error> {
        match self.current()? {
            None => Ok(self.digests),
            Some(_) => Err(Error::Internal("a file was left over")),
        }
    }
}
