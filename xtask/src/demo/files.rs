//! What the demo sends: synthetic files, or paths that were given.

use std::fs;
use std::path::{Path, PathBuf};

use sealpost_tests::samples::{self, Sample};

use crate::run::Outcome;

/// What is sent, as paths for `sealpost` and as bytes to compare with.
pub(super) struct Sent {
    /// Folder for what goes with it.
    pub(super) folder: PathBuf,
    /// What `sealpost send` is given.
    pub(super) paths: Vec<PathBuf>,
    /// Every file behind these paths.
    pub(super) files: Vec<Sample>,
}

/// Takes the given paths, or writes synthetic files about `patient` below `folder`.
pub(super) fn to_send(given: &[PathBuf], patient: &str, folder: &Path) -> Outcome<Sent> {
    let folder = folder.join("to-send");
    fs::create_dir_all(&folder)?;
    let mut paths = given.to_vec();
    if paths.is_empty() {
        for sample in samples::referral(patient) {
            let path = folder.join(&sample.name);
            fs::write(&path, &sample.bytes)?;
            paths.push(path);
        }
    }
    let files = read_all(&paths)?;
    if files.is_empty() {
        return Err("there is no file behind the given paths".into());
    }
    Ok(Sent { folder, paths, files })
}

/// Every file behind the paths; links inside folders are left out, as `sealpost` does.
pub(super) fn read_all(paths: &[PathBuf]) -> Outcome<Vec<Sample>> {
    let mut files = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries: Result<Vec<_>, _> = fs::read_dir(path)?.collect();
            let below = entries?
                .into_iter()
                .map(|entry| entry.path())
                .filter(|path| !path.is_symlink());
            files.extend(read_all(&below.collect::<Vec<_>>())?);
            continue;
        }
        let bytes = fs::read(path).map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        files.push(Sample { name, bytes });
    }
    Ok(files)
}
