//! Reads and writes the pieces of a snapshot in a stream.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use sealpost_proto::crypto::Sha256;

use crate::store::durable::TempFile;
use crate::store::embedded::views::layer::Mark;
use crate::store::embedded::views::shelf::Meta;

const MAGIC: &[u8; 16] = b"sealpost-snapsho";
const VERSION: u32 = 1;
const END: u8 = 0;
const AGGREGATE: u8 = 1;
const ENTRY: u8 = 2;
/// Longest piece that is read: an aggregate of some hundred thousand parts is shorter.
const MAX_PIECE: u32 = 256 * 1024 * 1024;
const BUFFER: usize = 1024 * 1024;

/// A piece of a snapshot.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::store::embedded) enum Piece {
    /// An aggregate, encoded.
    Aggregate(Vec<u8>),
    /// An entry that does not follow from an aggregate.
    Entry(Vec<u8>, Vec<u8>),
}

/// A snapshot being read. What it gave is good only when the end was reached.
#[derive(Debug)]
pub(in crate::store::embedded) struct Reader {
    file: BufReader<File>,
    hash: Sha256,
    mark: Mark,
    len: u64,
}

impl Reader {
    /// Opens a snapshot of the journal with this identity.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if it is none.
    pub(in crate::store::embedded) fn open(path: &Path, identity: &[u8; 32]) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut reader = Self {
            file: BufReader::with_capacity(BUFFER, file),
            hash: Sha256::new(),
            mark: Mark::default(),
            len,
        };
        let is_ours = reader.array::<16>()? == *MAGIC && reader.array()? == VERSION.to_be_bytes();
        let head_len = u32::from_be_bytes(reader.array()?);
        if !is_ours || head_len > 64 * 1024 {
            return Err(damaged());
        }
        let head = reader.bytes(head_len)?;
        reader.check_hash()?;
        let meta: Meta = postcard::from_bytes(&head).map_err(|_| damaged())?;
        reader.mark = meta.mark(identity).ok_or_else(damaged)?;
        Ok(reader)
    }

    pub(in crate::store::embedded) fn mark(&self) -> &Mark {
        &self.mark
    }

    /// Length of the file.
    pub(in crate::store::embedded) fn len(&self) -> u64 {
        self.len
    }

    /// The next piece; `None` at the end, when all of it was what was written.
    pub(in crate::store::embedded) fn next(&mut self) -> io::Result<Option<Piece>> {
        let [kind] = self.array()?;
        if kind == END {
            self.check_hash()?;
            return Ok(None);
        }
        let len = u32::from_be_bytes(self.array()?);
        if len > MAX_PIECE {
            return Err(damaged());
        }
        let bytes = self.bytes(len)?;
        match kind {
            AGGREGATE => Ok(Some(Piece::Aggregate(bytes))),
            ENTRY => {
                let (name_len, rest) = bytes.split_first_chunk().ok_or_else(damaged)?;
                let split = rest.split_at_checked(usize::from(u16::from_be_bytes(*name_len)));
                let (name, value) = split.ok_or_else(damaged)?;
                Ok(Some(Piece::Entry(name.to_vec(), value.to_vec())))
            }
            _ => Err(damaged()),
        }
    }

    fn array<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.file.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn bytes(&mut self, len: u32) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.file.read_exact(&mut bytes)?;
        self.hash.update(&bytes);
        Ok(bytes)
    }

    fn check_hash(&mut self) -> io::Result<()> {
        let expected = self.hash.clone().finish();
        if self.array::<32>()? == expected {
            Ok(())
        } else {
            Err(damaged())
        }
    }
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the snapshot is damaged")
}

/// A snapshot being written; nothing stays of it unless it is finished.
#[derive(Debug)]
pub(in crate::store::embedded) struct Writer {
    file: TempFile,
    /// Not written yet.
    buffer: Vec<u8>,
    hash: Sha256,
}

impl Writer {
    /// Begins a snapshot of what `meta` says, under a temporary name.
    pub(in crate::store::embedded) fn create(path: &Path, meta: &Meta) -> io::Result<Self> {
        crate::store::durable::remove(path)?;
        let mut writer = Self {
            file: TempFile::create(path.to_owned())?,
            buffer: Vec::with_capacity(BUFFER),
            hash: Sha256::new(),
        };
        let head = postcard::to_stdvec(meta).map_err(io::Error::other)?;
        writer.put(MAGIC)?;
        writer.put(&VERSION.to_be_bytes())?;
        writer.put(&len_of(&head)?)?;
        writer.put(&head)?;
        writer.seal()?;
        Ok(writer)
    }

    /// Adds an encoded aggregate.
    pub(in crate::store::embedded) fn aggregate(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(&[AGGREGATE])?;
        self.put(&len_of(bytes)?)?;
        self.put(bytes)
    }

    /// Adds an entry.
    pub(in crate::store::embedded) fn entry(&mut self, name: &[u8], value: &[u8]) -> io::Result<()> {
        let name_len = u16::try_from(name.len()).map_err(io::Error::other)?.to_be_bytes();
        self.put(&[ENTRY])?;
        let len = u32::try_from(2 + name.len() + value.len()).map_err(io::Error::other)?;
        self.put(&len.to_be_bytes())?;
        self.put(&name_len)?;
        self.put(name)?;
        self.put(value)
    }

    /// Ends it, makes it durable and gives it its name.
    pub(in crate::store::embedded) fn finish(mut self, path: &Path) -> io::Result<()> {
        self.put(&[END])?;
        self.seal()?;
        self.flush()?;
        self.file.persist(path)?;
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER {
            self.flush()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.hash.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    fn seal(&mut self) -> io::Result<()> {
        self.flush()?;
        let hash = self.hash.clone().finish();
        self.put(&hash)
    }
}

fn len_of(bytes: &[u8]) -> io::Result<[u8; 4]> {
    Ok(u32::try_from(bytes.len()).map_err(io::Error::other)?.to_be_bytes())
}
