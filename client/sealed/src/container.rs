//! Reading an offline container (`*.sealed`) from anything that can seek: segment by segment, never the whole of it.

use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use sealpost_proto::sealed::{
    ContainerMap, Envelope, LeafHasher, PayloadLayout, Reason, SEAL_LEN, STORED_SEGMENT_LEN, Seal,
};
use thiserror::Error;

/// Why a container could not be read.
#[derive(Debug, Error)]
pub enum ContainerError {
    /// It is no container, or a broken one.
    #[error("{0}")]
    Refused(#[from] Reason),
    /// Reading failed.
    #[error("The container could not be read: {0}.")]
    Io(#[from] io::Error),
}

/// A container behind a reader.
#[derive(Debug)]
pub struct ContainerReader<R> {
    reader: R,
    map: ContainerMap,
    envelope: Envelope,
}

impl<R: Read + Seek> ContainerReader<R> {
    /// Finds the pieces from both ends and parses all but the payload.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn new(mut reader: R) -> Result<Self, ContainerError> {
        let len = reader.seek(SeekFrom::End(0))?;
        let head_len = ContainerMap::HEAD_LEN as u64;
        let seal_start = len.checked_sub(SEAL_LEN as u64).ok_or(Reason::Format)?;
        if seal_start < head_len {
            return Err(Reason::Format.into());
        }
        let head = read(&mut reader, &(0..head_len))?;
        let head = head.as_slice().try_into().map_err(|_| Reason::Format)?;
        let seal = read(&mut reader, &(seal_start..len))?;
        let map = ContainerMap::new(len, head, &Seal::parse(&seal)?)?;
        let block = read(&mut reader, &map.block)?;
        let len_word = read(&mut reader, &(map.payload.end..map.manifest_box.start))?;
        let manifest_box = read(&mut reader, &map.manifest_box)?;
        let box_len = u32::try_from(manifest_box.len()).map_err(|_| Reason::Format)?;
        if len_word != box_len.to_be_bytes() {
            return Err(Reason::Format.into());
        }
        let (header, _) = head.split_last_chunk::<4>().ok_or(Reason::Format)?;
        let envelope = Envelope::parse(header, &block, &manifest_box, &seal)?;
        Ok(Self { reader, map, envelope })
    }

    /// Everything but the payload; not verified yet.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        &self.envelope
    }

    /// The leaf list of the stored payload, as [`crate::Opener::payload`] wants it; reads all of it once.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn leaf_list(&mut self) -> Result<Vec<u8>, ContainerError> {
        self.reader.seek(SeekFrom::Start(self.map.payload.start))?;
        let mut left = self.map.payload.end - self.map.payload.start;
        let mut buffer = vec![0; STORED_SEGMENT_LEN];
        let mut hasher = LeafHasher::new();
        while left > 0 {
            let here = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer.get_mut(..here).unwrap_or_default();
            self.reader.read_exact(piece)?;
            hasher.update(piece);
            left -= here as u64;
        }
        Ok(hasher.finish().as_flattened().to_vec())
    }

    /// Reads stored segment `index` into `buffer`, which it resizes.
    ///
    /// # Errors
    /// [`ContainerError`].
    pub fn read_segment(
        &mut self,
        layout: &PayloadLayout,
        index: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<(), ContainerError> {
        let range = layout.stored_range(index).ok_or(Reason::Segment)?;
        let len = usize::try_from(range.end - range.start).map_err(|_| Reason::Segment)?;
        buffer.resize(len, 0);
        let start = self.map.payload.start + range.start;
        self.reader.seek(SeekFrom::Start(start))?;
        self.reader.read_exact(buffer)?;
        Ok(())
    }
}

/// Reads a range that the map has bounded.
fn read<R: Read + Seek>(reader: &mut R, range: &Range<u64>) -> Result<Vec<u8>, ContainerError> {
    let len = usize::try_from(range.end - range.start).map_err(|_| Reason::Format)?;
    let mut bytes = vec![0; len];
    reader.seek(SeekFrom::Start(range.start))?;
    reader.read_exact(&mut bytes)?;
    Ok(bytes)
}
