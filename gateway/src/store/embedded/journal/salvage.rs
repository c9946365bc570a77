//! Reads a journal that may be damaged, for its repair: all records before the damage, and the frames behind it that are whole.
//!
//! The same reading as at a start, except that it goes on where a start stops. It changes nothing. A frame behind the damage proves
//! its own bytes by its hash, but not its place: the chain to it is broken.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::format::{Frame, HEADER_LEN, Header, HeaderError, VERSION};
use super::scan::{Next, frame_at, good_frame_from, scan};
use crate::store::durable;
use crate::store::open::OpenError;

/// A record that can be read.
#[derive(Debug)]
pub(crate) struct Salvaged<'a> {
    /// Its number.
    pub(crate) seq: u64,
    /// Its bytes.
    pub(crate) bytes: &'a [u8],
    /// Whether it lies before the damage: it stays.
    pub(crate) is_kept: bool,
}

/// What is done with a record; an error is damage.
pub(crate) type Visit<'a> = dyn FnMut(Salvaged<'_>) -> Result<(), String> + 'a;

/// Where the journal stops being readable in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Break {
    /// The file.
    pub(crate) file: PathBuf,
    /// Where in it, in bytes.
    pub(crate) offset: u64,
    /// What is wrong there.
    pub(crate) what: String,
}

/// What can be read of a journal.
#[derive(Debug, Default)]
pub(crate) struct Salvage {
    /// Files with how much of them is good; all of it where there is no number.
    kept: Vec<(PathBuf, Option<u64>)>,
    /// Number of the last record before the damage; 0 if there is none.
    pub(crate) last_kept: u64,
    /// Number of the last record that is readable anywhere.
    pub(crate) last_found: u64,
    /// Where the damage begins.
    pub(crate) damage: Option<Break>,
}

impl Salvage {
    /// Reads the journal in `folder`. A torn end, which every start drops, is no damage.
    pub(crate) fn read(folder: &Path, visit: &mut Visit<'_>) -> Result<Self, OpenError> {
        let paths = super::list(folder)?;
        let mut salvage = Self::default();
        let mut next = None;
        for (number, path) in paths.iter().enumerate() {
            let bytes = fs::read(path).map_err(OpenError::io(path, "read"))?;
            let is_last = number + 1 == paths.len();
            let readable = salvage.in_order(path, &bytes, is_last, &mut next, visit)?;
            if salvage.damage.is_some() {
                salvage.anywhere(&bytes, readable, visit);
            }
        }
        Ok(salvage)
    }

    /// Reads the frames of a file that continue those before; returns where they end.
    fn in_order(
        &mut self,
        path: &Path,
        bytes: &[u8],
        is_last: bool,
        next: &mut Option<Next>,
        visit: &mut Visit<'_>,
    ) -> Result<usize, OpenError> {
        if self.damage.is_some() {
            return Ok(0);
        }
        let mut damaged = |offset: usize, what: String| {
            self.damage = Some(Break {
                file: path.to_owned(),
                offset: offset as u64,
                what,
            });
        };
        let header = match bytes.first_chunk().ok_or(HeaderError::Damaged).and_then(Header::decode) {
            Ok(header) => header,
            Err(HeaderError::Version(found)) => {
                let (file, known) = (path.to_owned(), VERSION);
                return Err(OpenError::Version { file, found, known });
            }
            Err(HeaderError::Damaged) => {
                damaged(0, "this is not the header of a journal file".to_owned());
                return Ok(0);
            }
        };
        let next = next.get_or_insert(Next {
            seq: 1,
            previous: header.continues,
        });
        if (header.first_seq, header.continues) != (next.seq, next.previous) {
            let (found, due) = (header.first_seq, next.seq);
            damaged(
                0,
                format!("the file begins with record {found}, but record {due} is due"),
            );
            return Ok(0);
        }
        let (offset, what) = match scan(bytes, HEADER_LEN, next, |_, frame| hand_over(frame, true, visit)) {
            Ok(end) if !is_last && end.dirty > end.offset => (
                end.offset,
                Some("the frame is not readable, and a file follows".to_owned()),
            ),
            Ok(end) => (end.offset, None),
            Err(damage) => (damage.offset, Some(damage.what)),
        };
        self.last_kept = next.seq - 1;
        self.last_found = self.last_kept;
        let is_whole = what.is_none() && !is_last;
        self.kept.push((path.to_owned(), (!is_whole).then_some(offset as u64)));
        if let Some(what) = what {
            let (file, offset) = (path.to_owned(), offset as u64);
            self.damage = Some(Break { file, offset, what });
        }
        Ok(offset)
    }

    /// Finds whole frames behind the damage. What the visitor makes of them is no damage any more.
    fn anywhere(&mut self, bytes: &[u8], from: usize, visit: &mut Visit<'_>) {
        let mut offset = from;
        while let Some(at) = good_frame_from(bytes, offset) {
            let Some((frame, len)) = frame_at(bytes, at) else {
                return;
            };
            if frame.first_seq > self.last_kept && hand_over(&frame, false, visit).is_ok() {
                let last = frame.first_seq.saturating_add(frame.records.len() as u64);
                self.last_found = self.last_found.max(last.saturating_sub(1));
            }
            offset = at + len;
        }
    }

    /// Copies what is before the damage into an empty folder, durably. Files that are whole are shared: nobody writes them again.
    pub(crate) fn copy_kept(&self, into: &Path) -> io::Result<()> {
        for (path, len) in &self.kept {
            let Some(name) = path.file_name() else {
                continue;
            };
            let target = into.join(name);
            match len {
                None if fs::hard_link(path, &target).is_ok() => {}
                len => copy(path, &target, *len)?,
            }
        }
        durable::sync_folder(into)
    }
}

fn copy(from: &Path, to: &Path, len: Option<u64>) -> io::Result<()> {
    let mut file: File = durable::create_new(to)?;
    let bytes = fs::read(from)?;
    let len = len.and_then(|len| usize::try_from(len).ok()).unwrap_or(bytes.len());
    file.write_all(bytes.get(..len).unwrap_or(&bytes))?;
    file.sync_all()
}

fn hand_over(frame: &Frame<'_>, is_kept: bool, visit: &mut Visit<'_>) -> Result<(), String> {
    for (seq, bytes) in (frame.first_seq..).zip(&frame.records) {
        visit(Salvaged { seq, bytes, is_kept })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::format::encode_frame;
    use super::*;

    /// A file of frames with `counts` records each, with zeros behind.
    fn file(folder: &Path, first_seq: u64, continues: [u8; 32], counts: &[usize]) -> ([u8; 32], Vec<usize>) {
        let mut bytes = Header { first_seq, continues }.encode();
        let (mut seq, mut previous, mut offsets) = (first_seq, continues, Vec::new());
        for count in counts {
            let records: Vec<Vec<u8>> = (0..*count).map(|n| format!("record {n}").into_bytes()).collect();
            let frame = encode_frame(seq, &previous, &records).unwrap();
            offsets.push(bytes.len());
            bytes.extend_from_slice(&frame);
            previous = *frame.last_chunk().unwrap();
            seq += *count as u64;
        }
        bytes.resize(bytes.len() + 4_096, 0);
        fs::write(folder.join(format!("{first_seq:020}.journal")), bytes).unwrap();
        (previous, offsets)
    }

    fn read(folder: &Path) -> (Salvage, Vec<(u64, bool)>) {
        let mut found = Vec::new();
        let salvage = Salvage::read(folder, &mut |record| {
            found.push((record.seq, record.is_kept));
            Ok(())
        });
        (salvage.unwrap(), found)
    }

    fn flip(folder: &Path, first_seq: u64, at: usize) {
        let path = folder.join(format!("{first_seq:020}.journal"));
        let mut bytes = fs::read(&path).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, bytes).unwrap();
    }

    #[test]
    fn n116_a_flipped_bit_parts_what_stays_from_what_is_only_readable() {
        let folder = tempfile::tempdir().unwrap();
        let (hash, offsets) = file(folder.path(), 1, [7; 32], &[2, 1, 3]);
        file(folder.path(), 7, hash, &[1, 1]);
        let (whole, found) = read(folder.path());
        assert_eq!((whole.damage, whole.last_kept, found.len()), (None, 8, 8));
        flip(folder.path(), 1, offsets[1] + 60);
        let (salvage, found) = read(folder.path());
        let damage = salvage.damage.clone().unwrap();
        assert_eq!(damage.offset, offsets[1] as u64);
        assert_eq!((salvage.last_kept, salvage.last_found), (2, 8));
        let kept: Vec<u64> = found
            .iter()
            .filter(|(_, is_kept)| *is_kept)
            .map(|(seq, _)| *seq)
            .collect();
        let behind: Vec<u64> = found
            .iter()
            .filter(|(_, is_kept)| !is_kept)
            .map(|(seq, _)| *seq)
            .collect();
        assert_eq!((kept, behind), (vec![1, 2], vec![4, 5, 6, 7, 8]));
        let copy = tempfile::tempdir().unwrap();
        salvage.copy_kept(copy.path()).unwrap();
        let (copied, found) = read(copy.path());
        assert_eq!((copied.damage, copied.last_kept, found.len()), (None, 2, 2));
        assert_eq!(fs::read_dir(copy.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_damaged_header_and_a_missing_file_are_damage() {
        let folder = tempfile::tempdir().unwrap();
        let (hash, _) = file(folder.path(), 1, [7; 32], &[2]);
        let (hash, _) = file(folder.path(), 3, hash, &[1]);
        file(folder.path(), 4, hash, &[1]);
        flip(folder.path(), 3, 40);
        let (salvage, found) = read(folder.path());
        assert_eq!(salvage.damage.unwrap().offset, 0);
        assert_eq!(found, [(1, true), (2, true), (3, false), (4, false)]);
        fs::remove_file(folder.path().join(format!("{:020}.journal", 3))).unwrap();
        let (salvage, found) = read(folder.path());
        assert!(salvage.damage.unwrap().what.contains("record 3 is due"));
        assert_eq!(found, [(1, true), (2, true), (4, false)]);
    }

    #[test]
    fn a_torn_end_is_no_damage_and_a_record_that_says_nothing_is() {
        let folder = tempfile::tempdir().unwrap();
        let (_, offsets) = file(folder.path(), 1, [7; 32], &[1, 1]);
        flip(folder.path(), 1, offsets[1] + 60);
        let (salvage, found) = read(folder.path());
        assert_eq!((salvage.damage, found), (None, vec![(1, true)]));
        flip(folder.path(), 1, offsets[1] + 60);
        let refused = Salvage::read(folder.path(), &mut |record| match record.seq {
            2 => Err("it says nothing".to_owned()),
            _ => Ok(()),
        });
        let damage = refused.unwrap().damage.unwrap();
        assert_eq!(
            (damage.offset, damage.what.as_str()),
            (offsets[1] as u64, "it says nothing")
        );
    }
}
