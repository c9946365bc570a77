//! Bytes of a journal file: header and frames. Pure; no files here.
//!
//! Numbers are big-endian. A file is `header frame* zero*`, preallocated with zeros:
//!
//! ```text
//! header(96) = "sealpost-journal" || u32 version 1 || u32 0 || u64 first seq || hash that it continues from (32)
//!              || SHA-256 of all before
//! frame      = "SPFR" || u32 length of the frame || u64 first seq || u32 count || SHA-256 of the frame before
//!              || count x (u32 length || record) || SHA-256 of all before
//! ```
//!
//! The first file continues from 32 random bytes, a later one from the hash of the last frame before it, so a missing, doubled
//! or foreign file breaks the chain.

use sealpost_proto::crypto::sha256;

/// Length of a header.
pub(super) const HEADER_LEN: usize = 96;
/// Bytes of a frame around its records.
const FRAME_AROUND: usize = FRAME_HEAD_LEN + 32;
/// Bytes of a frame before its records.
pub(super) const FRAME_HEAD_LEN: usize = FRAME_HEAD_LEN_U32 as usize;
pub(super) const FRAME_HEAD_LEN_U32: u32 = 4 + 4 + 8 + 4 + 32;
/// Longest frame: the records of one group commit.
pub(super) const MAX_FRAME_LEN: usize = 1024 * 1024;
/// Records of a frame.
pub(crate) const MAX_RECORDS: usize = 256;
/// Longest record, so that what is queued can be taken whole.
pub(crate) const MAX_RECORD_LEN: usize = 256 * 1024;
/// Version of the form.
pub(super) const VERSION: u32 = 1;
/// First bytes of a frame.
pub(super) const FRAME_MAGIC: &[u8; 4] = b"SPFR";

const FILE_MAGIC: &[u8; 16] = b"sealpost-journal";

/// First bytes of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Number of the first record in the file.
    pub(super) first_seq: u64,
    /// Hash of the frame before the first one here; random where the journal begins.
    pub(super) continues: [u8; 32],
}

/// Why a header was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HeaderError {
    /// Not a header, or damaged.
    Damaged,
    /// Of another version.
    Version(u32),
}

impl Header {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        bytes.extend_from_slice(FILE_MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&self.first_seq.to_be_bytes());
        bytes.extend_from_slice(&self.continues);
        let hash = sha256(&[&bytes]);
        bytes.extend_from_slice(&hash);
        bytes
    }

    pub(super) fn decode(bytes: &[u8; HEADER_LEN]) -> Result<Self, HeaderError> {
        let mut reader = Reader(bytes);
        if reader.array::<16>() != Some(*FILE_MAGIC) {
            return Err(HeaderError::Damaged);
        }
        let version = reader.u32().ok_or(HeaderError::Damaged)?;
        if version != VERSION {
            return Err(HeaderError::Version(version));
        }
        let is_whole = bytes
            .split_last_chunk()
            .is_some_and(|(hashed, hash)| sha256(&[hashed]) == *hash);
        match (reader.u32(), reader.u64(), reader.array()) {
            (Some(0), Some(first_seq), Some(continues)) if is_whole => Ok(Self { first_seq, continues }),
            _ => Err(HeaderError::Damaged),
        }
    }
}

/// The frame of `records` whose first is number `first_seq`, after the frame with hash `previous`; `None` if it would be
/// longer than [`MAX_FRAME_LEN`].
pub(super) fn encode_frame(first_seq: u64, previous: &[u8; 32], records: &[Vec<u8>]) -> Option<Vec<u8>> {
    let len = records.iter().fold(FRAME_AROUND, |len, record| len + 4 + record.len());
    if len > MAX_FRAME_LEN {
        return None;
    }
    let mut bytes = Vec::with_capacity(len);
    bytes.extend_from_slice(FRAME_MAGIC);
    bytes.extend_from_slice(&u32::try_from(len).ok()?.to_be_bytes());
    bytes.extend_from_slice(&first_seq.to_be_bytes());
    bytes.extend_from_slice(&u32::try_from(records.len()).ok()?.to_be_bytes());
    bytes.extend_from_slice(previous);
    for record in records {
        bytes.extend_from_slice(&u32::try_from(record.len()).ok()?.to_be_bytes());
        bytes.extend_from_slice(record);
    }
    let hash = sha256(&[&bytes]);
    bytes.extend_from_slice(&hash);
    Some(bytes)
}

/// Whether any record still fits into a frame of `count` records that take `bytes`, their lengths included.
pub(crate) fn has_room(count: usize, bytes: usize) -> bool {
    count < MAX_RECORDS && bytes + FRAME_AROUND + MAX_RECORD_LEN + 4 <= MAX_FRAME_LEN
}

/// A whole frame, verified against its own hash.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) first_seq: u64,
    pub(super) previous: [u8; 32],
    pub(super) records: Vec<&'a [u8]>,
    pub(super) hash: [u8; 32],
}

/// Length that the head of a frame claims, if it may be one at all.
pub(super) fn claimed_len(head: &[u8]) -> Option<usize> {
    let mut reader = Reader(head);
    if reader.array::<4>()? != *FRAME_MAGIC {
        return None;
    }
    let len = usize::try_from(reader.u32()?).ok()?;
    (FRAME_AROUND..=MAX_FRAME_LEN).contains(&len).then_some(len)
}

impl<'a> Frame<'a> {
    /// Reads the frame that `bytes` are, whole and exactly.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<Self> {
        if claimed_len(bytes)? != bytes.len() {
            return None;
        }
        let (hashed, hash) = bytes.split_last_chunk::<32>()?;
        if sha256(&[hashed]) != *hash {
            return None;
        }
        let mut reader = Reader(hashed.get(8..)?);
        let first_seq = reader.u64()?;
        let count = reader.u32()?;
        let previous = reader.array()?;
        let mut records = Vec::new();
        for _ in 0..count {
            let len = usize::try_from(reader.u32()?).ok()?;
            records.push(reader.take(len)?);
        }
        reader.0.is_empty().then_some(Self {
            first_seq,
            previous,
            records,
            hash: *hash,
        })
    }
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn u32(&mut self) -> Option<u32> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_round_trip_and_every_bit_counts() {
        let header = Header {
            first_seq: 7,
            continues: [9; 32],
        };
        let bytes: [u8; HEADER_LEN] = header.encode().try_into().unwrap();
        assert_eq!(Header::decode(&bytes), Ok(header));
        for bit in 0..HEADER_LEN * 8 {
            let mut bad = bytes;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::decode(&bad).is_err(), "bit {bit}");
        }
        let mut newer = bytes;
        newer[19] = 2;
        assert_eq!(Header::decode(&newer), Err(HeaderError::Version(2)));
    }

    #[test]
    fn frame_round_trip_and_every_bit_counts() {
        let records = vec![b"one".to_vec(), Vec::new(), b"three".to_vec()];
        let bytes = encode_frame(5, &[3; 32], &records).unwrap();
        let frame = Frame::decode(&bytes).unwrap();
        assert_eq!((frame.first_seq, frame.previous), (5, [3; 32]));
        assert_eq!(frame.records, records);
        for bit in 0..bytes.len() * 8 {
            let mut bad = bytes.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(Frame::decode(&bad), None, "bit {bit}");
        }
        for len in 0..bytes.len() {
            assert_eq!(Frame::decode(&bytes[..len]), None, "{len} bytes");
        }
    }

    #[test]
    fn room_keeps_frames_within_their_limit() {
        let longest = vec![0; MAX_RECORD_LEN];
        let mut records = Vec::new();
        let mut bytes = 0;
        while has_room(records.len(), bytes) {
            bytes += longest.len() + 4;
            records.push(longest.clone());
        }
        assert!(encode_frame(1, &[0; 32], &records).is_some());
        assert!(!has_room(MAX_RECORDS, 0));
    }
}
