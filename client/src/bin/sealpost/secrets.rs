//! Where secrets come from: a file, the standard input, or the terminal without echo. Never from arguments, never from the
//! environment itself: other users and child processes can read both.

use std::io::{IsTerminal as _, Read as _};
use std::path::Path;

use sealpost_client::key_file::MIN_PASSPHRASE;
use sealpost_client::{Error, platform};
use zeroize::Zeroizing;

const MAX_SECRET_FILE: u64 = 16 * 1024;

/// The passphrase of an existing key file.
pub(crate) fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, Error> {
    match file {
        Some(file) => from_private_file(file),
        None => prompt("Passphrase of your key file: "),
    }
}

/// The passphrase of a new key file: twice from a terminal, and long enough.
pub(crate) fn new_passphrase(file: Option<&Path>, of: &str) -> Result<Zeroizing<String>, Error> {
    let chosen = match file {
        Some(file) => from_private_file(file)?,
        None => {
            let chosen = prompt(&format!(
                "New passphrase for {of} (at least {MIN_PASSPHRASE} characters): "
            ))?;
            if *chosen != *prompt("The same passphrase again: ")? {
                return Err(Error::Input("The two passphrases differ; start again.".to_owned()));
            }
            chosen
        }
    };
    if chosen.chars().count() < MIN_PASSPHRASE {
        return Err(sealpost_client::key_file::KeyFileError::ShortPassphrase.into());
    }
    Ok(chosen)
}

/// A setup or enrolment string: from a file, from the standard input (`-`), or typed without echo.
pub(crate) fn secret_string(from: Option<&Path>, what: &str) -> Result<Zeroizing<String>, Error> {
    match from {
        Some(path) if path == Path::new("-") => from_stdin(),
        Some(path) => from_file(path),
        None => prompt(&format!("{what}: ")),
    }
}

fn from_stdin() -> Result<Zeroizing<String>, Error> {
    let mut text = Zeroizing::new(String::with_capacity(4096));
    let read = std::io::stdin().lock().take(MAX_SECRET_FILE).read_to_string(&mut text);
    read.map_err(|error| Error::file("read", Path::new("-"), error))?;
    Ok(first_line(&text))
}

/// A passphrase serves for years: a file of it that others can read is refused.
fn from_private_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = platform::read_private(path, MAX_SECRET_FILE).map_err(|error| Error::file("read", path, error))?;
    let bytes = bytes.ok_or_else(|| Error::OpenPassphraseFile(path.to_owned()))?;
    text_of(&bytes, path)
}

fn from_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let bytes = platform::read_limited(path, MAX_SECRET_FILE).map_err(|error| Error::file("read", path, error))?;
    text_of(&Zeroizing::new(bytes), path)
}

fn text_of(bytes: &[u8], path: &Path) -> Result<Zeroizing<String>, Error> {
    let text = std::str::from_utf8(bytes);
    let text = text.map_err(|_| Error::Input(format!("{} is not a text.", path.display())))?;
    Ok(first_line(text))
}

fn first_line(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.lines().next().unwrap_or_default().to_owned())
}

fn prompt(text: &str) -> Result<Zeroizing<String>, Error> {
    let typed = rpassword::prompt_password(text).map(Zeroizing::new);
    typed.map_err(|_| {
        Error::Input(
            "There is no terminal to ask for a secret; name a file with --passphrase-file or SEALPOST_PASSPHRASE_FILE (for strings: a path or `-`)."
                .to_owned(),
        )
    })
}

/// Asks yes or no on the terminal; without one the answer is no.
pub(crate) fn confirm(question: &str) -> bool {
    if !std::io::stdin().is_terminal() {
        return false;
    }
    crate::output::note(&format!("{question} [y/N]"));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    read.is_ok() && matches!(answer.trim(), "y" | "Y" | "yes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passphrase_file_is_its_first_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        platform::write_private(&path, b"correct horse battery\nnot this\n").unwrap();
        assert_eq!(*passphrase(Some(&path)).unwrap(), "correct horse battery");
        platform::write_private(&path, b"short\n").unwrap();
        assert!(matches!(new_passphrase(Some(&path), "x"), Err(Error::KeyFile(_))));
    }

    #[test]
    #[cfg(unix)]
    fn a_passphrase_file_of_many_is_refused_and_a_string_is_not() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p");
        platform::write_private(&path, b"correct horse battery\n").unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
        for refused in [passphrase(Some(&path)), new_passphrase(Some(&path), "x")] {
            assert!(
                matches!(refused, Err(Error::OpenPassphraseFile(_))),
                "{:?}",
                refused.err()
            );
        }
        // Strings are used once, and come from elsewhere.
        assert!(secret_string(Some(&path), "x").is_ok());
    }
}
