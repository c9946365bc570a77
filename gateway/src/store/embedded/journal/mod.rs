//! The journal: the one truth of a single-node gateway (security.md 9.2). Knows frames and files, not what records say.
//!
//! Life of a record: [`Journal::make_room`] -> [`Journal::append`] writes one frame for the whole group, then one fdatasync
//! -> acknowledged. Files of 64 MiB are reserved, synced and named before their first frame is written. At start the frames
//! from a given file on are read in order; an end that was torn by a crash is wiped, anything else that does not fit stops
//! the start. The files before it are read by [`verify`], in their own time.
//! After a failed write or sync nothing is ever written again by this process.

mod format;
mod io;
mod read;
mod salvage;
mod scan;

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::format::{HEADER_LEN, Header, HeaderError, MAX_FRAME_LEN, VERSION, encode_frame};
pub(crate) use self::format::{MAX_RECORD_LEN, has_room};
pub(crate) use self::io::{FileIo, SystemIo};
pub(crate) use self::read::JournalReader;
pub(crate) use self::salvage::{Break, Salvage, Salvaged};
use self::scan::{End, Next, scan};
use crate::random::Random;
use crate::store::durable::{self, TempFile};
use crate::store::failure;
use crate::store::open::OpenError;

/// Length of a journal file.
pub(crate) const FILE_LEN: u64 = 64 * 1024 * 1024;
const EXTENSION: &str = "journal";
const UNFINISHED: &str = "next.unfinished";

/// Where a frame lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    /// Number of the file, from 0.
    pub(crate) file: u32,
    /// Offset in it.
    pub(crate) offset: u32,
}

/// Where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct RecordAt {
    /// Number of the file, from 0.
    pub(crate) file: u32,
    /// Offset of its bytes.
    pub(crate) offset: u32,
    /// Their length.
    pub(crate) len: u32,
}

/// How a journal is opened.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// Its folder.
    pub(crate) folder: PathBuf,
    /// Length of new files; at least a header and the longest frame.
    pub(crate) file_len: u64,
    /// How files are touched.
    pub(crate) io: Arc<dyn FileIo>,
    /// Draws what the first file continues from.
    pub(crate) random: Arc<dyn Random>,
}

/// The journal, open for appending.
#[derive(Debug)]
pub(crate) struct Journal {
    options: Options,
    current: File,
    offset: usize,
    next: Next,
    reader: JournalReader,
    failed: bool,
}

/// A frame found in the journal, verified and in its place in the chain.
#[derive(Debug)]
pub(crate) struct Found<'a> {
    /// Number of its first record, from 1.
    pub(crate) first_seq: u64,
    /// Where it lies.
    pub(crate) position: Position,
    /// Its records.
    pub(crate) records: &'a [&'a [u8]],
    /// Its hash.
    pub(crate) hash: [u8; 32],
}

impl Found<'_> {
    /// Number of its last record.
    pub(crate) fn last_seq(&self) -> u64 {
        self.first_seq + (self.records.len() as u64).saturating_sub(1)
    }

    /// Its records with their numbers and where they lie.
    pub(crate) fn numbered(&self) -> impl Iterator<Item = (u64, RecordAt, &[u8])> {
        let mut offset = self.position.offset + format::FRAME_HEAD_LEN_U32;
        (self.first_seq..).zip(self.records).map(move |(seq, record)| {
            let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
            let at = RecordAt {
                file: self.position.file,
                offset: offset + 4,
                len,
            };
            offset += 4 + len;
            (seq, at, *record)
        })
    }
}

/// What is done with a frame that was found; an error is damage.
pub(crate) type Visit<'a> = dyn FnMut(Found<'_>) -> Result<(), String> + 'a;

/// A journal file, by its header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileHead {
    /// Where it is.
    pub(crate) path: PathBuf,
    /// Number of its first record.
    pub(crate) first_seq: u64,
    /// Hash of the frame before; of the first file, what tells this journal from others.
    pub(crate) continues: [u8; 32],
}

impl Journal {
    /// Opens the journal, or begins one, and hands every frame from file number `from` on to `visit` in order.
    pub(crate) fn open(options: Options, from: usize, visit: &mut Visit<'_>) -> Result<Self, OpenError> {
        let heads = prepare(&options)?;
        let (next, end) = replay(&heads, from, true, visit)?;
        let last = heads
            .last()
            .ok_or_else(|| OpenError::corrupt(&options.folder, 0, "it has no files"))?;
        let current = repair_end(&options, &last.path, &end)?;
        Ok(Self {
            current,
            offset: end.offset,
            next,
            reader: JournalReader::new(heads.into_iter().map(|head| head.path).collect()),
            options,
            failed: false,
        })
    }

    /// Number that the next record will get.
    pub(crate) fn next_seq(&self) -> u64 {
        self.next.seq
    }

    /// A reader of frames that were appended or replayed.
    pub(crate) fn reader(&self) -> JournalReader {
        self.reader.clone()
    }

    /// Makes sure that a frame of any length fits, so that a full disk is noticed before anything is decided. Says whether a file
    /// was closed for it.
    pub(crate) fn make_room(&mut self) -> std::io::Result<bool> {
        if self.failed {
            return Err(failed());
        }
        if (self.offset + MAX_FRAME_LEN) as u64 <= self.options.file_len {
            return Ok(false);
        }
        let header = Header {
            first_seq: self.next.seq,
            continues: self.next.previous,
        };
        let (path, file) = create(&self.options, &header)?;
        self.reader.push(path);
        self.current = file;
        self.offset = HEADER_LEN;
        Ok(true)
    }

    /// Appends one frame of `records` and answers when it is durable. After an error the journal takes nothing more.
    pub(crate) fn append(&mut self, records: &[Vec<u8>]) -> std::io::Result<(Position, [u8; 32])> {
        if self.failed {
            return Err(failed());
        }
        // Until the frame is known to be durable, it must be taken for torn.
        self.failed = true;
        let frame = encode_frame(self.next.seq, &self.next.previous, records)
            .filter(|frame| (self.offset + frame.len()) as u64 <= self.options.file_len)
            .ok_or_else(|| std::io::Error::other("the frame is longer than the room made for it"))?;
        self.options.io.write_at(&self.current, &frame, self.offset as u64)?;
        let synced = self.options.io.sync(&self.current);
        synced.map_err(failure::of_sync)?;
        let position = Position {
            file: self.reader.last(),
            offset: u32::try_from(self.offset).map_err(std::io::Error::other)?,
        };
        self.offset += frame.len();
        self.next.seq += records.len() as u64;
        if let Some(hash) = frame.last_chunk() {
            self.next.previous = *hash;
        }
        self.failed = false;
        Ok((position, self.next.previous))
    }
}

fn failed() -> std::io::Error {
    std::io::Error::other("an earlier write to the journal failed")
}

/// Begins a journal where there is none, and removes a file that was never finished.
pub(crate) fn prepare(options: &Options) -> Result<Vec<FileHead>, OpenError> {
    let unfinished = options.folder.join(UNFINISHED);
    durable::remove(&unfinished).map_err(OpenError::io(&unfinished, "removed"))?;
    let heads = survey(&options.folder)?;
    if !heads.is_empty() {
        return Ok(heads);
    }
    begin(options)?;
    survey(&options.folder)
}

/// The journal's files in order, by their headers.
pub(crate) fn survey(folder: &Path) -> Result<Vec<FileHead>, OpenError> {
    let head = |path: PathBuf| {
        let mut bytes = Vec::with_capacity(HEADER_LEN);
        File::open(&path)
            .and_then(|file| file.take(HEADER_LEN as u64).read_to_end(&mut bytes))
            .map_err(OpenError::io(&path, "read"))?;
        let header = read_header(&path, &bytes)?;
        Ok(FileHead {
            path,
            first_seq: header.first_seq,
            continues: header.continues,
        })
    };
    list(folder)?.into_iter().map(head).collect()
}

/// Reads closed files again, from file number `from` on: every one of `heads` but the last must be whole and continue the one
/// before, and the last must continue them.
pub(crate) fn verify(heads: &[FileHead], from: usize, visit: &mut Visit<'_>) -> Result<(), OpenError> {
    let Some((last, closed)) = heads.split_last() else {
        return Ok(());
    };
    if from >= closed.len() {
        return Ok(());
    }
    let (next, _) = replay(closed, from, false, visit)?;
    if (last.first_seq, last.continues) == (next.seq, next.previous) {
        Ok(())
    } else {
        Err(OpenError::corrupt(
            &last.path,
            0,
            "it does not continue the file before it",
        ))
    }
}

/// The journal's files in order.
fn list(folder: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let read = || -> std::io::Result<Vec<PathBuf>> {
        let mut paths = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == EXTENSION) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    };
    read().map_err(OpenError::io(folder, "listed"))
}

fn path_of(folder: &Path, first_seq: u64) -> PathBuf {
    // As wide as the largest number, so that the order of names is the order of records.
    folder.join(format!("{first_seq:020}.{EXTENSION}"))
}

fn begin(options: &Options) -> Result<(), OpenError> {
    let first = || {
        let mut continues = [0; 32];
        options.random.fill(&mut continues)?;
        let header = Header {
            first_seq: 1,
            continues,
        };
        create(options, &header)
    };
    first().map_err(OpenError::io(&options.folder, "given its first journal file"))?;
    Ok(())
}

/// Creates a file: reserved, headed and synced before it has its name, and the name synced before it is used.
fn create(options: &Options, header: &Header) -> std::io::Result<(PathBuf, File)> {
    let path = path_of(&options.folder, header.first_seq);
    let unfinished = options.folder.join(UNFINISHED);
    durable::remove(&unfinished)?;
    let file = TempFile::create(unfinished)?;
    options.io.allocate(file.file(), options.file_len)?;
    options.io.write_at(file.file(), &header.encode(), 0)?;
    let file = file.persist(&path)?;
    Ok((path, file))
}

/// Reads files in order; returns what comes next and how the last file ends. Only the end of an open file may be torn.
fn replay(heads: &[FileHead], from: usize, is_open: bool, visit: &mut Visit<'_>) -> Result<(Next, End), OpenError> {
    let mut next = None;
    let mut end = End { offset: 0, dirty: 0 };
    for (number, head) in heads.iter().enumerate().skip(from) {
        let path = &head.path;
        let file = u32::try_from(number).map_err(|_| OpenError::corrupt(path, 0, "there are too many files"))?;
        let bytes = fs::read(path).map_err(OpenError::io(path, "read"))?;
        let header = read_header(path, &bytes)?;
        let next = next.get_or_insert(Next {
            seq: if number == 0 { 1 } else { header.first_seq },
            previous: header.continues,
        });
        if (header.first_seq, header.continues) != (next.seq, next.previous) {
            let what = format!(
                "it begins with record {}, but record {} is due: a file before it is missing or does not belong here",
                header.first_seq, next.seq
            );
            return Err(OpenError::corrupt(path, 0, what));
        }
        let visit_frame = |offset: usize, frame: &format::Frame<'_>| {
            let offset = u32::try_from(offset).map_err(|_| "the file is too long".to_owned())?;
            visit(Found {
                first_seq: frame.first_seq,
                position: Position { file, offset },
                records: &frame.records,
                hash: frame.hash,
            })
        };
        end = scan(&bytes, HEADER_LEN, next, visit_frame)
            .map_err(|damage| OpenError::corrupt(path, damage.offset as u64, damage.what))?;
        let may_be_torn = is_open && number + 1 == heads.len();
        if !may_be_torn && end.dirty > end.offset {
            return Err(OpenError::corrupt(
                path,
                end.offset as u64,
                "the frame is not readable, and more files follow",
            ));
        }
    }
    let next = next.ok_or_else(|| OpenError::corrupt(Path::new("journal"), 0, "it has no files"))?;
    Ok((next, end))
}

fn read_header(path: &Path, bytes: &[u8]) -> Result<Header, OpenError> {
    let decoded = bytes.first_chunk().ok_or(HeaderError::Damaged).and_then(Header::decode);
    decoded.map_err(|error| match error {
        HeaderError::Damaged => OpenError::corrupt(path, 0, "this is not the header of a journal file"),
        HeaderError::Version(found) => OpenError::Version {
            file: path.to_owned(),
            found,
            known: VERSION,
        },
    })
}

/// Opens the last file for appending; wipes a torn frame, and reserves again what a copy may have lost.
fn repair_end(options: &Options, path: &Path, end: &End) -> Result<File, OpenError> {
    let open = || {
        let file = durable::open_existing(path)?;
        if end.dirty > end.offset {
            let (from, to) = (end.offset, end.dirty);
            tracing::warn!(file = %path.display(), from, to, "dropping a frame that was never acknowledged");
            options.io.write_at(&file, &vec![0; to - from], from as u64)?;
        }
        if file.metadata()?.len() < options.file_len {
            options.io.allocate(&file, options.file_len)?;
        }
        file.sync_all()?;
        Ok(file)
    };
    open().map_err(OpenError::io(path, "made ready for writing"))
}

#[cfg(test)]
mod tests;
