//! The blobs in their folders, in the order of their keys, a page at a time.
//!
//! One folder of names is held at a time, and only the files of the page are looked at. What is no blob is passed over: it is not
//! ours to judge.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use crate::store::blob::{BlobEntry, BlobKey};

/// The folder in which a blob of this name lies.
pub(super) fn prefix(name: &str) -> String {
    name.chars().take(2).collect()
}

/// The first `limit` blobs below `blobs` whose keys come after `after`.
pub(super) fn page(blobs: &Path, after: Option<&BlobKey>, limit: usize) -> io::Result<Vec<BlobEntry>> {
    let (after_kind, after_name) = after.and_then(|key| key.as_str().split_once('/')).unwrap_or_default();
    let after_prefix = prefix(after_name);
    let mut page = Vec::new();
    for (kind, folder) in sorted(blobs)? {
        if kind.as_str() < after_kind {
            continue;
        }
        for (prefix, folder) in sorted(&folder)? {
            if kind == after_kind && prefix < after_prefix {
                continue;
            }
            add(&kind, &folder, after, limit, &mut page)?;
            if page.len() >= limit {
                return Ok(page);
            }
        }
    }
    Ok(page)
}

/// Adds the blobs of one folder until the page is full.
fn add(kind: &str, folder: &Path, after: Option<&BlobKey>, limit: usize, page: &mut Vec<BlobEntry>) -> io::Result<()> {
    let keyed = sorted(folder)?.into_iter().filter_map(|(name, path)| {
        let key = BlobKey::parse(&format!("{kind}/{}", name.replacen('.', "/", 1)))?;
        after.is_none_or(|after| *after < key).then_some((key, path))
    });
    let mut keyed: Vec<(BlobKey, PathBuf)> = keyed.collect();
    keyed.sort_unstable();
    for (key, path) in keyed {
        if page.len() >= limit {
            break;
        }
        match fs::metadata(&path) {
            Ok(metadata) => page.push(entry(key, &metadata)?),
            // Removed since the folder was read.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn entry(key: BlobKey, metadata: &Metadata) -> io::Result<BlobEntry> {
    let written_at = metadata.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(BlobEntry {
        key,
        len: metadata.len(),
        written_at: written_at.as_secs(),
    })
}

/// What is in a folder, by name; none in one that is not there.
fn sorted(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound || error.kind() == io::ErrorKind::NotADirectory => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry?;
        found.extend(entry.file_name().into_string().ok().map(|name| (name, entry.path())));
    }
    found.sort_unstable();
    Ok(found)
}
