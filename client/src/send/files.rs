//! What is to be sent: files, folders and the standard input, each with its legal name and its length.
//!
//! Symbolic links inside a folder are not followed, because they lead out of what the user named; they are reported.

use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sealpost_proto::id::Hash;
use sealpost_sealed::{FileDraft, FileHasher};
use zeroize::Zeroizing;

use super::spool::Spool;
use crate::env::Env;
use crate::error::Error;
use crate::names::{self, UniqueNames};
use crate::platform;

/// What is read at once where a file is only hashed.
const READ_LEN: usize = 256 * 1024;

/// A file that will be sent.
#[derive(Debug)]
pub struct InputFile {
    /// Where it is, as the user knows it.
    pub path: PathBuf,
    /// Its name in the manifest.
    pub name: String,
    /// Bytes.
    pub len: u64,
    /// Last change, unix seconds.
    pub mtime: Option<i64>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    /// What lies there, or what a link there leads to: the user named it so.
    Named,
    /// A regular file that was found there, and nothing that has taken its place since.
    Found,
    /// With its digest: it can be read once.
    Spool(Box<Spool>, Hash),
}

/// Hashes what it hands on.
struct HashingReader<R> {
    inner: R,
    hasher: FileHasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}

/// Everything that will be sent, in order.
#[derive(Debug, Default)]
pub struct Input {
    /// The files.
    pub files: Vec<InputFile>,
    /// Links and special files inside folders, which are left out.
    pub skipped: Vec<PathBuf>,
    names: UniqueNames,
}

impl Input {
    /// Adds a file, or a folder with everything below it in the order of names.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Input`].
    pub fn add(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = fs::metadata(path).map_err(|error| Error::file("read", path, error))?;
        if metadata.is_dir() {
            return self.add_folder(path, Path::new(""));
        }
        if !metadata.is_file() {
            return Err(Error::Input(format!(
                "{} is neither a file nor a folder; name a file, or `-` for the standard input.",
                path.display()
            )));
        }
        let name = path.file_name().unwrap_or_default();
        self.push(path, name.as_ref(), &metadata, Contents::Named);
        Ok(())
    }

    /// Adds a regular file that nobody has named: one that a program left for this one. A link is not followed, now or later.
    ///
    /// # Errors
    /// [`Error::File`], also for what is no regular file.
    pub fn add_found(&mut self, path: &Path) -> Result<(), Error> {
        let metadata = platform::open_regular(path).and_then(|file| file.metadata());
        let metadata = metadata.map_err(|error| Error::file("read", path, error))?;
        let name = path.file_name().unwrap_or_default();
        self.push(path, name.as_ref(), &metadata, Contents::Found);
        Ok(())
    }

    /// Reads all of `reader` to a sealed file in `folder`, which becomes the file `name`: for the standard input.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn add_reader(&mut self, reader: impl Read, name: &str, folder: &Path, env: &Env) -> Result<(), Error> {
        let mut hashing = HashingReader {
            inner: reader,
            hasher: FileHasher::new(false),
        };
        let spool = Spool::fill(&mut hashing, folder, env)?;
        self.files.push(InputFile {
            path: PathBuf::from("-"),
            name: self.names.take(&names::legal(name)),
            len: spool.len(),
            mtime: None,
            contents: Contents::Spool(Box::new(spool), hashing.hasher.finish().blake3),
        });
        Ok(())
    }

    /// Files that were listed before, under the names that they had then. Reading one that has changed since fails.
    pub(super) fn again(paths: Vec<PathBuf>, drafts: &[FileDraft]) -> Self {
        let file = |(path, draft): (PathBuf, &FileDraft)| InputFile {
            path,
            name: draft.name.clone(),
            len: draft.len,
            mtime: draft.mtime,
            contents: Contents::Named,
        };
        Self {
            files: paths.into_iter().zip(drafts).map(file).collect(),
            ..Self::default()
        }
    }

    /// Where all files are, from the root of the file system; none if one of them cannot be read a second time.
    pub(super) fn paths(&self) -> Option<Vec<PathBuf>> {
        let absolute = |file: &InputFile| match file.contents {
            Contents::Named | Contents::Found => std::path::absolute(&file.path).ok(),
            Contents::Spool(..) => None,
        };
        self.files.iter().map(absolute).collect()
    }

    fn add_folder(&mut self, folder: &Path, relative: &Path) -> Result<(), Error> {
        let failed = |error| Error::file("read the folder", folder, error);
        let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(failed)?.collect();
        let mut entries = entries.map_err(failed)?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (path, relative) = (entry.path(), relative.join(entry.file_name()));
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                self.add_folder(&path, &relative)?;
            } else if kind.is_file() {
                let metadata = entry.metadata().map_err(|error| Error::file("read", &path, error))?;
                self.push(&path, &relative, &metadata, Contents::Found);
            } else {
                self.skipped.push(path);
            }
        }
        Ok(())
    }

    fn push(&mut self, path: &Path, relative: &Path, metadata: &Metadata, contents: Contents) {
        self.files.push(InputFile {
            path: path.to_owned(),
            name: self.names.take(&names::for_manifest(relative)),
            len: metadata.len(),
            mtime: mtime(metadata),
            contents,
        });
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.files.iter().map(|file| file.len).sum()
    }

    /// The files as the manifest lists them.
    #[must_use]
    pub fn drafts(&self) -> Vec<FileDraft> {
        let draft = |file: &InputFile| FileDraft {
            name: file.name.clone(),
            mime: names::media_type(&file.name).to_owned(),
            len: file.len,
            mtime: file.mtime,
        };
        self.files.iter().map(draft).collect()
    }
}

impl InputFile {
    /// Whether its name in the manifest is another than on disk.
    #[must_use]
    pub fn is_renamed(&self) -> bool {
        !matches!(self.contents, Contents::Spool(..)) && self.path.file_name() != Some(self.name.as_ref())
    }

    /// BLAKE3 of its bytes, for which it is read once more.
    pub(super) fn digest(&self) -> Result<Hash, Error> {
        if let Contents::Spool(_, digest) = &self.contents {
            return Ok(*digest);
        }
        let mut open = self.open_path()?;
        let mut hasher = FileHasher::new(false);
        let mut buffer = Zeroizing::new(vec![0; READ_LEN]);
        while !open.is_finished() {
            let read = open.read(&mut buffer)?;
            hasher.update(buffer.get(..read).unwrap_or_default());
        }
        open.finish()?;
        Ok(hasher.finish().blake3)
    }

    /// Opens it and closes it again.
    pub(super) fn check_readable(&self) -> Result<(), Error> {
        match self.contents {
            Contents::Named | Contents::Found => self.open_path().map(drop),
            Contents::Spool(..) => Ok(()),
        }
    }

    /// Opens it for one reading.
    pub(super) fn open(self) -> Result<OpenFile, Error> {
        match self.contents {
            Contents::Named | Contents::Found => self.open_path(),
            Contents::Spool(spool, _) => Ok(OpenFile {
                path: self.path,
                left: self.len,
                len: self.len,
                mtime: self.mtime,
                contents: Opened::Spool(spool),
            }),
        }
    }

    fn open_path(&self) -> Result<OpenFile, Error> {
        let file = match self.contents {
            Contents::Found => platform::open_regular(&self.path),
            _ => File::open(&self.path),
        };
        let file = file.map_err(|error| Error::file("open", &self.path, error))?;
        let mut open = OpenFile {
            path: self.path.clone(),
            left: self.len,
            len: self.len,
            mtime: self.mtime,
            contents: Opened::File(file),
        };
        open.check_unchanged()?;
        Ok(open)
    }
}

/// A file that is being read, and must end where it ended when it was listed.
pub(super) struct OpenFile {
    path: PathBuf,
    left: u64,
    len: u64,
    mtime: Option<i64>,
    contents: Opened,
}

enum Opened {
    File(File),
    Spool(Box<Spool>),
}

impl OpenFile {
    /// Fills the front of `buffer`; 0 when all of it has been read.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.read_some(buffer)?;
        if read == 0 {
            return Err(Error::Changed(self.path.clone()));
        }
        self.left -= read as u64;
        Ok(read)
    }

    pub(super) fn is_finished(&self) -> bool {
        self.left == 0
    }

    /// Refuses a file that grew, shrank or was written to since it was listed.
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if self.read_some(&mut [0])? != 0 {
            return Err(Error::Changed(self.path));
        }
        self.check_unchanged()
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = match &mut self.contents {
            Opened::File(file) => file.read(buffer),
            Opened::Spool(spool) => spool.read(buffer),
        };
        read.map_err(|error| Error::file("read", &self.path, error))
    }

    fn check_unchanged(&mut self) -> Result<(), Error> {
        let Opened::File(file) = &self.contents else {
            return Ok(());
        };
        let metadata = file
            .metadata()
            .map_err(|error| Error::file("read", &self.path, error))?;
        if metadata.len() == self.len && mtime(&metadata) == self.mtime && metadata.is_file() {
            Ok(())
        } else {
            Err(Error::Changed(self.path.clone()))
        }
    }
}

fn mtime(metadata: &Metadata) -> Option<i64> {
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(modified.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_flattened_in_order_and_links_left_out() {
        let dir = tempfile::tempdir().unwrap();
        let scans = dir.path().join("scans");
        fs::create_dir_all(scans.join("b")).unwrap();
        for name in ["z.txt", "a:1.txt", "b/c.txt"] {
            fs::write(scans.join(name), name).unwrap();
        }
        let outside = dir.path().join("secret");
        fs::write(&outside, "x").unwrap();
        #[cfg(unix)]
        std::os::unix::fs::symlink(&outside, scans.join("link")).unwrap();
        let mut input = Input::default();
        input.add(&scans).unwrap();
        input.add(&scans.join("z.txt")).unwrap();
        let names: Vec<&str> = input.files.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a_1.txt", "b - c.txt", "z.txt", "z (2).txt"]);
        assert!(input.files[0].is_renamed() && !input.files[2].is_renamed());
        #[cfg(unix)]
        assert_eq!(input.skipped, [scans.join("link")]);
        assert!(input.add(&dir.path().join("none")).is_err());
    }

    #[test]
    #[cfg(unix)]
    fn a_link_that_takes_the_place_of_what_was_found_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, secret) = (dir.path().join("scans"), dir.path().join("secret"));
        let (path, named) = (folder.join("f"), dir.path().join("named"));
        fs::create_dir(&folder).unwrap();
        fs::write(&path, "x").unwrap();
        fs::rename(&path, &secret).unwrap();
        std::os::unix::fs::symlink(&secret, &named).unwrap();
        fs::hard_link(&secret, &path).unwrap();
        let mut input = Input::default();
        input.add(&folder).unwrap();
        input.add_found(&path).unwrap();
        input.add(&named).unwrap();
        assert!(input.add_found(&named).is_err());
        fs::remove_file(&path).unwrap();
        // Length and time of what it leads to are those of what was found.
        std::os::unix::fs::symlink(&secret, &path).unwrap();
        let opened: Vec<bool> = input.files.into_iter().map(|file| file.open().is_ok()).collect();
        assert_eq!(opened, [false, false, true]);
    }

    #[test]
    fn a_file_that_changes_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let listed = || {
            fs::write(&path, "0123456789").unwrap();
            let mut input = Input::default();
            input.add(&path).unwrap();
            input.files.remove(0)
        };
        let read_all = |file: InputFile, change: &dyn Fn()| {
            let mut open = file.open()?;
            change();
            while !open.is_finished() {
                open.read(&mut [0; 4])?;
            }
            open.finish()
        };
        read_all(listed(), &|| ()).unwrap();
        let changes: [&dyn Fn(); 3] = [
            &|| fs::write(&path, "01234567890").unwrap(),
            &|| fs::write(&path, "01").unwrap(),
            &|| {
                let file = File::options().write(true).open(&path).unwrap();
                file.set_modified(UNIX_EPOCH + std::time::Duration::from_secs(5))
                    .unwrap();
            },
        ];
        for change in changes {
            let refused = read_all(listed(), change);
            assert!(matches!(refused, Err(Error::Changed(_))), "{refused:?}");
        }
        let before = listed();
        fs::write(&path, "another").unwrap();
        assert!(
            matches!(before.open(), Err(Error::Changed(_))),
            "changed before it was opened"
        );
    }
}
