//! Claiming dropped files: what is whole moves into a hidden folder that nobody else can enter, is sent from there, and moves on.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::{Ready, entries, facts};
use crate::error::Error;
use crate::{names, platform};

/// Where files are from when they are whole until they are sent, each in a numbered folder of its own; beside `sent`.
const CLAIMED: &str = ".sealpost-claimed";
/// Where files go that were sent, in the folder from which they were.
pub(super) const SENT: &str = "sent";
/// Tries at a free name.
const MAX_NUMBER: u32 = 10_000;

/// The files of `folder` that are claimed, the oldest claim first.
pub(super) fn claimed(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let place = folder.join(CLAIMED);
    // A link would lead to files of another folder.
    if !fs::symlink_metadata(&place).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(Vec::new());
    }
    let mut numbered = entries(&place)?;
    numbered.sort_by_key(|place| number_of(place));
    let mut files = Vec::new();
    for place in numbered {
        for entry in fs::read_dir(&place)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push(entry.path());
            }
        }
    }
    Ok(files)
}

fn number_of(place: &Path) -> u64 {
    let name = place.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.parse().ok()).unwrap_or(0)
}

/// Takes a file that is whole to a place where it is the only one of its name. None if it is another one by now, which stays.
pub(super) fn claim(ready: &Ready) -> Result<Option<PathBuf>, Error> {
    let failed = |error| Error::file("move", &ready.path, error);
    let Some(whole) = ready.whole else {
        return Ok(Some(ready.path.clone()));
    };
    let name = ready.path.file_name().unwrap_or_default();
    let place = new_place(&ready.folder.join(CLAIMED)).map_err(failed)?;
    let path = place.join(name);
    match platform::rename_new(&ready.path, &path) {
        // It was taken away just now.
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            leave(&place);
            return Ok(None);
        }
        renamed => renamed.map_err(failed)?,
    }
    let metadata = fs::symlink_metadata(&path).map_err(failed)?;
    if !metadata.is_file() || facts(&metadata) != whole {
        // Another took its name between look and rename, and may be half-written, or no file at all.
        move_numbered(&path, &ready.folder).map_err(failed)?;
        leave(&place);
        return Ok(None);
    }
    let synced = platform::sync_dir(&place)
        .and_then(|()| platform::sync_parent(&place))
        .and_then(|()| platform::sync_dir(&ready.folder));
    synced.map_err(failed)?;
    Ok(Some(path))
}

/// A new folder with a number above all others in `claimed`.
fn new_place(claimed: &Path) -> io::Result<PathBuf> {
    platform::own_private_dir(claimed)?;
    let last = entries(claimed)?.iter().map(|place| number_of(place)).max();
    let place = claimed.join(last.unwrap_or(0).saturating_add(1).to_string());
    platform::own_private_dir(&place)?;
    Ok(place)
}

/// Removes the place of a claim and, after the last one, the folder of claims.
fn leave(place: &Path) {
    // What is not empty stays, and is looked at again.
    let _ = fs::remove_dir(place);
    if let Some(claimed) = place.parent() {
        let _ = fs::remove_dir(claimed);
    }
}

/// Moves a claimed file that was sent to the others; nothing is replaced there.
pub(super) fn put_away(path: &Path, folder: &Path) -> Result<(), Error> {
    let sent = folder.join(SENT);
    let moved = platform::create_private_dir(&sent)
        .and_then(|()| move_numbered(path, &sent))
        .and_then(|()| platform::sync_dir(&sent))
        .and_then(|()| platform::sync_parent(path))
        .and_then(|()| platform::sync_dir(folder));
    moved.map_err(|error| Error::file("move", path, error))?;
    if let Some(place) = path.parent() {
        leave(place);
    }
    Ok(())
}

/// Moves a file into `folder`, under a number if its name is taken.
fn move_numbered(path: &Path, folder: &Path) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    for number in 1..MAX_NUMBER {
        match platform::rename_new(path, &folder.join(names::numbered(&name, number))) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            moved => return moved,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn whole(path: &Path) -> Ready {
        let (to, address) = ("11".repeat(32).parse().unwrap(), "a@b.example".parse().unwrap());
        Ready {
            path: path.to_owned(),
            folder: path.parent().unwrap().to_owned(),
            whole: Some(facts(&fs::symlink_metadata(path).unwrap())),
            to,
            address,
        }
    }

    #[test]
    fn what_was_sent_goes_away_and_replaces_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.999");
        for text in ["one", "two"] {
            fs::write(&path, text).unwrap();
            put_away(&claim(&whole(&path)).unwrap().unwrap(), dir.path()).unwrap();
        }
        assert_eq!(fs::read(dir.path().join("sent/a.999")).unwrap(), b"one");
        assert_eq!(fs::read(dir.path().join("sent/a (2).999")).unwrap(), b"two");
        assert!(!path.exists() && !dir.path().join(CLAIMED).exists());
    }

    #[test]
    #[cfg(unix)]
    fn what_takes_the_place_of_a_whole_file_is_not_sent_in_its_stead() {
        let dir = tempfile::tempdir().unwrap();
        let (secret, folder) = (dir.path().join("secret"), dir.path().join("f"));
        fs::create_dir(&folder).unwrap();
        fs::write(&secret, "secret").unwrap();
        let path = folder.join("a.999");
        fs::write(&path, "x").unwrap();
        let seen = whole(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(claim(&seen).unwrap(), None, "gone");
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        assert_eq!(claim(&seen).unwrap(), None, "a link");
        assert!(path.is_symlink() && !folder.join(CLAIMED).exists());
        assert!(platform::open_regular(&path).is_err(), "nor is it followed later");
        fs::remove_file(&path).unwrap();
        fs::write(&path, "half of ").unwrap();
        assert_eq!(claim(&seen).unwrap(), None, "another file, which has not settled");
        assert_eq!(fs::read(&path).unwrap(), b"half of ");
        // The folder of claims is ours, or is not used.
        std::os::unix::fs::symlink(dir.path(), folder.join(CLAIMED)).unwrap();
        assert!(claim(&whole(&path)).is_err() && claimed(&folder).unwrap().is_empty());
    }
}
