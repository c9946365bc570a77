//! A model of the folders of a traced process on a disk whose power may go at any moment.
//!
//! What it promises is what POSIX does, and no more:
//! * Bytes are durable after an fsync or fdatasync that was entered after their write was left, and that was left well. Of newer
//!   bytes any subset of pages of 4 KiB may survive, each in any of its newer states. `sync_file_range` promises nothing.
//! * The length is as durable as the bytes: any of its newer values may survive.
//! * Names are durable after an fsync of their folder; without it some first part of the changes to that folder survives,
//!   whatever happened to the file. A rename replaces a name as a whole.
//!
//! File systems keep more than this (ext4 orders renames across folders); a gateway must not need it.

mod content;
mod image;

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use content::Content;
pub use content::PAGE;
pub use image::Survival;

use super::trace::{AT_FDCWD, At, Call, Event, Fd, Op, Trace};
use super::{Outcome, failed};

/// Number of a file or folder.
type Inode = usize;
/// Number of a call, which orders changes.
type Age = usize;

/// A change to the names of a folder: what the name means from then on.
#[derive(Debug, Clone)]
struct Renaming {
    age: Age,
    name: OsString,
    inode: Option<Inode>,
}

#[derive(Debug)]
enum Node {
    File(Content),
    Folder(Folder),
}

#[derive(Debug, Default)]
struct Folder {
    durable: BTreeMap<OsString, Inode>,
    pending: Vec<Renaming>,
}

impl Folder {
    /// What a process sees.
    fn current(&self) -> BTreeMap<OsString, Inode> {
        let mut names = self.durable.clone();
        for change in &self.pending {
            change.apply(&mut names);
        }
        names
    }

    fn get(&self, name: &OsString) -> Option<Inode> {
        let last = self.pending.iter().rev().find(|change| change.name == *name);
        last.map_or_else(|| self.durable.get(name).copied(), |change| change.inode)
    }
}

impl Renaming {
    fn apply(&self, names: &mut BTreeMap<OsString, Inode>) {
        match self.inode {
            Some(inode) => names.insert(self.name.clone(), inode),
            None => names.remove(&self.name),
        };
    }
}

/// An open file; descriptors that were duplicated share it.
#[derive(Debug, Clone, Copy)]
struct OpenFile {
    inode: Inode,
    position: u64,
    append: bool,
}

/// The disk.
#[derive(Debug)]
pub struct Disk {
    nodes: Vec<Node>,
    modes: Vec<u32>,
    roots: Vec<(PathBuf, Inode)>,
    descriptors: HashMap<Fd, usize>,
    open: Vec<OpenFile>,
    /// Event at which a call was left, for syncs in flight.
    syncs: HashMap<usize, usize>,
}

impl Disk {
    /// The disk as it is: everything below `folders` is durable. A path in the trace must begin with one of them.
    ///
    /// # Errors
    /// Of the file system.
    pub fn of(folders: &[PathBuf]) -> Outcome<Self> {
        Self::seen_as(folders, folders)
    }

    /// The same of copies: what lies below each of `copies` is what the process will see below each of `folders`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn seen_as(folders: &[PathBuf], copies: &[PathBuf]) -> Outcome<Self> {
        let mut disk = Self {
            nodes: Vec::new(),
            modes: Vec::new(),
            roots: Vec::new(),
            descriptors: HashMap::new(),
            open: Vec::new(),
            syncs: HashMap::new(),
        };
        for (folder, copy) in folders.iter().zip(copies) {
            let inode = disk.read(copy)?;
            disk.roots.push((folder.clone(), inode));
        }
        Ok(disk)
    }

    fn add(&mut self, node: Node, mode: u32) -> Inode {
        self.nodes.push(node);
        self.modes.push(mode);
        self.nodes.len() - 1
    }

    fn read(&mut self, path: &Path) -> Outcome<Inode> {
        let bad = || failed(path.display());
        let metadata = fs::metadata(path).map_err(bad())?;
        let mode = metadata.permissions().mode() & 0o777;
        if metadata.is_file() {
            let content = Content::durable(&fs::read(path).map_err(bad())?);
            return Ok(self.add(Node::File(content), mode));
        }
        let mut folder = Folder::default();
        for entry in fs::read_dir(path).map_err(bad())? {
            let entry = entry.map_err(bad())?;
            folder.durable.insert(entry.file_name(), self.read(&entry.path())?);
        }
        Ok(self.add(Node::Folder(folder), mode))
    }

    /// Replays the event with this index.
    ///
    /// # Errors
    /// When the call is not in the model.
    pub fn replay(&mut self, trace: &Trace, index: usize, event: &Event) -> Outcome {
        let Some(call) = trace.calls.get(event.call) else {
            return Ok(());
        };
        if call.result.is_some_and(|result| result < 0) {
            // It changed nothing. A failed sync promises nothing either.
            return Ok(());
        }
        if event.is_left {
            self.leave(trace, event.call, call)
        } else {
            self.enter(index, event.call, call)
        }
    }

    fn enter(&mut self, index: usize, age: Age, call: &Call) -> Outcome {
        match &call.op {
            Op::Open {
                at,
                create,
                truncate,
                unnamed,
                ..
            } => self.make(age, at, *create, *truncate, *unnamed)?,
            Op::Close(fd) => {
                self.descriptors.remove(fd);
            }
            Op::Write { fd, offset, bytes } => self.write(age, *fd, *offset, written(call, bytes)),
            Op::Truncate(fd, len) => self.change(*fd, |content| content.truncate(age, *len)),
            Op::Allocate { fd, keeps, end } if !keeps => self.change(*fd, |content| content.extend(age, *end)),
            Op::Sync(_) => {
                self.syncs.insert(age, index);
            }
            Op::Rename(from, to) => self.rename(age, from, to)?,
            Op::Link(from, to) => {
                if let Some(inode) = self.find(from) {
                    self.name(age, to, Some(inode))?;
                }
            }
            Op::Unlink(at) => self.name(age, at, None)?,
            Op::MakeFolder(at) => {
                if self.parent(at).is_some() {
                    let inode = self.add(Node::Folder(Folder::default()), 0o700);
                    self.name(age, at, Some(inode))?;
                }
            }
            Op::Unknown(name, fds) => {
                if fds.iter().any(|fd| self.descriptors.contains_key(fd)) {
                    return Err(format!(
                        "the model of a disk does not know `{name}`, which the gateway uses on its files"
                    ));
                }
            }
            Op::Allocate { .. } | Op::Dup(_) | Op::Seek(_) | Op::SyncRange(_) | Op::Nothing => {}
        }
        Ok(())
    }

    fn leave(&mut self, trace: &Trace, age: Age, call: &Call) -> Outcome {
        let result = call.result.unwrap_or_default();
        match &call.op {
            Op::Open { at, append, .. } => {
                if let Some(inode) = self.find(at) {
                    self.descriptors.insert(result, self.open.len());
                    let position = 0;
                    let append = *append;
                    self.open.push(OpenFile {
                        inode,
                        position,
                        append,
                    });
                }
            }
            Op::Dup(fd) => {
                if let Some(open) = self.descriptors.get(fd).copied() {
                    self.descriptors.insert(result, open);
                }
            }
            Op::Seek(fd) => {
                if let Some(open) = self.opened(*fd) {
                    open.position = u64::try_from(result).map_err(failed("a position"))?;
                }
            }
            Op::Sync(fd) => {
                let entered = self.syncs.remove(&age).unwrap_or_default();
                let is_done = |age: Age| {
                    trace
                        .calls
                        .get(age)
                        .and_then(|call| call.left)
                        .is_some_and(|left| left < entered)
                };
                if let Some(inode) = self.opened(*fd).map(|open| open.inode) {
                    self.sync(inode, &is_done);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Everything that was done before the sync began is durable from now on.
    fn sync(&mut self, inode: Inode, is_done: &dyn Fn(Age) -> bool) {
        match self.nodes.get_mut(inode) {
            Some(Node::File(content)) => content.sync(is_done),
            Some(Node::Folder(folder)) => {
                let pending = std::mem::take(&mut folder.pending);
                for change in pending {
                    if is_done(change.age) {
                        change.apply(&mut folder.durable);
                    } else {
                        folder.pending.push(change);
                    }
                }
            }
            None => {}
        }
    }

    /// What opening makes: a name, a file, an empty file. Which inode it opened is looked up when it is left.
    fn make(&mut self, age: Age, at: &At, create: bool, truncate: bool, unnamed: bool) -> Outcome {
        if unnamed {
            return match self.find(at) {
                Some(_) => Err("the model of a disk does not know files without a name (O_TMPFILE)".into()),
                None => Ok(()),
            };
        }
        if self.parent(at).is_none() {
            return Ok(());
        }
        match self.find(at) {
            None if create => {
                let inode = self.add(Node::File(Content::default()), 0o600);
                self.name(age, at, Some(inode))
            }
            Some(inode) if truncate => {
                if let Some(Node::File(content)) = self.nodes.get_mut(inode) {
                    content.truncate(age, 0);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn write(&mut self, age: Age, fd: Fd, offset: Option<u64>, bytes: &[u8]) {
        let Some(open) = self.opened(fd).copied() else {
            return;
        };
        let Some(Node::File(content)) = self.nodes.get_mut(open.inode) else {
            return;
        };
        let at = match offset {
            Some(offset) => offset,
            None if open.append => content.len(),
            None => open.position,
        };
        content.write(age, at, bytes);
        if let Some(open) = self.opened(fd).filter(|_| offset.is_none()) {
            open.position = at + bytes.len() as u64;
        }
    }

    fn change(&mut self, fd: Fd, change: impl FnOnce(&mut Content)) {
        let inode = self.opened(fd).map(|open| open.inode);
        if let Some(Node::File(content)) = inode.and_then(|inode| self.nodes.get_mut(inode)) {
            change(content);
        }
    }

    fn rename(&mut self, age: Age, from: &At, to: &At) -> Outcome {
        match (self.find(from), self.parent(to)) {
            (Some(inode), Some(_)) => {
                self.name(age, from, None)?;
                self.name(age, to, Some(inode))
            }
            (None, None) => Ok(()),
            _ => Err(format!(
                "{} was moved into the folders or out of them",
                from.path.display()
            )),
        }
    }

    /// Changes what a name means.
    fn name(&mut self, age: Age, at: &At, inode: Option<Inode>) -> Outcome {
        let Some((parent, name)) = self.parent(at) else {
            return Ok(());
        };
        match self.nodes.get_mut(parent) {
            Some(Node::Folder(folder)) => folder.pending.push(Renaming { age, name, inode }),
            _ => return Err(format!("{} lies in no folder", at.path.display())),
        }
        Ok(())
    }

    fn opened(&mut self, fd: Fd) -> Option<&mut OpenFile> {
        let open = *self.descriptors.get(&fd)?;
        self.open.get_mut(open)
    }

    /// The folder in which a place lies, and its name there; none if it lies elsewhere.
    fn parent(&self, at: &At) -> Option<(Inode, OsString)> {
        let name = at.path.file_name()?.to_owned();
        let folder = at.path.parent()?.to_path_buf();
        let inode = self.find(&At {
            folder: at.folder,
            path: folder,
        })?;
        Some((inode, name))
    }

    fn find(&self, at: &At) -> Option<Inode> {
        if let Ok(number) = at.path.strip_prefix("/proc/self/fd") {
            let fd: Fd = number.to_str()?.parse().ok()?;
            return self.open.get(*self.descriptors.get(&fd)?).map(|open| open.inode);
        }
        if at.path.is_absolute() {
            let (root, inode) = self.roots.iter().find(|(root, _)| at.path.starts_with(root))?;
            return self.walk(*inode, at.path.strip_prefix(root).ok()?);
        }
        if at.folder == AT_FDCWD {
            return None;
        }
        let open = self.open.get(*self.descriptors.get(&at.folder)?)?;
        self.walk(open.inode, &at.path)
    }

    fn walk(&self, mut inode: Inode, path: &Path) -> Option<Inode> {
        for part in path.components() {
            let Component::Normal(name) = part else {
                continue;
            };
            let Some(Node::Folder(folder)) = self.nodes.get(inode) else {
                return None;
            };
            inode = folder.get(&name.to_owned())?;
        }
        Some(inode)
    }
}

/// As much as the call says that it wrote; all of it if it never said.
fn written<'a>(call: &Call, bytes: &'a [u8]) -> &'a [u8] {
    let len = call.result.and_then(|result| usize::try_from(result).ok());
    len.and_then(|len| bytes.get(..len)).unwrap_or(bytes)
}

#[cfg(test)]
mod tests;
