//! A person at a computer: a home folder, a passphrase in a file, and the real `sealpost`.

use std::ffi::OsStr;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::binaries;

/// Words of a command: texts and paths side by side.
pub type Words<'a> = [&'a dyn AsRef<OsStr>];

/// What a run of `sealpost` gave back.
#[derive(Debug, Clone)]
pub struct Run {
    /// Exit code; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: Vec<u8>,
    /// Standard error.
    pub stderr: String,
}

/// A person with an own home and passphrase.
#[derive(Debug, Clone)]
pub struct Person {
    program: PathBuf,
    home: PathBuf,
    passphrase_file: PathBuf,
}

impl Person {
    /// A person whose folder is `folder/name`. Nothing is enrolled yet.
    ///
    /// # Errors
    /// A sentence, when the binary is not built or the folder cannot be made.
    pub fn new(folder: &Path, name: &str) -> Result<Self, String> {
        let own = folder.join(name);
        fs::create_dir_all(&own).map_err(|error| format!("{} could not be made: {error}", own.display()))?;
        let passphrase_file = own.join("passphrase");
        write_private(
            &passphrase_file,
            format!("the {name} passphrase of this test\n").as_bytes(),
        )
        .map_err(|error| format!("{} could not be written: {error}", passphrase_file.display()))?;
        Ok(Self {
            program: binaries::find("sealpost")?,
            home: own.join("home"),
            passphrase_file,
        })
    }

    /// The client's folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The file with the passphrase.
    #[must_use]
    pub fn passphrase_file(&self) -> &Path {
        &self.passphrase_file
    }

    /// The same home with the passphrase of another file.
    #[must_use]
    pub fn with_passphrase_file(&self, file: &Path) -> Self {
        Self {
            passphrase_file: file.to_path_buf(),
            ..self.clone()
        }
    }

    /// Runs `sealpost` with these arguments and nothing on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run(&self, arguments: &Words<'_>) -> Result<Run, String> {
        self.run_with_input(arguments, b"")
    }

    /// Runs `sealpost` with `input` on its standard input.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn run_with_input(&self, arguments: &Words<'_>, input: &[u8]) -> Result<Run, String> {
        finish(self.command(arguments), input)
    }

    /// `sealpost` with these arguments, to be started.
    #[must_use]
    pub fn command(&self, arguments: &Words<'_>) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(["--home".as_ref(), self.home.as_os_str()])
            .args(["--passphrase-file".as_ref(), self.passphrase_file.as_os_str()])
            .args(arguments.iter().map(AsRef::as_ref));
        command
    }

    /// Runs `sealpost --json`, which must succeed, and reads its answer.
    ///
    /// # Errors
    /// A sentence with what the program said, when it failed or its answer is not JSON.
    pub fn ask(&self, arguments: &Words<'_>) -> Result<Value, String> {
        let mut all: Vec<&dyn AsRef<OsStr>> = vec![&"--json"];
        all.extend(arguments);
        self.run(&all)?.json(&shown(arguments))
    }
}

/// Runs a command to its end, with `input` on its standard input.
///
/// # Errors
/// When it cannot be started.
pub fn finish(mut command: Command, input: &[u8]) -> Result<Run, String> {
    let program = command.get_program().to_owned();
    let failed = |error: std::io::Error| format!("{} could not be run: {error}", program.display());
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    if let Some(mut stdin) = child.stdin.take() {
        // A program that ends without reading its input closes the pipe; that is its right.
        let _ = stdin.write_all(input);
    }
    let output = child.wait_with_output().map_err(failed)?;
    Ok(Run {
        code: output.status.code().unwrap_or(-1),
        stdout: output.stdout,
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Run {
    /// The answer as JSON, when the run succeeded. `what` names the run in the error.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn json(&self, what: &str) -> Result<Value, String> {
        if self.code != 0 {
            let stdout = String::from_utf8_lossy(&self.stdout);
            return Err(format!(
                "`sealpost {what}` ended with {}: {}{stdout}",
                self.code, self.stderr
            ));
        }
        serde_json::from_slice(&self.stdout).map_err(|error| format!("`sealpost {what}` answered no JSON: {error}"))
    }
}

/// Writes a file that only its owner can read: `sealpost` takes no other for a passphrase.
///
/// # Errors
/// Of the file system.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)?.write_all(bytes)
}

fn shown(arguments: &Words<'_>) -> String {
    let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
    words.join(" ")
}
