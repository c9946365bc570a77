//! What every command starts from: the folder, the passphrase's source, time and randomness.

use std::collections::BTreeMap;
use std::path::PathBuf;

use sealpost_client::directory::proven_addresses;
use sealpost_client::{Env, Error, Home, Session, resume};
use sealpost_proto::id::{Address, Label};
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::output::{count, note};
use crate::secrets;

/// What every command starts from.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) env: Env,
    pub(crate) json: bool,
    pub(crate) passphrase_file: Option<PathBuf>,
    /// The folder named on the command line, for hints at the next command.
    named_home: Option<PathBuf>,
}

impl Context {
    pub(crate) fn new(global: &Global, env: Env) -> Result<Self, Error> {
        let home = global.home.clone().or_else(default_home).ok_or_else(|| {
            Error::Input("Your home folder is not known; name the client's folder with --home.".to_owned())
        })?;
        Ok(Self {
            home: Home::new(home),
            env,
            json: global.json,
            passphrase_file: global.passphrase_file.clone(),
            // What the environment says holds for the next command as well.
            named_home: global
                .home
                .clone()
                .filter(|home| std::env::var_os("SEALPOST_HOME").as_deref() != Some(home.as_os_str())),
        })
    }

    /// The opened account, without what has expired in it.
    pub(crate) fn session(&self) -> Result<Session, Error> {
        if !self.home.key_file().exists() {
            return Err(Error::NoKeyFile(self.home.key_file()));
        }
        let passphrase = secrets::passphrase(self.passphrase_file.as_deref())?;
        let session = Session::open(self.home.clone(), &passphrase, self.env.clone())?;
        tell_expired(resume::remove_expired(&session));
        Ok(session)
    }

    /// A command to be typed next, with the folder that was named for this one.
    pub(crate) fn command(&self, words: &str) -> String {
        let home = self
            .named_home
            .as_ref()
            .map(|home| format!(" --home {}", home.display()));
        format!("sealpost {words}{}", home.unwrap_or_default())
    }

    pub(crate) fn new_passphrase(&self, of: &str) -> Result<Zeroizing<String>, Error> {
        secrets::new_passphrase(self.passphrase_file.as_deref(), of)
    }
}

/// Says that kept state was removed because its transfers had expired, if any was.
pub(crate) fn tell_expired(removed: usize) {
    if let Some(told) = expired(removed) {
        note(&told);
    }
}

fn expired(removed: usize) -> Option<String> {
    let number = count(removed, "unfinished transfer");
    (removed > 0).then(|| format!("{number} had expired: what was kept to go on is removed."))
}

/// Where the openings of links that were begun are kept: `$XDG_STATE_HOME/sealpost`, by default `~/.local/state/sealpost`.
pub(crate) fn state_folder() -> Result<PathBuf, Error> {
    let xdg = std::env::var_os("XDG_STATE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let state = xdg.or_else(|| std::env::home_dir().map(|home| home.join(".local").join("state")));
    let state = state.ok_or_else(|| {
        Error::Input("Your home folder is not known; name a folder of your own in XDG_STATE_HOME.".to_owned())
    })?;
    Ok(state.join("sealpost"))
}

/// `$XDG_CONFIG_HOME/sealpost`, by default `~/.config/sealpost`.
fn default_home() -> Option<PathBuf> {
    let xdg = std::env::var_os("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let config = xdg.or_else(|| std::env::home_dir().map(|home| home.join(".config")))?;
    Some(config.join("sealpost"))
}

/// People by label: addresses as far as they are proven, else the beginning of the label.
#[derive(Debug)]
pub(crate) struct People(BTreeMap<Label, Address>);

impl People {
    pub(crate) async fn load(session: &Session) -> Result<Self, Error> {
        proven_addresses(&session.api, &session.account).await.map(Self)
    }

    pub(crate) fn address(&self, label: &Label) -> Option<&Address> {
        self.0.get(label)
    }

    pub(crate) fn name(&self, label: &Label) -> String {
        let short = || format!("person {}", label.to_string().chars().take(12).collect::<String>());
        self.address(label)
            .map_or_else(short, |address| sealpost_client::text::line(address.as_str()))
    }

    /// A sender or none.
    pub(crate) fn sender(&self, label: Option<&Label>) -> String {
        label.map_or_else(|| "an unverified sender".to_owned(), |label| self.name(label))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_removed_is_told_in_one_sentence_and_nothing_is_told_of_nothing() {
        assert_eq!(expired(0), None);
        let told = expired(1).unwrap();
        assert!(told.starts_with("1 unfinished transfer had expired"), "{told}");
        assert!(expired(2).unwrap().starts_with("2 unfinished transfers had expired"));
    }
}
