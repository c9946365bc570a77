//! Files that another program drops into a sender's folder, to be sent to that sender: whole ones only, and none twice.
//!
//! Nobody says when such a file is whole. It is taken when its size and its time have not changed for a while, and its name does not end
//! as those of half-written files do. What is sent is known by recipient, name and contents, so that a crash between sending and moving
//! sends nothing twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Address, Label};
use sealpost_sealed::FileHasher;
use tokio::time::Instant;

use super::event::Event;
use super::{Puller, folders, watch};
use crate::error::Error;
use crate::{names, platform};

/// Where files go that were sent, in the folder from which they were.
const SENT: &str = "sent";
/// How half-written files end.
const HALF: [&str; 2] = [".tmp", ".part"];
/// A file that could not be sent is tried again after so long.
const PAUSE: Duration = Duration::from_secs(300);
/// Tries at a free name.
const MAX_NUMBER: u32 = 10_000;

/// What has been seen of the files that are waiting.
#[derive(Debug)]
pub(super) struct Drops {
    settle: Duration,
    seen: HashMap<PathBuf, Seen>,
    /// Folders of nobody, which were told once.
    told: HashSet<PathBuf>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    len: u64,
    modified: Option<SystemTime>,
    /// From when on it counts as whole, if it does not change.
    ready: Instant,
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    path: PathBuf,
    to: Label,
    address: Address,
}

impl Drops {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            seen: HashMap::new(),
            told: HashSet::new(),
        }
    }

    /// Whether files are there that may become whole.
    pub(super) fn is_any_waiting(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Looks at the folders of these people. Returns what is whole, and folders with files for nobody that were not told before.
    fn scan(
        &mut self,
        root: &Path,
        people: &BTreeMap<String, (Label, Address)>,
    ) -> io::Result<(Vec<Ready>, Vec<PathBuf>)> {
        let (mut ready, mut strange) = (Vec::new(), Vec::new());
        let mut there = HashSet::new();
        for folder in entries(root)? {
            let files = waiting(&folder)?;
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((to, address)) = people.get(name) else {
                if !files.is_empty() && self.told.insert(folder.clone()) {
                    strange.push(folder);
                }
                continue;
            };
            for (path, metadata) in files {
                there.insert(path.clone());
                if self.is_whole(&path, &metadata) {
                    ready.push(Ready {
                        path,
                        to: *to,
                        address: address.clone(),
                    });
                }
            }
        }
        self.seen.retain(|path, _| there.contains(path));
        ready.sort_by(|one, other| one.path.cmp(&other.path));
        Ok((ready, strange))
    }

    fn is_whole(&mut self, path: &Path, metadata: &Metadata) -> bool {
        let (len, modified) = (metadata.len(), metadata.modified().ok());
        let now = Instant::now();
        let seen = Seen {
            len,
            modified,
            ready: now + self.settle,
        };
        let before = self.seen.entry(path.to_owned()).or_insert(seen);
        if (before.len, before.modified) != (len, modified) {
            *before = seen;
        }
        before.ready <= now
    }

    /// It could not be sent; it is left alone for a while.
    fn put_off(&mut self, path: &Path) {
        if let Some(seen) = self.seen.get_mut(path) {
            seen.ready = Instant::now() + PAUSE;
        }
    }
}

/// The folders in `root`; none if it is not there.
fn entries(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entries => {
            for entry in entries? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                }
            }
        }
    }
    Ok(folders)
}

/// The files in `folder` that do not look half-written. Hidden ones are left alone: programs write to them first.
fn waiting(folder: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_lowercase();
        let is_half = name.starts_with('.') || HALF.iter().any(|end| name.ends_with(end));
        if is_half || !entry.file_type()?.is_file() {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => files.push((entry.path(), metadata)),
            // Renamed just now.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(files)
}

/// What a drop is known by.
fn key_of(ready: &Ready) -> Result<String, Error> {
    let failed = |error| Error::file("read", &ready.path, error);
    let mut file = File::open(&ready.path).map_err(failed)?;
    let mut hasher = FileHasher::new(false);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let name = ready
        .path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let facts = format!("{}\0{}\0{name}", ready.to, hasher.finish().blake3);
    Ok(format!(
        "drop/{}",
        hex(&sealpost_proto::crypto::sha256(&[facts.as_bytes()]))
    ))
}

/// Moves a file that was sent out of the way; nothing is replaced there.
fn put_away(path: &Path) -> Result<(), Error> {
    let failed = |error| Error::file("move", path, error);
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    };
    let sent = folder.join(SENT);
    platform::create_private_dir(&sent).map_err(failed)?;
    let name = name.to_string_lossy();
    for number in 1..MAX_NUMBER {
        match platform::rename_new(path, &sent.join(names::numbered(&name, number))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            renamed => {
                let synced = renamed
                    .and_then(|()| platform::sync_dir(&sent))
                    .and_then(|()| platform::sync_dir(folder));
                return synced.map_err(failed);
            }
        }
    }
    Err(failed(io::ErrorKind::AlreadyExists.into()))
}

impl Puller {
    /// Sends what other programs have dropped and is whole.
    pub(super) async fn send_drops(&mut self) -> Result<(), Error> {
        let Some(root) = self.settings.replies.clone() else {
            return Ok(());
        };
        let people = self.people.iter().map(|(label, address)| {
            let name = folders::name_of(Some(label), Some(address));
            (name, (*label, address.clone()))
        });
        let people = people.collect();
        let scanned = self
            .drops
            .scan(&root, &people)
            .map_err(|error| Error::file("read the folder", &root, error))?;
        let (ready, strange) = scanned;
        for folder in strange {
            let shown = folder.display();
            self.tell(&Event::trouble(&format!(
                "there are files in {shown}, and nobody's folder has this name; they are not sent"
            )));
        }
        for one in ready {
            match self.send_drop(&one).await {
                Ok(()) => {}
                Err(error) if watch::is_away(&error) => return Err(error),
                Err(error) => {
                    self.outcome.note(&error);
                    self.drops.put_off(&one.path);
                    self.tell(&Event::reply_failed(one.address.as_str(), None, &without_name(&error)));
                }
            }
        }
        Ok(())
    }

    async fn send_drop(&mut self, one: &Ready) -> Result<(), Error> {
        let key = key_of(one)?;
        let (sent, was_sent) = self
            .send_files(&key, std::slice::from_ref(&one.path), one.address.clone(), None)
            .await?;
        put_away(&one.path)?;
        self.outcome.replies += u64::from(!was_sent);
        self.tell(&Event::replied(&one.address, None, &sent.transfer, was_sent));
        Ok(())
    }
}

/// What went wrong, without the name of a file, which may be a patient's.
fn without_name(error: &Error) -> String {
    match error {
        Error::File { doing, source, .. } => format!("could not {doing} a file there: {source}"),
        Error::Changed(_) | Error::ChangedSince(_) => "a file there changed while it was read".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTLE: Duration = Duration::from_secs(10);

    fn people() -> BTreeMap<String, (Label, Address)> {
        let label: Label = "11".repeat(32).parse().unwrap();
        [("a@b.example".to_owned(), (label, "a@b.example".parse().unwrap()))].into()
    }

    fn ready(drops: &mut Drops, root: &Path) -> Vec<String> {
        let (ready, _) = drops.scan(root, &people()).unwrap();
        let name = |one: Ready| one.path.file_name().unwrap().to_str().unwrap().to_owned();
        ready.into_iter().map(name).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_file_is_taken_once_it_has_stopped_changing() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a@b.example");
        fs::create_dir_all(folder.join(SENT)).unwrap();
        fs::write(folder.join(SENT).join("old"), "x").unwrap();
        for name in ["whole.999", "growing.277", "half.tmp", "half.PART", ".hidden"] {
            fs::write(folder.join(name), "x").unwrap();
        }
        let mut drops = Drops::new(SETTLE);
        assert!(ready(&mut drops, dir.path()).is_empty());
        tokio::time::advance(SETTLE - Duration::from_secs(1)).await;
        fs::write(folder.join("growing.277"), "xy").unwrap();
        assert!(ready(&mut drops, dir.path()).is_empty());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(ready(&mut drops, dir.path()), ["whole.999"]);
        tokio::time::advance(SETTLE).await;
        assert_eq!(ready(&mut drops, dir.path()), ["growing.277", "whole.999"]);
        drops.put_off(&folder.join("whole.999"));
        assert_eq!(ready(&mut drops, dir.path()), ["growing.277"]);
    }

    #[tokio::test]
    async fn files_for_nobody_are_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let mut drops = Drops::new(SETTLE);
        assert_eq!(
            drops.scan(&dir.path().join("none"), &people()).unwrap(),
            (Vec::new(), Vec::new())
        );
        let folder = dir.path().join("x@y.example");
        fs::create_dir_all(&folder).unwrap();
        assert!(drops.scan(dir.path(), &people()).unwrap().1.is_empty());
        fs::write(folder.join("f"), "x").unwrap();
        assert_eq!(drops.scan(dir.path(), &people()).unwrap().1, [folder]);
        assert!(drops.scan(dir.path(), &people()).unwrap().1.is_empty());
    }

    #[test]
    fn what_was_sent_goes_away_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.999");
        for text in ["one", "two"] {
            fs::write(&path, text).unwrap();
            put_away(&path).unwrap();
        }
        assert_eq!(fs::read(dir.path().join("sent/a.999")).unwrap(), b"one");
        assert_eq!(fs::read(dir.path().join("sent/a (2).999")).unwrap(), b"two");
        assert!(!path.exists());
    }

    #[test]
    fn a_drop_is_known_by_recipient_name_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let (label, address) = people().remove("a@b.example").unwrap();
        let key = |name: &str, text: &str, to: Label| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            let address = address.clone();
            key_of(&Ready { path, to, address }).unwrap()
        };
        let other: Label = "22".repeat(32).parse().unwrap();
        let first = key("a", "x", label);
        assert_eq!(first, key("a", "x", label));
        assert_ne!(first, key("a", "y", label));
        assert_ne!(first, key("b", "x", label));
        assert_ne!(first, key("a", "x", other));
    }
}
