//! The offline container `*.sealed`: one transfer in one file, parsed from both ends.
//!
//! `header || u32 len || block || payload || u32 len || manifest box || seal`. The last 224 bytes are the seal, which states the
//! payload's length, so every place is known from the head, the tail and the file's length.

use std::ops::Range;

use super::wire::{Reader, ensure};
use super::{Block, Envelope, HEADER_LEN, Header, MAX_BLOCK_LEN, MAX_BOX_LEN, Reason, SEAL_LEN, Seal};

/// Where the pieces of a container stand, for a reader that does not hold it in memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerMap {
    /// The stanza block.
    pub block: Range<u64>,
    /// The payload.
    pub payload: Range<u64>,
    /// The manifest box; the four bytes before it must be its length.
    pub manifest_box: Range<u64>,
    /// The seal.
    pub seal: Range<u64>,
}

impl ContainerMap {
    /// Bytes to read from the start of a container before [`ContainerMap::new`].
    pub const HEAD_LEN: usize = HEADER_LEN + 4;

    /// The map of a container of `len` bytes that begins with `head` and ends with `seal`.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn new(len: u64, head: &[u8; Self::HEAD_LEN], seal: &Seal) -> Result<Self, Reason> {
        let mut r = Reader::new(head);
        r.bytes(HEADER_LEN)?;
        let block_len = u64::from(r.u32()?);
        ensure(block_len <= MAX_BLOCK_LEN as u64, Reason::Format)?;
        let block_start = Self::HEAD_LEN as u64;
        let payload_start = block_start + block_len;
        let payload_end = payload_start.checked_add(seal.body.payload_len).ok_or(Reason::Format)?;
        let box_start = payload_end.checked_add(4).ok_or(Reason::Format)?;
        let seal_start = len.checked_sub(SEAL_LEN as u64).ok_or(Reason::Format)?;
        let box_len = seal_start.checked_sub(box_start).ok_or(Reason::Format)?;
        ensure(box_len <= MAX_BOX_LEN as u64, Reason::Format)?;
        Ok(Self {
            block: block_start..payload_start,
            payload: payload_start..payload_end,
            manifest_box: box_start..seal_start,
            seal: seal_start..len,
        })
    }
}

/// The pieces of a container that is held in memory.
#[derive(Clone, Copy, Debug)]
pub struct Container<'a> {
    header: &'a [u8],
    block: &'a [u8],
    payload: &'a [u8],
    manifest_box: &'a [u8],
    seal: &'a [u8],
}

impl<'a> Container<'a> {
    /// Finds the pieces.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Reason> {
        let head = bytes.first_chunk().ok_or(Reason::Format)?;
        let tail = bytes.last_chunk::<SEAL_LEN>().ok_or(Reason::Format)?;
        let map = ContainerMap::new(bytes.len() as u64, head, &Seal::parse(tail)?)?;
        let piece = |range: &Range<u64>| slice(bytes, range).ok_or(Reason::Format);
        let manifest_box = piece(&map.manifest_box)?;
        let len_word = piece(&(map.payload.end..map.manifest_box.start))?;
        let len = Reader::new(len_word).u32()?;
        ensure(usize::try_from(len) == Ok(manifest_box.len()), Reason::Format)?;
        Ok(Self {
            header: piece(&(0..HEADER_LEN as u64))?,
            block: piece(&map.block)?,
            payload: piece(&map.payload)?,
            manifest_box,
            seal: piece(&map.seal)?,
        })
    }

    /// Parses everything but the payload.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn envelope(&self) -> Result<Envelope, Reason> {
        Envelope::parse(self.header, self.block, self.manifest_box, self.seal)
    }

    /// The stored payload.
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }
}

fn slice<'a>(bytes: &'a [u8], range: &Range<u64>) -> Option<&'a [u8]> {
    let start = usize::try_from(range.start).ok()?;
    let end = usize::try_from(range.end).ok()?;
    bytes.get(start..end)
}

/// What stands before the payload in a container.
#[must_use]
pub fn container_head(header: &Header, block: &Block) -> Vec<u8> {
    [header.to_bytes().to_vec(), with_len(&block.to_bytes())].concat()
}

/// What stands after the payload in a container.
#[must_use]
pub fn container_tail(manifest_box: &[u8], seal: &Seal) -> Vec<u8> {
    [with_len(manifest_box), seal.to_bytes().to_vec()].concat()
}

fn with_len(bytes: &[u8]) -> Vec<u8> {
    // Blocks and boxes are at most 16 MiB long; a longer one would be refused by every reader.
    let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    [&len.to_be_bytes(), bytes].concat()
}
