//! A file of fixed slots, written and zeroed in place, each with one fdatasync.
//!
//! `header(64) || slot*`. A slot of zeros is free. Slots are 64 or 128 bytes and aligned, so none straddles a sector.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::store::durable::{self, TempFile};
use crate::store::embedded::journal::FileIo;
use crate::store::failure;
use crate::store::open::OpenError;

const HEADER_LEN: usize = 64;
const VERSION: u32 = 1;
/// Slots that a file grows by.
const GROWTH: usize = 256;

/// A file of slots of `LEN` bytes.
#[derive(Debug)]
pub(super) struct Slots<const LEN: usize> {
    io: Arc<dyn FileIo>,
    file: File,
    path: PathBuf,
    count: u32,
    free: Vec<u32>,
}

impl<const LEN: usize> Slots<LEN> {
    /// Opens the file, or makes it with `magic` as its first 16 bytes. Hands every used slot to `visit`, which says whether it
    /// is to be kept; what is not is zeroed.
    pub(super) fn open(
        path: &Path,
        magic: &[u8; 16],
        io: &Arc<dyn FileIo>,
        visit: &mut dyn FnMut(u32, &[u8; LEN]) -> bool,
    ) -> Result<Self, OpenError> {
        if !path.exists() {
            create::<LEN>(path, magic, io.as_ref()).map_err(OpenError::io(path, "created"))?;
        }
        let bytes = zeroize::Zeroizing::new(std::fs::read(path).map_err(OpenError::io(path, "read"))?);
        let (header, slots) = bytes.split_at_checked(HEADER_LEN).unwrap_or((&[], &[]));
        check_header(path, header, magic)?;
        let (slots, _) = slots.as_chunks::<LEN>();
        let file = durable::open_existing(path).map_err(OpenError::io(path, "opened"))?;
        let count = u32::try_from(slots.len()).map_err(|_| OpenError::corrupt(path, 0, "it is too long"))?;
        let mut opened = Self {
            io: Arc::clone(io),
            file,
            path: path.to_owned(),
            count,
            free: Vec::new(),
        };
        let mut unkept = Vec::new();
        // From the end, so that the first free slot is used first.
        for (slot, bytes) in (0..count).zip(slots).rev() {
            if bytes.iter().all(|byte| *byte == 0) {
                opened.free.push(slot);
            } else if !visit(slot, bytes) {
                unkept.push(slot);
            }
        }
        opened.zero(&unkept).map_err(OpenError::io(path, "cleaned"))?;
        Ok(opened)
    }

    /// Free slots, taken; the file grows first where there are too few, so that a full disk is noticed before anything is written.
    fn take_free(&mut self, wanted: usize) -> io::Result<Vec<u32>> {
        if let Some(missing) = wanted.checked_sub(self.free.len()).filter(|missing| *missing > 0) {
            self.grow(missing.next_multiple_of(GROWTH))?;
        }
        let rest = self.free.len().saturating_sub(wanted);
        Ok(self.free.split_off(rest))
    }

    fn grow(&mut self, by: usize) -> io::Result<()> {
        let added = u32::try_from(by).ok().and_then(|by| self.count.checked_add(by));
        let count = added.ok_or_else(|| io::Error::other("the file is too long"))?;
        let zeros = vec![0; GROWTH * LEN];
        for slot in (self.count..count).step_by(GROWTH) {
            self.io.write_at(&self.file, &zeros, offset::<LEN>(slot))?;
        }
        self.file.sync_all().map_err(failure::of_sync)?;
        let mut free: Vec<u32> = (self.count..count).rev().collect();
        free.append(&mut self.free);
        (self.free, self.count) = (free, count);
        Ok(())
    }

    /// Takes free slots and writes them, durably. On a full disk they stay free, and nothing is left in them: what nobody knows of
    /// nobody destroys.
    pub(super) fn fill(&mut self, contents: &[&[u8; LEN]]) -> io::Result<Vec<u32>> {
        let taken = self.take_free(contents.len())?;
        let mut pairs = taken.iter().zip(contents);
        if let Err(error) = pairs.try_for_each(|(slot, bytes)| self.write(*slot, bytes)) {
            self.zero(&taken).map_err(failure::of_sync)?;
            return Err(error);
        }
        self.sync()?;
        Ok(taken)
    }

    /// Writes a slot; durable after [`Slots::sync`].
    pub(super) fn write(&self, slot: u32, bytes: &[u8; LEN]) -> io::Result<()> {
        self.io.write_at(&self.file, bytes, offset::<LEN>(slot))
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.io.sync(&self.file).map_err(failure::of_sync)
    }

    pub(super) fn read(&self, slot: u32) -> io::Result<[u8; LEN]> {
        let mut bytes = [0; LEN];
        self.file.read_exact_at(&mut bytes, offset::<LEN>(slot))?;
        Ok(bytes)
    }

    /// Zeroes slots in place, durably, and frees them.
    pub(super) fn zero(&mut self, slots: &[u32]) -> io::Result<()> {
        if slots.is_empty() {
            return Ok(());
        }
        for slot in slots {
            self.write(*slot, &[0; LEN])?;
        }
        self.sync()?;
        self.free.extend(slots);
        Ok(())
    }

    /// Zeroes all slots in place and removes the file.
    pub(super) fn remove(&self) -> io::Result<()> {
        let zeros = vec![0; GROWTH * LEN];
        for slot in (0..self.count).step_by(GROWTH) {
            let left = (self.count - slot) as usize * LEN;
            let (part, _) = zeros.split_at(left.min(zeros.len()));
            self.io.write_at(&self.file, part, offset::<LEN>(slot))?;
        }
        self.sync()?;
        durable::remove(&self.path)?;
        durable::sync_folder(durable::parent_of(&self.path))
    }
}

fn offset<const LEN: usize>(slot: u32) -> u64 {
    HEADER_LEN as u64 + u64::from(slot) * LEN as u64
}

fn create<const LEN: usize>(path: &Path, magic: &[u8; 16], io: &dyn FileIo) -> io::Result<()> {
    let unfinished = path.with_extension("unfinished");
    durable::remove(&unfinished)?;
    let file = TempFile::create(unfinished)?;
    let mut bytes = magic.to_vec();
    bytes.extend_from_slice(&VERSION.to_be_bytes());
    bytes.resize(HEADER_LEN + GROWTH * LEN, 0);
    io.write_at(file.file(), &bytes, 0)?;
    file.persist(path)?;
    Ok(())
}

fn check_header(path: &Path, header: &[u8], magic: &[u8; 16]) -> Result<(), OpenError> {
    let rest = header.strip_prefix(magic.as_slice());
    let Some((version, _)) = rest.and_then(|rest| rest.split_first_chunk()) else {
        return Err(OpenError::corrupt(path, 0, "this is not the header of such a file"));
    };
    match u32::from_be_bytes(*version) {
        VERSION => Ok(()),
        found => Err(OpenError::Version {
            file: path.to_owned(),
            found,
            known: VERSION,
        }),
    }
}
