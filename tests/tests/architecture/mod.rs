//! Rules about the sources themselves: who may depend on whom, who may use whom, what no file may hold.

mod documents;
mod files;
mod grants;
mod packages;
mod rooms;
mod uses;

use std::path::{Path, PathBuf};

/// The folder of the workspace.
fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_path_buf()
}

/// All files below a folder, without build products and version control.
fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && name != ".git" && name != "node_modules" {
                files.extend(files_below(&path));
            }
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}
