//! Reads frames back from the journal's files, each verified against its own hash.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use super::format::{FRAME_HEAD_LEN, Frame, HEADER_LEN, claimed_len};
use super::{Position, RecordAt};

/// Offset of the first frame in a file.
const FIRST_FRAME: u32 = 96;
const _: () = assert!(FIRST_FRAME as usize == HEADER_LEN);

/// Reads frames by position. Clones share the list of files.
#[derive(Debug, Clone)]
pub(crate) struct JournalReader {
    paths: Arc<RwLock<Vec<PathBuf>>>,
}

impl JournalReader {
    /// A reader of these files, in order.
    pub(crate) fn new(paths: Vec<PathBuf>) -> Self {
        Self {
            paths: Arc::new(RwLock::new(paths)),
        }
    }

    pub(super) fn push(&self, path: PathBuf) {
        self.paths.write().unwrap_or_else(PoisonError::into_inner).push(path);
    }

    /// Number of the last file.
    pub(super) fn last(&self) -> u32 {
        let files = self.paths.read().unwrap_or_else(PoisonError::into_inner).len();
        u32::try_from(files.saturating_sub(1)).unwrap_or(u32::MAX)
    }

    /// The bytes of a record that [`super::Found`] gave, by its place in the file. Its frame vouched for it then.
    pub(crate) fn record(&self, at: RecordAt) -> io::Result<Vec<u8>> {
        let path = self.path(at.file).ok_or(io::ErrorKind::NotFound)?;
        let mut bytes = vec![0; usize::try_from(at.len).map_err(io::Error::other)?];
        File::open(path)?.read_exact_at(&mut bytes, u64::from(at.offset))?;
        Ok(bytes)
    }

    /// Hands the records of each frame from `position` on to `visit`, until that returns `false` or the files end.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if what is there is not a good frame; others as the system gives them.
    pub(crate) fn walk(
        &self,
        mut position: Position,
        visit: &mut dyn FnMut(&[&[u8]]) -> io::Result<bool>,
    ) -> io::Result<()> {
        while let Some(path) = self.path(position.file) {
            let file = File::open(path)?;
            while let Some(bytes) = read_frame(&file, position.offset)? {
                let frame = Frame::decode(&bytes).ok_or(io::ErrorKind::InvalidData)?;
                if !visit(&frame.records)? {
                    return Ok(());
                }
                position.offset += u32::try_from(bytes.len()).map_err(io::Error::other)?;
            }
            position = Position {
                file: position.file + 1,
                offset: FIRST_FRAME,
            };
        }
        Ok(())
    }

    fn path(&self, file: u32) -> Option<PathBuf> {
        let paths = self.paths.read().unwrap_or_else(PoisonError::into_inner);
        paths.get(usize::try_from(file).ok()?).cloned()
    }
}

/// The bytes of the frame at `offset`; `None` where the frames of the file end.
fn read_frame(file: &File, offset: u32) -> io::Result<Option<Vec<u8>>> {
    let mut head = [0; FRAME_HEAD_LEN];
    match file.read_exact_at(&mut head, u64::from(offset)) {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    if head.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let len = claimed_len(&head).ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = vec![0; len];
    file.read_exact_at(&mut bytes, u64::from(offset))?;
    Ok(Some(bytes))
}
