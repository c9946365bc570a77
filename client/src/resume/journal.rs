//! A file of sealed records that only grows: how far an interrupted operation has come.
//!
//! `(u32 len || salt(32) || AES-256-GCM ciphertext || tag(16))*`; key and IV of record `i` are `KDF(file's key, salt,
//! "sealpost/v1/progress\0" || u64 i, 44)`, so a record opens at its own place alone: none can be altered, dropped or moved without
//! ending the file there. What a crash tore, and anything behind it, is cut off: it is then done once more. The file is locked as
//! long as a process works on it.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use sealpost_proto::crypto::kdf;
use sealpost_sealed::FAST;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::Error;
use crate::platform;
use crate::records::KeptSecret;

const SALT_LEN: usize = 32;
const TAG_LEN: usize = 16;
/// Longest record: the draft of 65,536 files with long paths, or a request to seal them.
const MAX_RECORD: usize = 128 << 20;

/// An open journal, locked for this process.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    key: KeptSecret,
    next: u64,
}

impl Journal {
    /// Makes an empty one. Its name is not durable yet.
    pub(crate) fn create(path: &Path, key: KeptSecret) -> Result<Self, Error> {
        let failed = |error| Error::file("write", path, error);
        let file = platform::create_private(path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            key,
            next: 0,
        })
    }

    /// Opens one and hands its records to `take` in order. None if another process is working on it, or there is no such file.
    pub(crate) fn open<T: DeserializeOwned>(
        path: &Path,
        key: KeptSecret,
        mut take: impl FnMut(T),
    ) -> Result<Option<Self>, Error> {
        let failed = |error| Error::file("read", path, error);
        let file = match File::options().read(true).write(true).open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Ok(None),
            // A file system without locks is no other process.
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let mut journal = Self {
            path: path.to_owned(),
            file,
            key,
            next: 0,
        };
        let end = journal.replay(&mut take).map_err(failed)?;
        journal.file.set_len(end).map_err(failed)?;
        journal.file.seek(SeekFrom::Start(end)).map_err(failed)?;
        Ok(Some(journal))
    }

    /// Reads records up to the first that is torn or altered, and returns where it begins.
    fn replay<T: DeserializeOwned>(&mut self, take: &mut impl FnMut(T)) -> io::Result<u64> {
        let mut reader = BufReader::new(self.file.try_clone()?);
        let mut end = 0;
        while let Some(sealed) = read_record(&mut reader)? {
            let len = 4 + sealed.len() as u64;
            let Some(record) = self.open_record(sealed) else {
                break;
            };
            take(record);
            end += len;
            self.next += 1;
        }
        Ok(end)
    }

    fn open_record<T: DeserializeOwned>(&self, mut sealed: Zeroizing<Vec<u8>>) -> Option<T> {
        let (salt, buffer) = sealed.split_first_chunk_mut::<SALT_LEN>()?;
        let keys = self.keys(salt);
        let (key, iv) = (keys.first_chunk()?, keys.last_chunk()?);
        FAST.aead_open(key, iv, buffer).ok()?;
        let plaintext = buffer.get(..buffer.len().checked_sub(TAG_LEN)?)?;
        serde_json::from_slice(plaintext).ok()
    }

    /// Adds a record durably.
    pub(crate) fn append(&mut self, record: &impl Serialize, env: &Env) -> Result<(), Error> {
        let sealed = self.seal_record(record, env)?;
        let failed = |error| Error::file("write", &self.path, error);
        self.file
            .write_all(&sealed)
            .and_then(|()| self.file.sync_data())
            .map_err(failed)?;
        self.next += 1;
        Ok(())
    }

    fn seal_record(&self, record: &impl Serialize, env: &Env) -> Result<Vec<u8>, Error> {
        let mut buffer = Zeroizing::new(serde_json::to_vec(record).map_err(|_| Error::State)?);
        let salt: [u8; SALT_LEN] = env.draw();
        let keys = self.keys(&salt);
        let (Some(key), Some(iv)) = (keys.first_chunk(), keys.last_chunk()) else {
            return Err(Error::State);
        };
        let tag = FAST.aead_seal(key, iv, &mut buffer).map_err(|_| Error::State)?;
        let len = SALT_LEN + buffer.len() + TAG_LEN;
        let head = u32::try_from(len).ok().filter(|_| len <= MAX_RECORD);
        let head = head.ok_or(Error::Internal("a record of what was begun is too long"))?;
        Ok([&head.to_be_bytes(), &salt[..], &buffer, &tag].concat())
    }

    fn keys(&self, salt: &[u8; SALT_LEN]) -> Zeroizing<[u8; 44]> {
        kdf(
            self.key.as_bytes(),
            salt,
            &[b"sealpost/v1/progress\0", &self.next.to_be_bytes()],
        )
    }

    /// Removes the file.
    pub(crate) fn remove(self) -> Result<(), Error> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", &self.path, error)),
            _ => Ok(()),
        }
    }
}

/// Salt, ciphertext and tag of the next record; none at the end, and where it is torn.
fn read_record(reader: &mut impl Read) -> io::Result<Option<Zeroizing<Vec<u8>>>> {
    let mut head = Vec::with_capacity(4);
    reader.take(4).read_to_end(&mut head)?;
    let Ok(head) = <[u8; 4]>::try_from(head) else {
        return Ok(None);
    };
    let len = u32::from_be_bytes(head) as usize;
    if !(SALT_LEN + TAG_LEN..=MAX_RECORD).contains(&len) {
        return Ok(None);
    }
    let mut record = Zeroizing::new(Vec::new());
    reader.take(len as u64).read_to_end(&mut record)?;
    Ok((record.len() == len).then_some(record))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: [u8; 32] = [7; 32];

    fn written(path: &Path, records: &[&str]) {
        let mut journal = Journal::create(path, KeptSecret::new(&KEY)).unwrap();
        for record in records {
            journal.append(record, &Env::system()).unwrap();
        }
    }

    fn read(path: &Path) -> Vec<String> {
        let mut records = Vec::new();
        Journal::open(path, KeptSecret::new(&KEY), |record: String| records.push(record)).unwrap();
        records
    }

    /// Records as they lie in the file.
    fn pieces(path: &Path) -> Vec<Vec<u8>> {
        let bytes = fs::read(path).unwrap();
        let mut rest = bytes.as_slice();
        let mut pieces = Vec::new();
        while !rest.is_empty() {
            let len = 4 + u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
            pieces.push(rest[..len].to_vec());
            rest = &rest[len..];
        }
        pieces
    }

    #[test]
    fn goes_on_behind_what_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        written(&path, &["Smith John", "two"]);
        assert!(!fs::read(&path).unwrap().windows(5).any(|w| w == b"Smith"));
        let journal = Journal::open(&path, KeptSecret::new(&KEY), |_: String| ()).unwrap();
        journal.unwrap().append(&"three", &Env::system()).unwrap();
        assert_eq!(read(&path), ["Smith John", "two", "three"]);
    }

    #[test]
    fn a_torn_tail_is_cut_off_wherever_it_is_torn() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        written(&path, &["one", "two"]);
        let whole = fs::read(&path).unwrap();
        let first = pieces(&path)[0].len();
        for len in 0..whole.len() {
            fs::write(&path, &whole[..len]).unwrap();
            let expected: &[&str] = if len < first { &[] } else { &["one"] };
            assert_eq!(read(&path), expected, "{len} bytes");
            let journal = Journal::open(&path, KeptSecret::new(&KEY), |_: String| ()).unwrap();
            journal.unwrap().append(&"again", &Env::system()).unwrap();
            assert_eq!(read(&path).last().unwrap(), "again", "{len} bytes");
        }
        let unwritten = [whole.as_slice(), &[0; 4096]].concat();
        fs::write(&path, unwritten).unwrap();
        assert_eq!(read(&path), ["one", "two"], "blocks that were never written");
    }

    #[test]
    fn nothing_is_dropped_moved_or_altered_unnoticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        written(&path, &["one", "two", "three"]);
        let pieces = pieces(&path);
        let after = |order: &[usize]| {
            let bytes: Vec<u8> = order.iter().flat_map(|at| pieces[*at].clone()).collect();
            fs::write(&path, bytes).unwrap();
            read(&path)
        };
        assert_eq!(after(&[0, 1, 2]), ["one", "two", "three"]);
        assert_eq!(after(&[0, 2]), ["one"]);
        assert_eq!(after(&[1, 2]), Vec::<String>::new());
        assert_eq!(after(&[0, 2, 1]), ["one"]);
        assert_eq!(after(&[0, 0, 1]), ["one"]);
        let mut bytes = pieces.concat();
        bytes[pieces[0].len() + 40] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path), ["one"]);
    }

    #[test]
    fn one_process_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("j");
        let open = || Journal::open(&path, KeptSecret::new(&KEY), |_: String| ()).unwrap();
        assert!(open().is_none(), "there is none");
        let living = Journal::create(&path, KeptSecret::new(&KEY)).unwrap();
        assert!(open().is_none(), "somebody works on it");
        drop(living);
        assert!(open().is_some());
    }
}
