//! Files that another program drops into a sender's folder, to be sent to that sender: whole ones only, and none twice.
//!
//! Nobody says when such a file is whole. It is taken when its size and its time have not changed for a while, and its name does not end
//! as those of half-written files do. What is sent is known by recipient, name and contents, so that a crash between sending and moving
//! sends nothing twice. It is claimed first, by a rename into a hidden folder beside it that nobody else can enter: what is hashed, sent and
//! moved away is one and the same file, whatever appears under its name meanwhile.

mod claims;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::{self, Metadata};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Address, Label};
use sealpost_sealed::FileHasher;
use tokio::time::Instant;

use self::claims::{claim, claimed, put_away};
use super::event::Event;
use super::{Puller, folders, watch};
use crate::error::Error;
use crate::platform;

/// How half-written files end.
const HALF: [&str; 2] = [".tmp", ".part"];
/// A file that could not be sent is tried again after so long.
const PAUSE: Duration = Duration::from_secs(300);

/// What has been seen of the files that are waiting.
#[derive(Debug)]
pub(super) struct Drops {
    settle: Duration,
    seen: HashMap<PathBuf, Seen>,
    /// Folders of nobody, which were told once.
    told: HashSet<PathBuf>,
    /// The folders could not be read; they are looked at again then.
    rests_until: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Seen {
    facts: (u64, Option<SystemTime>),
    /// From when on it counts as whole, if it does not change.
    ready: Instant,
}

/// A file that is whole.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ready {
    path: PathBuf,
    /// The recipient's folder.
    folder: PathBuf,
    /// Length and time when it was seen to be whole; none if it is claimed already.
    whole: Option<(u64, Option<SystemTime>)>,
    to: Label,
    address: Address,
}

impl Drops {
    pub(super) fn new(settle: Duration) -> Self {
        Self {
            settle,
            seen: HashMap::new(),
            told: HashSet::new(),
            rests_until: None,
        }
    }

    /// Whether files are there that may become whole.
    pub(super) fn is_any_waiting(&self) -> bool {
        !self.seen.is_empty()
    }

    /// Looks at the folders of these people. Returns what is claimed or whole, and folders with files for nobody that were not told before.
    fn scan(
        &mut self,
        root: &Path,
        people: &BTreeMap<String, (Label, Address)>,
    ) -> io::Result<(Vec<Ready>, Vec<PathBuf>)> {
        let (mut ready, mut strange) = (Vec::new(), Vec::new());
        let mut there = HashSet::new();
        for folder in entries(root)? {
            let (claimed, files) = (claimed(&folder)?, waiting(&folder)?);
            let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let Some((to, address)) = people.get(name) else {
                if !(files.is_empty() && claimed.is_empty()) && self.told.insert(folder.clone()) {
                    strange.push(folder);
                }
                continue;
            };
            let one = |path, whole| Ready {
                path,
                folder: folder.clone(),
                whole,
                to: *to,
                address: address.clone(),
            };
            // What was claimed before is older than what waits.
            for path in claimed {
                there.insert(path.clone());
                if self.is_pause_over(&path) {
                    ready.push(one(path, None));
                }
            }
            for (path, metadata) in files {
                there.insert(path.clone());
                if self.is_whole(&path, &metadata) {
                    ready.push(one(path, Some(facts(&metadata))));
                }
            }
        }
        self.seen.retain(|path, _| there.contains(path));
        Ok((ready, strange))
    }

    fn is_whole(&mut self, path: &Path, metadata: &Metadata) -> bool {
        let now = Instant::now();
        let seen = Seen {
            facts: facts(metadata),
            ready: now + self.settle,
        };
        let before = self.seen.entry(path.to_owned()).or_insert(seen);
        if before.facts != seen.facts {
            *before = seen;
        }
        before.ready <= now
    }

    fn is_pause_over(&self, path: &Path) -> bool {
        self.seen.get(path).is_none_or(|seen| seen.ready <= Instant::now())
    }

    /// It could not be sent; it is left alone for a while.
    fn put_off(&mut self, path: &Path) {
        let ready = Instant::now() + PAUSE;
        let facts = self.seen.get(path).map_or((0, None), |seen| seen.facts);
        self.seen.insert(path.to_owned(), Seen { facts, ready });
    }
}

/// What changes when somebody writes to a file.
fn facts(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
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
    files.sort_by(|(one, _), (other, _)| one.cmp(other));
    Ok(files)
}

/// What a drop is known by.
fn key_of(path: &Path, to: &Label) -> Result<String, Error> {
    let failed = |error| Error::file("read", path, error);
    let mut file = platform::open_regular(path).map_err(failed)?;
    let mut hasher = FileHasher::new(false);
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(failed)? {
            0 => break,
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let facts = format!("{to}\0{}\0{name}", hasher.finish().blake3);
    Ok(format!(
        "drop/{}",
        hex(&sealpost_proto::crypto::sha256(&[facts.as_bytes()]))
    ))
}

impl Puller {
    /// Sends what other programs have dropped and is whole. What fails on this side is told and put off, and stops nothing else.
    ///
    /// # Errors
    /// When the gateway is away or cannot be trusted.
    pub(super) async fn send_drops(&mut self) -> Result<(), Error> {
        let Some(root) = self.settings.replies.clone() else {
            return Ok(());
        };
        let people = self.people.iter().map(|(label, address)| {
            let name = folders::name_of(Some(label), Some(address));
            (name, (*label, address.clone()))
        });
        let people = people.collect();
        if self.drops.rests_until.is_some_and(|end| Instant::now() < end) {
            return Ok(());
        }
        let (ready, strange) = match self.drops.scan(&root, &people) {
            Ok(found) => found,
            Err(error) => {
                let error = Error::file("read the folder", &root, error);
                self.drops.rests_until = Some(Instant::now() + PAUSE);
                self.outcome.note(&error);
                self.tell(&Event::trouble(&error));
                return Ok(());
            }
        };
        for folder in strange {
            self.tell(&Event::strange(&folder));
        }
        for one in ready {
            let path = match claim(&one) {
                Ok(Some(path)) => path,
                Ok(None) => continue,
                Err(error) => {
                    self.drop_failed(&one, &one.path, &error);
                    continue;
                }
            };
            match self.send_drop(&one, &path).await {
                Ok(()) => {}
                Err(error) if watch::is_away(&error) || watch::is_fatal(&error) => return Err(error),
                Err(error) => self.drop_failed(&one, &path, &error),
            }
        }
        Ok(())
    }

    fn drop_failed(&mut self, one: &Ready, path: &Path, error: &Error) {
        self.outcome.note(error);
        self.drops.put_off(path);
        self.tell(&Event::reply_failed(one.address.as_str(), None, error));
    }

    async fn send_drop(&mut self, one: &Ready, path: &PathBuf) -> Result<(), Error> {
        let key = key_of(path, &one.to)?;
        let (sent, was_sent) = self
            .send_files(&key, std::slice::from_ref(path), one.address.clone(), None)
            .await?;
        put_away(path, &one.folder)?;
        self.outcome.replies += u64::from(!was_sent);
        self.tell(&Event::replied(&one.address, None, &sent.transfer, was_sent));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::claims::SENT;
    use super::claims::tests::whole;
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

    #[tokio::test(start_paused = true)]
    async fn a_second_version_that_comes_while_the_first_is_sent_is_sent_after_it() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("a@b.example");
        fs::create_dir(&folder).unwrap();
        let path = folder.join("a.999");
        fs::write(&path, "one").unwrap();
        let first = claim(&whole(&path)).unwrap().unwrap();
        let place = |text: &str| {
            fs::write(folder.join("a.tmp"), text).unwrap();
            fs::rename(folder.join("a.tmp"), &path).unwrap();
        };
        place("second");
        assert_eq!(fs::read(&first).unwrap(), b"one", "what is sent is what was claimed");
        // The process ends here; the next one finds both, the claimed one first.
        let mut drops = Drops::new(SETTLE);
        assert_eq!(drops.scan(dir.path(), &people()).unwrap().0[0].path, first);
        tokio::time::advance(SETTLE).await;
        let (both, _) = drops.scan(dir.path(), &people()).unwrap();
        assert_eq!([&both[0].path, &both[1].path], [&first, &path]);
        let second = claim(&both[1]).unwrap().unwrap();
        assert_eq!(claim(&both[0]).unwrap().unwrap(), first);
        drops.put_off(&first);
        let (left, _) = drops.scan(dir.path(), &people()).unwrap();
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].path, second);
        put_away(&first, &folder).unwrap();
        put_away(&second, &folder).unwrap();
        assert_eq!(fs::read(folder.join("sent/a.999")).unwrap(), b"one");
        assert_eq!(fs::read(folder.join("sent/a (2).999")).unwrap(), b"second");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "only `sent` is left");
    }

    #[test]
    fn a_drop_is_known_by_recipient_name_and_contents() {
        let dir = tempfile::tempdir().unwrap();
        let (label, _) = people().remove("a@b.example").unwrap();
        let key = |name: &str, text: &str, to: Label| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            key_of(&path, &to).unwrap()
        };
        let other: Label = "22".repeat(32).parse().unwrap();
        let first = key("a", "x", label);
        assert_eq!(first, key("a", "x", label));
        assert_ne!(first, key("a", "y", label));
        assert_ne!(first, key("b", "x", label));
        assert_ne!(first, key("a", "x", other));
    }
}
