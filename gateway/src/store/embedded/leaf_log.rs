//! The audit log's tree, and where its lines lie in the journal: a sparse index, so that lines stay on disk.

use std::io;

use sealpost_proto::tree::{Tree, leaf_hash};

use super::journal::{JournalReader, Position};
use super::record::lines_of;

/// Leaves between two entries of the index, at least: what a reader walks past at most, give or take a frame.
const STRIDE: u64 = 64;

/// Size and head of the audit log, and the way to its lines.
#[derive(Debug, Default)]
pub(super) struct LeafLog {
    tree: Tree,
    /// First leaf of a frame, and the frame.
    index: Vec<(u64, Position)>,
    /// The frame that was appended to last.
    last: Option<Position>,
}

impl LeafLog {
    pub(super) fn size(&self) -> u64 {
        self.tree.size()
    }

    pub(super) fn head(&self) -> [u8; 32] {
        self.tree.head()
    }

    /// Appends the lines of a record of the frame at `frame`.
    pub(super) fn push(&mut self, frame: Position, lines: &[String]) {
        let size = self.tree.size();
        let is_due = self.index.last().is_none_or(|(first, _)| size - first >= STRIDE);
        if self.last != Some(frame) && is_due {
            self.index.push((size, frame));
        }
        self.last = Some(frame);
        for line in lines {
            self.tree.push(leaf_hash(line.as_bytes()));
        }
    }

    /// What to read for leaves from `from` on, at most `limit`.
    pub(super) fn selection(&self, from: u64, limit: usize) -> Option<Selection> {
        let count = self.size().checked_sub(from).filter(|count| *count > 0)?;
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(limit);
        let entry = self.index.partition_point(|(first, _)| *first <= from).checked_sub(1)?;
        let (first, frame) = *self.index.get(entry)?;
        Some(Selection {
            frame,
            skip: from - first,
            count,
        })
    }
}

/// Leaves to be read from the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    frame: Position,
    skip: u64,
    count: usize,
}

impl Selection {
    /// Reads them. Blocks.
    pub(super) fn read(self, journal: &JournalReader) -> io::Result<Vec<String>> {
        let mut lines = Vec::new();
        if self.count == 0 {
            return Ok(lines);
        }
        let mut skip = self.skip;
        journal.walk(self.frame, &mut |records| {
            for record in records {
                for line in lines_of(record)? {
                    if skip > 0 {
                        skip -= 1;
                    } else if lines.len() < self.count {
                        lines.push(line);
                    }
                }
            }
            Ok(lines.len() < self.count)
        })?;
        if lines.len() == self.count {
            Ok(lines)
        } else {
            Err(io::ErrorKind::InvalidData.into())
        }
    }
}
