//! Mirrors of the gateway's two logs: all leaves, recomputed, under checkpoints that only grow (security.md 2.3, N80 and N81).
//!
//! A client that holds every leaf needs no proofs: it appends what is new to what it has and compares the head. What is on disk
//! counts up to the last checkpoint that was written; the checkpoint is the commit point. Which log it is and what its leaves
//! mean is the caller's business.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use sealpost_proto::id::{Hash, PublicKey};
use sealpost_proto::log::Checkpoint;
use sealpost_proto::tree::{Tree, leaf_hash};
use thiserror::Error;

use crate::api::Api;
use crate::budget::Budget;
use crate::error::Error;
use crate::platform;

const MAX_CHECKPOINT_LEN: u64 = 8 * 1024;
const LEAVES: &str = "leaves";
const CHECKPOINT: &str = "checkpoint";

/// Whether a mirror that counts lies in this folder.
pub(crate) fn is_mirrored(dir: &Path) -> bool {
    dir.join(CHECKPOINT).exists()
}

/// Why a log cannot be trusted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LogError {
    /// The checkpoint is not signed by the log key of the enrolment, or is for another log.
    #[error(
        "The gateway's {0} log is not signed by the key in your enrolment; do not continue, and tell your administrator."
    )]
    Checkpoint(String),
    /// The log is shorter than what this client has seen.
    #[error(
        "The gateway's {0} log is shorter than what this device has already seen, as after a restored backup or a fraud; tell your administrator."
    )]
    Smaller(String),
    /// The leaves are not those of the checkpoint, or what was there before has changed.
    #[error(
        "The gateway's {0} log does not continue what this device has already seen: its past was changed; do not continue, and tell your administrator and privacy officer."
    )]
    Inconsistent(String),
    /// A leaf or what belongs to it breaks a rule of the log.
    #[error(
        "The gateway's {0} log holds an entry that breaks its rules (entry {1}: {2}); do not continue, and tell your administrator."
    )]
    Entry(String, u64, String),
    /// The gateway says that the log was restarted after a loss, and what it says does not hold.
    #[error(
        "The gateway says that its {0} log was restarted after a loss, but {1}; do not continue, and tell your administrator and privacy officer."
    )]
    Restart(String, &'static str),
    /// The mirror on this device was altered.
    #[error(
        "This device's copy of the {0} log is damaged; restore the client's folder from your backup, or delete that folder's `{0}` folder to fetch the log anew (a rollback by the gateway up to now then goes unnoticed)."
    )]
    Damaged(String),
}

/// A log's leaves as they are on this device.
#[derive(Debug, Clone)]
pub struct LogMirror {
    dir: PathBuf,
    name: &'static str,
    origin: String,
    log_key: PublicKey,
    checkpoint: String,
    lines: Vec<String>,
    tree: Tree,
}

/// Leaves that were fetched and stand under a verified checkpoint, not yet written.
#[derive(Debug)]
pub struct Growth {
    checkpoint: String,
    lines: Vec<String>,
    tree: Tree,
}

impl Growth {
    /// The new leaves.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

impl LogMirror {
    /// Loads the mirror of the log `name` (`directory` or `audit`) from its folder and verifies it whole.
    ///
    /// # Errors
    /// [`LogError::Damaged`] or [`Error::File`].
    pub fn load(dir: PathBuf, name: &'static str, origin: String, log_key: PublicKey) -> Result<Self, Error> {
        let mut mirror = Self {
            dir,
            name,
            origin,
            log_key,
            checkpoint: String::new(),
            lines: Vec::new(),
            tree: Tree::new(),
        };
        mirror.checkpoint = mirror.checkpoint_on_disk()?;
        if mirror.checkpoint.is_empty() {
            return Ok(mirror);
        }
        let checkpoint = Checkpoint::verify(&mirror.checkpoint, &mirror.origin, &mirror.log_key);
        let checkpoint = checkpoint.map_err(|_| mirror.damaged())?;
        mirror.lines = mirror.read_lines(LEAVES, checkpoint.size)?;
        for line in &mirror.lines {
            mirror.tree.push(leaf_hash(line.as_bytes()));
        }
        if mirror.head() != checkpoint.root {
            return Err(mirror.damaged().into());
        }
        Ok(mirror)
    }

    /// The text of the checkpoint that counts; empty before the first.
    fn checkpoint_on_disk(&self) -> Result<String, Error> {
        let path = self.dir.join(CHECKPOINT);
        match platform::read_limited(&path, MAX_CHECKPOINT_LEN) {
            Ok(bytes) => Ok(String::from_utf8(bytes).map_err(|_| self.damaged())?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            Err(error) => Err(Error::file("read", &path, error)),
        }
    }

    /// Whether nobody has written to the mirror since it was loaded.
    ///
    /// # Errors
    /// [`LogError::Damaged`] or [`Error::File`].
    pub fn is_current(&self) -> Result<bool, Error> {
        Ok(self.checkpoint_on_disk()? == self.checkpoint)
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.tree.size()
    }

    /// Head of the tree over them.
    #[must_use]
    pub fn head(&self) -> Hash {
        Hash::from_bytes(self.tree.head())
    }

    /// Head of the tree over the first `size` leaves; none if this mirror has fewer.
    #[must_use]
    pub fn head_at(&self, size: u64) -> Option<Hash> {
        if size == self.size() {
            return Some(self.head());
        }
        let lines = self.lines.get(..usize::try_from(size).ok()?)?;
        let mut tree = Tree::new();
        for line in lines {
            tree.push(leaf_hash(line.as_bytes()));
        }
        Some(Hash::from_bytes(tree.head()))
    }

    /// Takes leaves without a checkpoint, in memory alone.
    #[cfg(test)]
    pub(crate) fn push(&mut self, lines: &[String]) {
        for line in lines {
            self.tree.push(leaf_hash(line.as_bytes()));
            self.lines.push(line.clone());
        }
    }

    /// The leaves.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }

    /// The error that says that this mirror was altered.
    #[must_use]
    pub fn damaged(&self) -> LogError {
        LogError::Damaged(self.name.to_owned())
    }

    /// The error that says that an entry breaks a rule.
    #[must_use]
    pub fn bad_entry(&self, index: u64, why: &dyn std::fmt::Display) -> LogError {
        LogError::Entry(self.name.to_owned(), index, why.to_string())
    }

    /// Fetches the checkpoint and what is new under it, and verifies both. None when nothing is new.
    ///
    /// # Errors
    /// [`LogError`] or [`Error::Api`].
    pub async fn fetch(&self, api: &Api) -> Result<Option<Growth>, Error> {
        let text = api.checkpoint(self.name).await?;
        self.fetch_under(api, text).await
    }

    /// Fetches what is new under a checkpoint that was fetched already, and verifies both. None when nothing is new.
    ///
    /// # Errors
    /// [`LogError`] or [`Error::Api`].
    pub async fn fetch_under(&self, api: &Api, text: String) -> Result<Option<Growth>, Error> {
        let checkpoint = self.check(&text)?;
        let mut budget = Budget::new("log entries", checkpoint.size.saturating_sub(self.size()))?;
        let mut lines: Vec<String> = Vec::new();
        while self.size() + (lines.len() as u64) < checkpoint.size {
            let page = api.leaves(self.name, self.size() + lines.len() as u64).await?;
            if page.is_empty() {
                return Err(LogError::Inconsistent(self.name.to_owned()).into());
            }
            budget.take(&page)?;
            lines.extend(page);
        }
        Ok(self.grow(text, &checkpoint, lines)?)
    }

    /// Compares this mirror with the last checkpoint of its log, after which another began: a log that ends with less than was seen
    /// here, or with something else, is a changed past.
    ///
    /// # Errors
    /// [`LogError::Smaller`] or [`LogError::Inconsistent`].
    pub fn check_ended(&self, ended: &Checkpoint) -> Result<(), LogError> {
        if ended.size < self.size() {
            return Err(LogError::Smaller(self.name.to_owned()));
        }
        if ended.size == self.size() && ended.root != self.head() {
            return Err(LogError::Inconsistent(self.name.to_owned()));
        }
        Ok(())
    }

    /// N80: never smaller than seen; and signed by the log key.
    fn check(&self, text: &str) -> Result<Checkpoint, LogError> {
        let checkpoint = Checkpoint::verify(text, &self.origin, &self.log_key)
            .map_err(|_| LogError::Checkpoint(self.name.to_owned()))?;
        if checkpoint.size < self.size() {
            return Err(LogError::Smaller(self.name.to_owned()));
        }
        Ok(checkpoint)
    }

    /// N81: the new leaves on top of the own ones must give the checkpoint's head.
    fn grow(&self, text: String, checkpoint: &Checkpoint, mut lines: Vec<String>) -> Result<Option<Growth>, LogError> {
        let room = checkpoint.size - self.size();
        lines.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        let mut tree = self.tree.clone();
        for line in &lines {
            tree.push(leaf_hash(line.as_bytes()));
        }
        if tree.size() != checkpoint.size || Hash::from_bytes(tree.head()) != checkpoint.root {
            return Err(LogError::Inconsistent(self.name.to_owned()));
        }
        if lines.is_empty() && self.size() > 0 {
            return Ok(None);
        }
        Ok(Some(Growth {
            checkpoint: text,
            lines,
            tree,
        }))
    }

    /// Writes what was fetched: leaves first, then the checkpoint, which makes them count.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn commit(&mut self, growth: Growth) -> Result<(), Error> {
        self.append(LEAVES, self.size(), growth.lines.iter().map(String::as_str))?;
        let path = self.dir.join(CHECKPOINT);
        platform::write_private(&path, growth.checkpoint.as_bytes())
            .map_err(|error| Error::file("write", &path, error))?;
        self.checkpoint = growth.checkpoint;
        self.lines.extend(growth.lines);
        self.tree = growth.tree;
        Ok(())
    }

    /// The first `count` lines of a file beside the leaves.
    ///
    /// # Errors
    /// [`LogError::Damaged`] when there are fewer, or [`Error::File`].
    pub fn read_lines(&self, file: &str, count: u64) -> Result<Vec<String>, Error> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let path = self.dir.join(file);
        let opened = File::open(&path).map_err(|error| Error::file("read", &path, error))?;
        let lines: io::Result<Vec<String>> = BufReader::new(opened).lines().take(to_usize(count)).collect();
        let lines = lines.map_err(|error| Error::file("read", &path, error))?;
        if lines.len() as u64 == count {
            Ok(lines)
        } else {
            Err(self.damaged().into())
        }
    }

    /// Puts lines durably behind the first `count` of a file beside the leaves. What stood there beyond was never committed.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn append<'a>(&self, file: &str, count: u64, lines: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let path = self.dir.join(file);
        let written = platform::create_private_dir(&self.dir).and_then(|()| append_lines(&path, count, lines));
        written.map_err(|error| Error::file("write", &path, error))
    }
}

fn append_lines<'a>(path: &Path, count: u64, lines: impl Iterator<Item = &'a str>) -> io::Result<()> {
    let mut file = platform::open_private(path)?;
    let mut reader = BufReader::new(&file);
    let mut end = 0_u64;
    let mut line = Vec::new();
    for _ in 0..count {
        line.clear();
        end += reader.read_until(b'\n', &mut line)? as u64;
    }
    file.set_len(end)?;
    io::Seek::seek(&mut file, io::SeekFrom::Start(end))?;
    let mut writer = io::BufWriter::new(&file);
    for line in lines {
        writer.write_all(line.as_bytes())?;
        writer.write_all(b"\n")?;
    }
    writer.flush()?;
    drop(writer);
    file.sync_all()
}

fn to_usize(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sealpost_proto::crypto::SigningKey;
    use sealpost_proto::tree::tree_head;

    struct Log {
        dir: tempfile::TempDir,
        key: SigningKey,
    }

    impl Log {
        fn new() -> Self {
            Self {
                dir: tempfile::tempdir().unwrap(),
                key: SigningKey::from_seed(&[5; 32]),
            }
        }

        fn load(&self) -> Result<LogMirror, Error> {
            LogMirror::load(
                self.dir.path().to_owned(),
                "directory",
                "gw/directory".into(),
                self.key.public(),
            )
        }

        fn checkpoint(&self, lines: &[&str]) -> String {
            let leaves: Vec<[u8; 32]> = lines.iter().map(|line| leaf_hash(line.as_bytes())).collect();
            let checkpoint = Checkpoint {
                origin: "gw/directory".into(),
                size: lines.len() as u64,
                root: Hash::from_bytes(tree_head(&leaves)),
            };
            checkpoint.sign(&self.key).unwrap().to_string()
        }

        /// What `fetch` does once everything has arrived.
        fn offer(&self, mirror: &LogMirror, all: &[&str]) -> Result<Option<Growth>, LogError> {
            let text = self.checkpoint(all);
            let checkpoint = mirror.check(&text)?;
            let new = all[usize::try_from(mirror.size()).unwrap()..]
                .iter()
                .map(|l| (*l).to_owned());
            mirror.grow(text, &checkpoint, new.collect())
        }

        fn with(&self, lines: &[&str]) -> LogMirror {
            let mut mirror = self.load().unwrap();
            let growth = self.offer(&mirror, lines).unwrap().unwrap();
            mirror.commit(growth).unwrap();
            mirror
        }
    }

    #[test]
    fn grows_and_is_there_after_a_restart() {
        let log = Log::new();
        log.with(&["a", "b"]);
        log.with(&["a", "b", "c"]);
        let mirror = log.load().unwrap();
        assert_eq!(mirror.lines(), ["a", "b", "c"]);
        assert!(log.offer(&mirror, &["a", "b", "c"]).unwrap().is_none(), "nothing new");
    }

    #[test]
    fn n80_a_smaller_log_is_refused() {
        let log = Log::new();
        let mirror = log.with(&["a", "b"]);
        let text = log.checkpoint(&["a"]);
        assert_eq!(mirror.check(&text), Err(LogError::Smaller("directory".into())));
    }

    #[test]
    fn n81_a_changed_past_is_refused() {
        let log = Log::new();
        let mirror = log.with(&["a", "b"]);
        for forked in [&["a", "x"][..], &["a", "x", "c"], &["x", "b", "c"]] {
            let refused = log.offer(&mirror, forked).unwrap_err();
            assert_eq!(refused, LogError::Inconsistent("directory".into()), "{forked:?}");
        }
    }

    #[test]
    fn a_log_ends_with_what_was_seen_of_it_or_more() {
        let log = Log::new();
        let mirror = log.with(&["a", "b"]);
        let ended = |lines: &[&str]| {
            let text = log.checkpoint(lines);
            let ended = Checkpoint::verify(&text, "gw/directory", &log.key.public()).unwrap();
            mirror.check_ended(&ended)
        };
        assert_eq!(ended(&["a", "b"]), Ok(()));
        assert_eq!(ended(&["a", "b", "c"]), Ok(()));
        assert_eq!(ended(&["a"]), Err(LogError::Smaller("directory".into())));
        assert_eq!(ended(&["a", "x"]), Err(LogError::Inconsistent("directory".into())));
    }

    #[test]
    fn a_checkpoint_of_another_key_is_refused() {
        let log = Log::new();
        let mirror = log.with(&["a"]);
        let other = Log {
            key: SigningKey::from_seed(&[6; 32]),
            ..Log::new()
        };
        let text = other.checkpoint(&["a", "b"]);
        assert_eq!(mirror.check(&text), Err(LogError::Checkpoint("directory".into())));
    }

    #[test]
    fn knows_when_another_process_has_gone_further() {
        let log = Log::new();
        let mirror = log.with(&["a"]);
        assert!(mirror.is_current().unwrap());
        log.with(&["a", "b"]);
        assert!(!mirror.is_current().unwrap());
    }

    #[test]
    fn what_was_not_committed_does_not_count() {
        let log = Log::new();
        let mirror = log.with(&["a"]);
        mirror.append(LEAVES, 1, ["half", "way"].into_iter()).unwrap();
        assert_eq!(log.load().unwrap().lines(), ["a"]);
        log.with(&["a", "b"]);
        assert_eq!(log.load().unwrap().lines(), ["a", "b"]);
    }

    #[test]
    fn an_altered_mirror_is_noticed() {
        let log = Log::new();
        log.with(&["a", "b"]);
        let path = log.dir.path().join(LEAVES);
        for altered in ["a\nx\n", "a\n", ""] {
            std::fs::write(&path, altered).unwrap();
            assert!(
                matches!(log.load(), Err(Error::Log(LogError::Damaged(_)))),
                "{altered:?}"
            );
        }
    }
}
