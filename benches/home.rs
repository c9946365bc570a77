//! A person's account, opened as the command `sealpost` does it.

use std::path::Path;

use sealpost_client::account::Account;
use sealpost_client::{Env, Home, Session};

use crate::clinic::Failure;

/// The account in the client's folder `home`.
///
/// # Errors
/// When the passphrase cannot be read or is not the right one.
pub fn account(home: &Path, passphrase_file: &Path) -> Result<Account, Failure> {
    Ok(Home::new(home).open_key_file(&passphrase(passphrase_file)?)?)
}

/// The same at its gateway.
///
/// # Errors
/// As [`account`].
pub fn session(home: &Path, passphrase_file: &Path) -> Result<Session, Failure> {
    Ok(Session::open(
        Home::new(home),
        &passphrase(passphrase_file)?,
        Env::system(),
    )?)
}

fn passphrase(file: &Path) -> Result<String, Failure> {
    let text = std::fs::read_to_string(file)?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}
