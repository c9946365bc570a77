//! Somebody without an account at a computer that has never seen Sealpost: no home, no keys, and the real `sealpost`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::binaries;
use crate::person::{Run, Words, finish};

/// Somebody without an account.
#[derive(Debug, Clone)]
pub struct Guest {
    program: PathBuf,
    folder: PathBuf,
}

impl Guest {
    /// A guest whose own folder is `folder/name`.
    ///
    /// # Errors
    /// A sentence, when the binary is not built or the folder cannot be made.
    pub fn new(folder: &Path, name: &str) -> Result<Self, String> {
        let own = folder.join(name);
        std::fs::create_dir_all(&own).map_err(|error| format!("{} could not be made: {error}", own.display()))?;
        Ok(Self {
            program: binaries::find("sealpost")?,
            folder: own,
        })
    }

    /// Where the client keeps what was begun.
    #[must_use]
    pub fn state(&self) -> PathBuf {
        self.folder.join(".local").join("state").join("sealpost")
    }

    /// `sealpost` with these arguments, to be started.
    #[must_use]
    pub fn command(&self, arguments: &Words<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("HOME", &self.folder)
            .env_remove("XDG_STATE_HOME")
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("SEALPOST_HOME")
            .env_remove("SEALPOST_PASSPHRASE_FILE")
            .args(arguments.iter().map(AsRef::as_ref));
        command
    }

    /// Runs `sealpost` with these arguments and nothing on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run(&self, arguments: &Words<'_>) -> Result<Run, String> {
        finish(self.command(arguments), b"")
    }
}
