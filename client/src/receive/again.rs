//! Giving files their names after a crash in the middle of it: what is in staging still is placed, and what is not was placed before.
//!
//! Before the names were written down every file was durable in staging, and a name is given by one rename. So a file that is missing
//! there has left for the target, whatever became of it since: whoever takes files away from the target gets none of them twice.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use sealpost_proto::sealed::SEGMENT_LEN;
use sealpost_sealed::{FileEntry, FileHasher};
use zeroize::Zeroizing;

use super::staging::{self, Staging};
use super::state::{Placing, ReceivingHead};
use crate::error::Error;
use crate::{names, platform};

/// Tries at a free name before giving up.
const MAX_NUMBER: u32 = 10_000;

/// Gives the files their names, as far as they do not have them. Returns where they are, or were put. None when all of it has to be
/// fetched again: nothing was placed, and what is staged is not what was.
///
/// # Errors
/// [`Error::File`], also when the target folder itself is gone: a medium that is not mounted must not count as one that was emptied.
pub(super) fn place_again(head: &ReceivingHead, placing: &Placing) -> Result<Option<Vec<PathBuf>>, Error> {
    let target = head.target()?;
    if !target.is_dir() {
        return Err(Error::file("find the folder", &target, io::ErrorKind::NotFound.into()));
    }
    let mut staging = Staging::create(&target, &head.transfer, true)?;
    let files = &placing.manifest.files;
    let staged = |number: usize| staging.path(number);
    let is_staged = |number: &usize| fs::symlink_metadata(staged(*number)).is_ok();
    let left: Vec<usize> = (0..files.len()).filter(is_staged).collect();
    let is_sound = |number: &usize| files.get(*number).is_some_and(|entry| is_file(&staged(*number), entry));
    if !left.iter().all(is_sound) {
        if left.len() == files.len() {
            return Ok(None);
        }
        return Err(Error::Input(format!(
            "What was staged of transfer {} was changed by another program after a part of its files had their names; `sealpost resume {} --discard` lets all of it be received again.",
            head.transfer, head.transfer
        )));
    }
    let mut paths = Vec::with_capacity(files.len());
    for (number, (entry, name)) in files.iter().zip(&placing.names).enumerate() {
        let planned = target.join(name);
        paths.push(if left.contains(&number) {
            let from = staged(number);
            if placing.by_links && is_linked_already(&from, &planned) {
                fs::remove_file(&from).map_err(|error| Error::file("remove", &from, error))?;
                planned
            } else {
                place_one(&from, planned, &names::for_saving(&entry.name))?
            }
        } else {
            planned
        });
    }
    platform::sync_dir(&target).map_err(|error| Error::file("write", &target, error))?;
    staging.discard();
    Ok(Some(paths))
}

/// Whether a file has left staging, so that giving the names had begun.
pub(super) fn is_begun(head: &ReceivingHead, placing: &Placing) -> Result<bool, Error> {
    let folder = staging::folder_of(&head.target()?, &head.transfer);
    let is_staged = |number: usize| fs::symlink_metadata(folder.join(number.to_string())).is_ok();
    Ok((0..placing.manifest.files.len()).any(|number| !is_staged(number)))
}

/// Under `planned`, or where that has been taken since under the next free name.
fn place_one(from: &Path, planned: PathBuf, name: &str) -> Result<PathBuf, Error> {
    let folder = planned.parent().unwrap_or(Path::new("")).to_owned();
    let numbered = (1..MAX_NUMBER).map(|number| folder.join(names::numbered(name, number)));
    for to in std::iter::once(planned).chain(numbered) {
        match platform::rename_new(from, &to) {
            Ok(()) => return Ok(to),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::file("write", &to, error)),
        }
    }
    let taken = folder.join(name);
    Err(Error::file(
        "find a free name for",
        &taken,
        io::ErrorKind::AlreadyExists.into(),
    ))
}

/// Where a file system knows no exclusive rename, a file gets its name by a second link, and loses the first one then: a crash
/// between the two leaves both, or after it was moved away one elsewhere. Where there is one, a link is somebody else's, as of a snapshot.
#[cfg(unix)]
fn is_linked_already(from: &Path, _: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    fs::symlink_metadata(from).is_ok_and(|found| found.nlink() > 1)
}

/// Other systems do not count links: a file of the planned name with the same contents is taken for it.
#[cfg(not(unix))]
fn is_linked_already(from: &Path, planned: &Path) -> bool {
    matches!((fs::read(from), fs::read(planned)), (Ok(one), Ok(other)) if one == other)
}

/// Whether a regular file is the sender's: its length and its digests.
fn is_file(path: &Path, entry: &FileEntry) -> bool {
    let is_candidate = fs::symlink_metadata(path).is_ok_and(|found| found.is_file() && found.len() == entry.len);
    is_candidate && is_sound(path, entry).unwrap_or(false)
}

fn is_sound(path: &Path, entry: &FileEntry) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut hasher = FileHasher::new(entry.sha256.is_some());
    let mut buffer = Zeroizing::new(vec![0; SEGMENT_LEN]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish() == entry.digests()),
            read => hasher.update(buffer.get(..read).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::{Hash, OpeningId, TransferId};

    use super::super::Options;
    use super::super::tests::sealed;
    use super::*;

    const ID: TransferId = TransferId::from_bytes([7; 16]);
    const NUMBER: usize = 4;

    fn text(number: usize) -> String {
        format!("contents of file {number}")
    }

    fn entry(number: usize) -> FileEntry {
        let mut hasher = FileHasher::new(false);
        hasher.update(text(number).as_bytes());
        FileEntry {
            name: format!("{number}.txt"),
            mime: String::new(),
            off: 0,
            len: text(number).len() as u64,
            blake3: hasher.finish().blake3,
            sha256: None,
            mtime: None,
        }
    }

    /// A transfer that is staged whole in `target`, of which the first files have left for their names.
    fn interrupted(target: &Path, placed: usize) -> (ReceivingHead, Placing) {
        let options = Options {
            target: target.to_owned(),
            again: false,
            keep_sealed: None,
        };
        let (hh, opening) = (Hash::from_bytes([1; 32]), OpeningId::from_bytes([2; 16]));
        let head = ReceivingHead::new(ID, hh, opening, &options, 0, 9).unwrap();
        let mut manifest = sealed(&[1]).open().unwrap().manifest().clone();
        manifest.files = (0..NUMBER).map(entry).collect();
        let mut staging = Staging::create(target, &ID, true).unwrap();
        for number in 0..NUMBER {
            staging.write(number, text(number).as_bytes()).unwrap();
        }
        let names = staging.names(&manifest.files, None);
        for (number, name) in names.iter().enumerate().take(placed) {
            platform::rename_new(&staging.path(number), &target.join(name)).unwrap();
        }
        drop(staging);
        let placing = Placing {
            manifest,
            names,
            by_links: false,
        };
        (head, placing)
    }

    /// What lies in `folder`, as texts, and nothing hidden.
    fn texts(folder: &Path) -> Vec<String> {
        let files = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
        let mut texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
        texts.sort();
        texts
    }

    #[test]
    fn wherever_it_was_interrupted_every_file_is_placed_once_even_if_it_is_taken_away_at_once() {
        for placed in 0..=NUMBER {
            for is_emptied in [false, true] {
                let dir = tempfile::tempdir().unwrap();
                let (target, taken) = (dir.path().join("in"), dir.path().join("taken"));
                fs::create_dir(&taken).unwrap();
                let (head, placing) = interrupted(&target, placed);
                assert_eq!(is_begun(&head, &placing).unwrap(), placed > 0);
                let take = || {
                    for path in fs::read_dir(&target).unwrap().map(|file| file.unwrap().path()) {
                        if is_emptied && path.is_file() {
                            platform::rename_new(&path, &taken.join(path.file_name().unwrap())).unwrap();
                        }
                    }
                };
                for _ in 0..3 {
                    take();
                    let paths = place_again(&head, &placing).unwrap().unwrap();
                    assert_eq!(paths.len(), NUMBER);
                }
                take();
                let all = if is_emptied { &taken } else { &target };
                assert_eq!(
                    texts(all),
                    (0..NUMBER).map(text).collect::<Vec<_>>(),
                    "{placed} {is_emptied}"
                );
            }
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_not_one_that_was_emptied() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("in");
        let (head, placing) = interrupted(&target, 1);
        let unmounted = dir.path().join("elsewhere");
        fs::rename(&target, &unmounted).unwrap();
        assert!(matches!(place_again(&head, &placing), Err(Error::File { .. })));
        assert!(!target.exists());
        fs::rename(&unmounted, &target).unwrap();
        assert_eq!(place_again(&head, &placing).unwrap().unwrap().len(), NUMBER);
    }

    #[test]
    fn what_was_staged_and_altered_is_never_placed() {
        let dir = tempfile::tempdir().unwrap();
        for placed in [0, 1] {
            let target = dir.path().join(placed.to_string());
            let (head, placing) = interrupted(&target, placed);
            let last = target.join(format!(".sealpost-{ID}")).join((NUMBER - 1).to_string());
            fs::write(&last, text(NUMBER)).unwrap();
            let again = place_again(&head, &placing);
            match placed {
                0 => assert!(again.unwrap().is_none(), "all of it is fetched again"),
                _ => assert!(matches!(again, Err(Error::Input(_)))),
            }
            assert!(!target.join(format!("{}.txt", NUMBER - 1)).exists());
        }
    }

    #[test]
    fn a_name_that_was_taken_meanwhile_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (head, placing) = interrupted(dir.path(), 1);
        fs::write(dir.path().join("2.txt"), "mine").unwrap();
        let paths = place_again(&head, &placing).unwrap().unwrap();
        assert_eq!(paths[2], dir.path().join("2 (2).txt"));
        assert_eq!(fs::read(dir.path().join("2.txt")).unwrap(), b"mine");
    }

    #[test]
    #[cfg(unix)]
    fn a_file_that_got_its_name_by_a_link_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let (head, mut placing) = interrupted(dir.path(), 0);
        placing.by_links = true;
        let staged = dir.path().join(format!(".sealpost-{ID}")).join("0");
        fs::hard_link(&staged, dir.path().join("0.txt")).unwrap();
        let taken = tempfile::tempdir_in(dir.path()).unwrap();
        fs::rename(dir.path().join("0.txt"), taken.path().join("0.txt")).unwrap();
        place_again(&head, &placing).unwrap().unwrap();
        assert!(!dir.path().join("0.txt").exists(), "it was taken away");
        assert!(dir.path().join("1.txt").exists());
    }

    #[test]
    #[cfg(unix)]
    fn a_snapshot_by_links_takes_no_file_away() {
        let dir = tempfile::tempdir().unwrap();
        let (target, snapshot) = (dir.path().join("in"), dir.path().join("snapshot"));
        let (head, placing) = interrupted(&target, 1);
        assert!(platform::renames_exclusively(&target).unwrap(), "what tests run on");
        fs::create_dir(&snapshot).unwrap();
        for file in fs::read_dir(target.join(format!(".sealpost-{ID}"))).unwrap() {
            let file = file.unwrap();
            fs::hard_link(file.path(), snapshot.join(file.file_name())).unwrap();
        }
        place_again(&head, &placing).unwrap().unwrap();
        assert_eq!(texts(&target), (0..NUMBER).map(text).collect::<Vec<_>>());
    }

    #[test]
    fn what_an_earlier_version_wrote_has_exclusive_renames() {
        let dir = tempfile::tempdir().unwrap();
        let (_, placing) = interrupted(dir.path(), 0);
        let json = serde_json::to_string(&placing).unwrap();
        assert!(!json.contains("by_links"), "{json}");
        assert!(!serde_json::from_str::<Placing>(&json).unwrap().by_links);
    }
}
