//! Lines of the audit log: where they lie in the journal is noted every so many leaves; the lines stay on disk.

use std::io;

use super::book::Book;
use super::journal::{JournalReader, Position};
use super::record::lines_of;
use super::views::keys;

/// Leaves to be read from the journal.
#[derive(Debug, Clone, Copy)]
pub(super) struct Selection {
    frame: Position,
    skip: u64,
    count: usize,
}

impl Selection {
    /// What to read for leaves from `from` on, at most `limit`.
    pub(super) fn of(book: &Book, from: u64, limit: usize) -> io::Result<Option<Self>> {
        let size = book.read().mark().tree.size();
        let Some(count) = size.checked_sub(from).filter(|count| *count > 0) else {
            return Ok(None);
        };
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(limit);
        let (low, high) = ([keys::LEAVES], keys::name(keys::LEAVES, &[&from.to_be_bytes()]));
        let noted = book.range(&low, &high, true, 1)?;
        let noted = noted
            .first()
            .and_then(|(name, value)| Some((keys::number_of(name)?, keys::frame_of(value)?)));
        let (first, frame) = noted.ok_or(io::ErrorKind::InvalidData)?;
        let skip = from - first;
        Ok(Some(Self { frame, skip, count }))
    }

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
