//! Reads a journal file from its first frame to its last, and tells a torn end from damage. Pure.
//!
//! A frame is written only after the one before it is durable. So whatever lies after the last good frame was never
//! acknowledged, *unless* a good frame follows it: then the file was damaged later, and nothing may be dropped.

use super::format::{FRAME_HEAD_LEN, FRAME_MAGIC, Frame, claimed_len};

/// What comes next: number of the next record and hash of the frame before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) seq: u64,
    pub(super) previous: [u8; 32],
}

/// How the frames of a file end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Offset after the last good frame.
    pub(super) offset: usize,
    /// Offset after the last byte that is not zero: beyond `offset` if a frame was torn.
    pub(super) dirty: usize,
}

/// Why the frames cannot be believed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Damage {
    /// Where.
    pub(super) offset: usize,
    /// What is wrong there.
    pub(super) what: String,
}

/// Walks the frames of `bytes` (a whole file) from `offset`, hands each to `visit` with its offset, and advances `next`.
pub(super) fn scan(
    bytes: &[u8],
    mut offset: usize,
    next: &mut Next,
    mut visit: impl FnMut(usize, &Frame<'_>) -> Result<(), String>,
) -> Result<End, Damage> {
    while let Some((frame, len)) = frame_at(bytes, offset) {
        let damage = |what: String| Damage { offset, what };
        if frame.first_seq != next.seq || frame.previous != next.previous {
            let (found, expected) = (frame.first_seq, next.seq);
            return Err(damage(format!(
                "the frame does not continue the chain (it begins with record {found}, record {expected} is due)"
            )));
        }
        visit(offset, &frame).map_err(damage)?;
        next.seq += frame.records.len() as u64;
        next.previous = frame.hash;
        offset += len;
    }
    let dirty = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    if dirty > offset
        && let Some(good) = good_frame_from(bytes, offset)
    {
        return Err(Damage {
            offset,
            what: format!("the frame is not readable, but a good one follows at offset {good}"),
        });
    }
    Ok(End { offset, dirty })
}

/// The frame at `offset` and its length, if a good one is there.
pub(super) fn frame_at(bytes: &[u8], offset: usize) -> Option<(Frame<'_>, usize)> {
    let rest = bytes.get(offset..)?;
    let len = claimed_len(rest.get(..FRAME_HEAD_LEN)?)?;
    Some((Frame::decode(rest.get(..len)?)?, len))
}

/// Offset of the first good frame at `offset` or behind it. The magic cannot begin one inside a record: a length starts with a
/// zero byte, and JSON has none.
pub(super) fn good_frame_from(bytes: &[u8], offset: usize) -> Option<usize> {
    let rest = bytes.get(offset..)?;
    rest.windows(FRAME_MAGIC.len())
        .enumerate()
        .filter(|(_, window)| *window == FRAME_MAGIC)
        .map(|(at, _)| offset + at)
        .find(|at| frame_at(bytes, *at).is_some())
}
