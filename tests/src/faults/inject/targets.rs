//! Which calls can fail: found by watching a session.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use tokio::runtime::Runtime;

use super::People;
use crate::faults::acks::Account;
use crate::faults::dice::Dice;
use crate::faults::process::Start;
use crate::faults::world::{World, remove};
use crate::faults::{Outcome, failed};

/// Calls that fail. Opening counts where it makes a file.
const CALLS: [&str; 9] = [
    "openat",
    "write",
    "pwrite64",
    "ftruncate",
    "fallocate",
    "fsync",
    "fdatasync",
    "rename",
    "mkdir",
];

/// A call that can fail: which, on what, and the how manyth of its kind.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Target {
    pub(super) call: String,
    /// Relative to the folder with both folders. The folders of blobs, whose names are of chance, are one.
    pub(super) path: PathBuf,
    pub(super) number: u64,
}

/// Where the blobs of transfers lie: 256 folders by the first two digits of an id.
pub(super) const BLOBS: &str = "data/blobs/transfers";

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} on {}", self.call, self.number, self.path.display())
    }
}

/// Every call of a session that changes files below the folders, found by watching one.
pub(super) fn targets(world: &World, runtime: &Runtime, dice: &Dice) -> Outcome<Vec<Target>> {
    let folder = world.copy("watched")?;
    let log = folder.join("trace");
    let calls = format!("trace={}", CALLS.join(","));
    let options = [
        "strace",
        "-f",
        "-qq",
        "-y",
        "-s",
        "0",
        "-e",
        &calls,
        "-e",
        "signal=none",
        "-o",
    ];
    let mut wrapper: Vec<OsString> = options.map(OsString::from).to_vec();
    wrapper.push(log.clone().into());
    let start = Start {
        wrapper,
        ..Start::new(&folder, world.port)
    };
    let gateway = start.run()?;
    let account = Account::default();
    let mut people = People::new(world, &folder)?;
    runtime.block_on(people.session(&account, &mut dice.part(0)))?;
    gateway.stop()?;
    let text = fs::read_to_string(&log).map_err(failed(log.display()))?;
    remove(&folder)?;
    Ok(targets_in(&text, &folder))
}

fn targets_in(trace: &str, folder: &Path) -> Vec<Target> {
    let mut counts: BTreeMap<(String, PathBuf), u64> = BTreeMap::new();
    for line in trace.lines() {
        let Some((call, path)) = changed_by(line, folder) else {
            continue;
        };
        *counts.entry((call, path)).or_default() += 1;
    }
    let each = counts.into_iter().flat_map(|((call, path), count)| {
        (1..=count).map(move |number| Target {
            call: call.clone(),
            path: path.clone(),
            number,
        })
    });
    each.collect()
}

/// The call of a line and the first path in it that lies below the folder.
fn changed_by(line: &str, folder: &Path) -> Option<(String, PathBuf)> {
    let (_, rest) = line.split_once(' ')?;
    let (call, rest) = rest.trim_start().split_once('(')?;
    if call == "openat" && !rest.contains("O_CREAT") {
        return None;
    }
    let prefix = format!("{}/", folder.display());
    let at = rest.find(&prefix)?;
    let path = rest.get(at + prefix.len()..)?.split(['"', '>']).next()?;
    if !path.starts_with("data") {
        return None;
    }
    let path = if path.starts_with(&format!("{BLOBS}/")) {
        BLOBS
    } else {
        path
    };
    Some((call.to_owned(), PathBuf::from(path)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_what_they_touch() {
        let trace = "\
7 openat(AT_FDCWD</x>, \"/w/data/tmp/0\", O_RDWR|O_CREAT|O_EXCL|O_CLOEXEC, 0600) = 9</w/data/tmp/0>
7 openat(AT_FDCWD</x>, \"/w/data/tmp/0\", O_RDONLY|O_CLOEXEC) = 9</w/data/tmp/0>
8 fsync(9</w/data/tmp/0> <unfinished ...>
7 write(5<anon_inode:[eventfd]>, \"\"..., 8) = 8
8 <... fsync resumed>) = 0
8 rename(\"/w/data/tmp/0\", \"/w/data/blobs/transfers/ab/x\") = 0
8 fsync(9</w/data/blobs/transfers/ab>) = 0
8 fsync(9</w/data/blobs/transfers/cd>) = 0
8 fsync(9</w/trace>) = 0
";
        let target = |call: &str, path: &str, number| Target {
            call: call.to_owned(),
            path: PathBuf::from(path),
            number,
        };
        let expected = [
            target("fsync", BLOBS, 1),
            target("fsync", BLOBS, 2),
            target("fsync", "data/tmp/0", 1),
            target("openat", "data/tmp/0", 1),
            target("rename", "data/tmp/0", 1),
        ];
        assert_eq!(targets_in(trace, Path::new("/w")), expected);
    }
}
