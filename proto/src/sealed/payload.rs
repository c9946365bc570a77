//! Geometry of the payload: padding, segments and parts follow from one length.

use std::ops::Range;

use super::wire::ensure;
use super::{PADDED_FLOOR, PADDED_LIMIT, PART_SEGMENTS, Reason, SEGMENT_LEN, SEGMENT_OVERHEAD, STORED_SEGMENT_LEN};

const SEGMENT: u64 = SEGMENT_LEN as u64;
const OVERHEAD: u64 = SEGMENT_OVERHEAD as u64;
const STORED: u64 = STORED_SEGMENT_LEN as u64;

/// Padded length for `total` bytes of files: `Padmé(max(total, 16 KiB))`.
///
/// None at 1 TiB or more.
#[must_use]
pub fn padme(total: u64) -> Option<u64> {
    let len = total.max(PADDED_FLOOR);
    let e = len.ilog2();
    let s = e.ilog2() + 1;
    let unit = 1_u64 << (e - s);
    len.checked_next_multiple_of(unit)
        .filter(|padded| *padded < PADDED_LIMIT)
}

/// How a payload of some padded length is cut: segments of 256 KiB of which the last is always shorter, possibly empty, and
/// parts of 32 segments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadLayout {
    padded_len: u64,
}

impl PayloadLayout {
    /// Layout for `total` bytes of files. None at 1 TiB or more.
    #[must_use]
    pub fn for_total(total: u64) -> Option<Self> {
        padme(total).map(|padded_len| Self { padded_len })
    }

    /// Layout of `payload_len` stored bytes in `n` segments, as a seal states them.
    ///
    /// # Errors
    /// [`Reason::Leaves`] when no payload has that length and count.
    pub fn from_sealed(payload_len: u64, n: u64) -> Result<Self, Reason> {
        let full = payload_len.checked_sub(OVERHEAD).ok_or(Reason::Leaves)? / STORED;
        let padded_len = payload_len
            .checked_sub(OVERHEAD * (full + 1))
            .filter(|padded| *padded < PADDED_LIMIT)
            .ok_or(Reason::Leaves)?;
        let layout = Self { padded_len };
        ensure(layout.segments() == full + 1 && layout.segments() == n, Reason::Leaves)?;
        Ok(layout)
    }

    /// Plaintext bytes with padding, `P`.
    #[must_use]
    pub fn padded_len(&self) -> u64 {
        self.padded_len
    }

    /// Segments, `n`; at least 1.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.padded_len / SEGMENT + 1
    }

    /// Stored bytes of the whole payload, `48 n + P`.
    #[must_use]
    pub fn stored_len(&self) -> u64 {
        OVERHEAD * self.segments() + self.padded_len
    }

    /// Whether `index` is the last segment.
    #[must_use]
    pub fn is_last(&self, index: u64) -> bool {
        index + 1 == self.segments()
    }

    /// Plaintext bytes of segment `index`; none beyond the last.
    #[must_use]
    pub fn segment_len(&self, index: u64) -> Option<usize> {
        let last = self.segments() - 1;
        match index {
            i if i < last => Some(SEGMENT_LEN),
            i if i == last => usize::try_from(self.padded_len % SEGMENT).ok(),
            _ => None,
        }
    }

    /// Stored bytes of segment `index`; none beyond the last.
    #[must_use]
    pub fn stored_segment_len(&self, index: u64) -> Option<usize> {
        self.segment_len(index).map(|len| len + SEGMENT_OVERHEAD)
    }

    /// Where segment `index` stands in the stored payload; none beyond the last.
    #[must_use]
    pub fn stored_range(&self, index: u64) -> Option<Range<u64>> {
        let len = self.stored_segment_len(index)?;
        let start = index * STORED;
        Some(start..start + len as u64)
    }

    /// Parts of the payload.
    #[must_use]
    pub fn parts(&self) -> u64 {
        self.segments().div_ceil(PART_SEGMENTS)
    }

    /// Segments that make up part `part`; empty beyond the last.
    #[must_use]
    pub fn part_segments(&self, part: u64) -> Range<u64> {
        let start = part.saturating_mul(PART_SEGMENTS).min(self.segments());
        start..(start + PART_SEGMENTS).min(self.segments())
    }

    /// Where part `part` stands in the stored payload; none beyond the last.
    #[must_use]
    pub fn part_range(&self, part: u64) -> Option<Range<u64>> {
        let segments = self.part_segments(part);
        let first = self.stored_range(segments.start)?;
        let last = self.stored_range(segments.end.checked_sub(1)?)?;
        Some(first.start..last.end)
    }
}
