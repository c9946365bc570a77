//! The thread that reads and seals: plaintext goes straight from the file into the buffer in which it is sealed.
//!
//! What the gateway holds already is read again all the same: the digests of the files need it, and its plaintext must be what it was.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use rand_core::CryptoRng;
use sealpost_proto::id::Hash;
use sealpost_proto::sealed::PayloadLayout;
use sealpost_proto::tree::{leaf_hashes, tree_head};
use sealpost_sealed::{FileDigests, FileHasher, Sealer, plaintext_mut, resume_hash};
use tokio::sync::mpsc::Sender;
use zeroize::Zeroizing;

use super::files::{Input, InputFile, OpenFile};
use super::seal_error;
use super::state::KeptPart;
use crate::buffers::BufferPool;
use crate::error::Error;

/// A part, ready to be uploaded.
#[derive(Debug)]
pub(crate) struct SealedPart {
    pub(crate) number: u64,
    pub(crate) root: Hash,
    pub(crate) bytes: Bytes,
    /// To be kept once the gateway has acknowledged the part; none in a transfer that cannot be resumed.
    pub(crate) kept: Option<KeptPart>,
}

/// What remains to be sealed once all parts have gone.
#[derive(Debug)]
pub(crate) struct SealedPayload {
    pub(crate) leaves: Vec<[u8; 32]>,
    pub(crate) digests: Vec<FileDigests>,
}

/// Reads everything, and seals what is not in `stored`, part by part, with `buffers` buffers. Without `stored` the transfer cannot be
/// resumed. Blocks the thread.
pub(crate) fn seal_payload(
    sealer: &Sealer,
    input: Input,
    mut rng: impl CryptoRng,
    parts: &Sender<SealedPart>,
    buffers: usize,
    stored: Option<&BTreeMap<u64, KeptPart>>,
) -> Result<SealedPayload, Error> {
    let layout = sealer.layout();
    let pool = BufferPool::new(buffers);
    let mut work = PartWork {
        sealer,
        resume_key: stored.is_some().then(|| sealer.resume_key()),
        stream: PlaintextStream::new(input),
    };
    let mut leaves: Vec<[u8; 32]> = Vec::with_capacity(usize::try_from(layout.segments()).unwrap_or_default());
    for number in 0..layout.parts() {
        let range = layout.part_range(number).ok_or(Error::Internal("part"))?;
        let len = usize::try_from(range.end - range.start).map_err(|_| Error::Internal("part"))?;
        let mut buffer = pool.take();
        buffer.resize(len, 0);
        if let Some(known) = stored.and_then(|stored| stored.get(&number)) {
            work.read_again(number, &mut buffer, known)?;
            leaves.extend_from_slice(known.leaves());
            continue;
        }
        let (part_leaves, hashes) = work.seal(number, &mut buffer, &mut rng)?;
        leaves.extend_from_slice(&part_leaves);
        let part = SealedPart {
            number,
            root: Hash::from_bytes(tree_head(&part_leaves)),
            bytes: Bytes::from_owner(buffer),
            kept: stored.map(|_| KeptPart::new(number, &part_leaves, &hashes)),
        };
        if parts.blocking_send(part).is_err() {
            return Err(Error::Internal("uploading stopped"));
        }
    }
    Ok(SealedPayload {
        leaves,
        digests: work.stream.finish()?,
    })
}

/// One for each segment.
type Hashes = Vec<[u8; 32]>;

/// The parts of one payload, in order.
struct PartWork<'a> {
    sealer: &'a Sealer,
    /// Of a transfer that can be resumed.
    resume_key: Option<Zeroizing<[u8; 32]>>,
    stream: PlaintextStream,
}

impl PartWork<'_> {
    /// Reads and seals a part in `buffer`; returns the leaves of its segments and, of a transfer that can be resumed, the keyed hashes
    /// of their plaintext.
    fn seal(&mut self, number: u64, buffer: &mut [u8], rng: &mut impl CryptoRng) -> Result<(Hashes, Hashes), Error> {
        let mut sealed: Vec<&[u8]> = Vec::new();
        let mut hashes = Vec::new();
        for (index, segment) in segments(self.sealer.layout(), number, buffer)? {
            hashes.extend(self.fill(segment)?);
            let outcome = self.sealer.seal_segment_unhashed(index, segment, rng);
            outcome.map_err(seal_error)?;
            sealed.push(segment);
        }
        Ok((leaf_hashes(&sealed), hashes))
    }

    /// Reads a part that the gateway holds, and refuses another plaintext than was sealed then.
    fn read_again(&mut self, number: u64, buffer: &mut [u8], known: &KeptPart) -> Result<(), Error> {
        let mut hashes = Vec::new();
        for (_, segment) in segments(self.sealer.layout(), number, buffer)? {
            hashes.extend(self.fill(segment)?);
        }
        if known.plaintext() == hashes {
            Ok(())
        } else {
            Err(Error::Changed(self.stream.last_path.clone()))
        }
    }

    /// Reads the plaintext of a segment to its place, and hashes it if that is of use.
    fn fill(&mut self, segment: &mut [u8]) -> Result<Option<[u8; 32]>, Error> {
        let plaintext = plaintext_mut(segment).unwrap_or_default();
        self.stream.fill(plaintext)?;
        Ok(self.resume_key.as_ref().map(|key| resume_hash(key, plaintext)))
    }
}

/// The places of a part's segments in its buffer.
fn segments<'b>(layout: &PayloadLayout, number: u64, buffer: &'b mut [u8]) -> Result<Vec<(u64, &'b mut [u8])>, Error> {
    let mut rest = buffer;
    let mut segments = Vec::new();
    for index in layout.part_segments(number) {
        let len = layout.stored_segment_len(index).ok_or(Error::Internal("segment"))?;
        let (segment, later) = rest.split_at_mut_checked(len).ok_or(Error::Internal("segment"))?;
        rest = later;
        segments.push((index, segment));
    }
    Ok(segments)
}

/// The plaintext of all files one after the other, then zeros; makes their digests on the way.
struct PlaintextStream {
    waiting: std::vec::IntoIter<InputFile>,
    current: Option<(OpenFile, FileHasher)>,
    digests: Vec<FileDigests>,
    /// The file that was read last, to be named.
    last_path: PathBuf,
}

impl PlaintextStream {
    fn new(input: Input) -> Self {
        Self {
            waiting: input.files.into_iter(),
            current: None,
            digests: Vec::new(),
            last_path: PathBuf::new(),
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
            self.last_path.clone_from(&next.path);
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
