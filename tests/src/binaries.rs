//! Where Cargo put the product's binaries.

use std::path::PathBuf;

/// The binary `name`, beside the running program (a task) or one folder above it (a test).
///
/// # Errors
/// A sentence that says how to build it, when it is not there.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|error| format!("the running program has no path: {error}"))?;
    let file = format!("{name}{}", std::env::consts::EXE_SUFFIX);
    program
        .ancestors()
        .skip(1)
        .take(2)
        .map(|folder| folder.join(&file))
        .find(|path| path.is_file())
        .ok_or_else(|| format!("the binary `{name}` is not built; run `cargo build --workspace --all-features --bins`"))
}
