//! Snapshots: the state at the end of a closed journal file, made from the snapshot before and the files closed since, never from
//! sled. A start without views begins with the newest good one.
//!
//! ```text
//! file  = "sealpost-snapsho" || u32 version 1 || u32 length of the head || head || SHA-256 of all before
//!         || piece* || u8 0 || SHA-256 of all before
//! head  = what the snapshot is of, as the views say it of themselves
//! piece = u8 1 || u32 length || aggregate   |   u8 2 || u32 length || u16 length of the name || name || value
//! ```
//!
//! Numbers are big-endian; aggregates, heads and values are those of `views`. Pieces stand in no order that anybody relies on;
//! aggregates stand mostly in the order of their births.

mod format;
mod make;
mod worker;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

pub(super) use self::format::{Piece, Reader};
pub(super) use self::worker::{Signal, Worker};
use super::journal::FileHead;
use super::views::layer::Mark;
use crate::store::open::OpenError;

const EXTENSION: &str = "snapshot";

/// A snapshot whose head is good and of this journal.
#[derive(Debug, Clone)]
pub(super) struct Snapshot {
    pub(super) path: PathBuf,
    /// Number of the first file that it does not hold.
    pub(super) next_file: usize,
    /// Its length in bytes.
    pub(super) len: u64,
}

/// Snapshots of the journal with these files, newest first. Others are no snapshots of it, or damaged: they are told and passed
/// over.
pub(super) fn list(folder: &Path, files: &[FileHead]) -> Result<Vec<Snapshot>, OpenError> {
    let mut paths = named(folder).map_err(OpenError::io(folder, "listed"))?;
    paths.sort();
    let identity = files.first().map(|file| file.continues).unwrap_or_default();
    let read = |path: PathBuf| {
        let place = |mark: &Mark| {
            let next = |file: &FileHead| (file.first_seq, file.continues) == (mark.seq + 1, mark.frame);
            files.iter().position(next)
        };
        let opened = Reader::open(&path, &identity).ok();
        let found = opened.and_then(|reader| Some((place(reader.mark())?, reader)));
        let Some((next_file, reader)) = found else {
            tracing::warn!(file = %path.display(), "this is not a good snapshot of the journal; passing it over");
            return None;
        };
        Some(Snapshot {
            path,
            next_file,
            len: reader.len(),
        })
    };
    Ok(paths.into_iter().rev().filter_map(read).collect())
}

/// Files with names of snapshots, in no order.
fn named(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let seq = path.file_stem().and_then(|stem| stem.to_str()?.parse().ok());
        if seq.is_some_and(|seq| path == path_of(folder, seq)) {
            paths.push(path);
        }
    }
    Ok(paths)
}

fn path_of(folder: &Path, seq: u64) -> PathBuf {
    folder.join(format!("{seq:020}.{EXTENSION}"))
}
