//! Writes what a power cut may leave, and compares the model with what a process really left.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::content::PAGE;
use super::{Disk, Folder, Inode, Node};
use crate::faults::dice::Dice;
use crate::faults::{Outcome, failed};

/// How much of what was not synced survives a cut.
#[derive(Debug, Clone, Copy)]
pub struct Survival {
    /// Of a hundred pages.
    pub pages: u64,
    /// Of a hundred folders, those that keep some of their changes.
    pub names: u64,
}

impl Survival {
    /// Nothing, all, or something between: the ends are where most faults are.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut percent = || [0, 10, 50, 90, 100].get(dice.index(5)).copied().unwrap_or(50);
        Self {
            pages: percent(),
            names: percent(),
        }
    }
}

impl Disk {
    /// Writes the folders as a cut at this moment may leave them, each of the model's folders below its own of `targets`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn cut(&self, targets: &[PathBuf], survival: Survival, dice: &mut Dice) -> Outcome {
        let mut written = HashMap::new();
        for ((_, root), target) in self.roots.iter().zip(targets) {
            self.write_node(*root, target, survival, dice, &mut written)?;
        }
        Ok(())
    }

    fn write_node(
        &self,
        inode: Inode,
        target: &Path,
        survival: Survival,
        dice: &mut Dice,
        written: &mut HashMap<Inode, PathBuf>,
    ) -> Outcome {
        let bad = || failed(target.display());
        match self.nodes.get(inode) {
            Some(Node::Folder(folder)) => {
                fs::create_dir_all(target).map_err(bad())?;
                for (name, child) in folder.cut(survival, dice) {
                    self.write_node(child, &target.join(name), survival, dice, written)?;
                }
            }
            Some(Node::File(content)) => {
                // A file with two names is one file.
                if let Some(first) = written.get(&inode) {
                    return fs::hard_link(first, target).map_err(bad());
                }
                let (len, pages) = content.cut(dice, survival.pages);
                let file = File::create(target).map_err(bad())?;
                for (number, page) in pages {
                    file.write_all_at(&*page, number * PAGE as u64).map_err(bad())?;
                }
                // Cuts off what survived beyond the length that did.
                file.set_len(len).map_err(bad())?;
                written.insert(inode, target.to_path_buf());
            }
            None => return Err(format!("no inode for {}", target.display())),
        }
        let mode = self.modes.get(inode).copied().unwrap_or(0o600);
        fs::set_permissions(target, Permissions::from_mode(mode)).map_err(bad())
    }

    /// Whether anything here would be in doubt after a cut.
    #[must_use]
    pub fn is_dirty(&self) -> bool {
        self.nodes.iter().any(|node| match node {
            Node::File(content) => content.is_dirty(),
            Node::Folder(folder) => !folder.pending.is_empty(),
        })
    }

    /// Compares the model with the folders as the process left them: if they differ, the trace or the model is wrong.
    ///
    /// # Errors
    /// The first difference.
    pub fn compare(&self, folders: &[PathBuf]) -> Outcome {
        for ((_, root), folder) in self.roots.iter().zip(folders) {
            self.compare_node(*root, folder)?;
        }
        Ok(())
    }

    fn compare_node(&self, inode: Inode, path: &Path) -> Outcome {
        let differs = |what: &str| {
            Err(format!(
                "the model of the disk is wrong about {}: {what}",
                path.display()
            ))
        };
        match self.nodes.get(inode) {
            Some(Node::Folder(folder)) => {
                let mut expected = folder.current();
                for entry in fs::read_dir(path).map_err(failed(path.display()))? {
                    let entry = entry.map_err(failed(path.display()))?;
                    let Some(child) = expected.remove(&entry.file_name()) else {
                        return differs(&format!("{:?} is there", entry.file_name()));
                    };
                    self.compare_node(child, &entry.path())?;
                }
                match expected.keys().next() {
                    Some(name) => differs(&format!("{name:?} is not there")),
                    None => Ok(()),
                }
            }
            Some(Node::File(content)) => {
                let bytes = fs::read(path).map_err(failed(path.display()))?;
                let (len, pages) = content.now();
                if len != bytes.len() as u64 {
                    return differs(&format!("it is {} bytes long, not {len}", bytes.len()));
                }
                let pages: BTreeMap<u64, _> = pages.into_iter().collect();
                let zero = [0; PAGE];
                for (number, chunk) in (0..).zip(bytes.chunks(PAGE)) {
                    let page = pages.get(&number).map_or(&zero, |page| &**page);
                    if !page.starts_with(chunk) {
                        return differs(&format!("page {number} has other bytes"));
                    }
                }
                Ok(())
            }
            None => differs("it has no inode"),
        }
    }
}

impl Folder {
    fn cut(&self, survival: Survival, dice: &mut Dice) -> BTreeMap<OsString, Inode> {
        let mut names = self.durable.clone();
        let kept = match survival.names {
            100 => self.pending.len(),
            percent if dice.percent(percent) => dice.index(self.pending.len() + 1),
            _ => 0,
        };
        for change in self.pending.iter().take(kept) {
            change.apply(&mut names);
        }
        names
    }
}
