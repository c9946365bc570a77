//! What every command starts from: the folder, the passphrase's source, time and randomness.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io::ErrorKind;
use std::path::PathBuf;

use sealpost_client::directory::proven_addresses;
use sealpost_client::{Env, Error, Home, Session, resume};
use sealpost_proto::id::{Address, Label};
use zeroize::Zeroizing;

use crate::cli::Global;
use crate::cli::values::profile;
use crate::credentials::Credentials;
use crate::hints;
use crate::output::{count, note};
use crate::secrets;

/// Folder of the profiles in the client's.
const PROFILES: &str = "profiles";

/// What every command starts from.
#[derive(Debug, Clone)]
pub(crate) struct Context {
    pub(crate) home: Home,
    pub(crate) env: Env,
    pub(crate) json: bool,
    /// A file with the passphrase: the one that was named, or a credential.
    pub(crate) passphrase_file: Option<PathBuf>,
    /// Which of several accounts, if it has a name.
    pub(crate) profile: Option<String>,
    /// The folder without a profile.
    base: PathBuf,
    given: Given,
}

/// What was said of where keys and passphrase are.
#[derive(Debug, Clone)]
struct Given {
    /// The folder named on the command line, for hints at the next command. What the environment says holds for that as well.
    home: Option<PathBuf>,
    /// The same of the profile.
    profile: Option<String>,
    passphrase_file: Option<PathBuf>,
    credentials: Option<Credentials>,
}

impl Context {
    pub(crate) fn new(global: &Global, env: Env) -> Result<Self, Error> {
        let base = global.home.clone().or_else(default_home).ok_or_else(|| {
            Error::Input("Your home folder is not known; name the client's folder with --home.".to_owned())
        })?;
        let is_typed = |name: &str, value: &OsStr| std::env::var_os(name).as_deref() != Some(value);
        let given = Given {
            home: global
                .home
                .clone()
                .filter(|home| is_typed("SEALPOST_HOME", home.as_os_str())),
            profile: global
                .profile
                .clone()
                .filter(|name| is_typed("SEALPOST_PROFILE", name.as_ref())),
            passphrase_file: global.passphrase_file.clone(),
            credentials: Credentials::given(),
        };
        if given.home.is_some() && global.profile.is_some() {
            return Err(Error::Input(
                "A profile is a folder in the client's own, so --home and --profile (or SEALPOST_PROFILE) do not go together; name one of them."
                    .to_owned(),
            ));
        }
        Ok(Self::of(base, global.profile.clone(), given, env, global.json))
    }

    fn of(base: PathBuf, profile: Option<String>, given: Given, env: Env, json: bool) -> Self {
        let folder = match &profile {
            Some(name) => base.join(PROFILES).join(name),
            None => base.clone(),
        };
        let credentials = given.credentials.as_ref();
        let key_file = credentials.and_then(|credentials| credentials.key_file(profile.as_deref()));
        let passphrase = || credentials.and_then(|credentials| credentials.passphrase(profile.as_deref()));
        let home = Home::new(folder);
        Self {
            home: match key_file {
                Some(key_file) => home.with_credential(key_file),
                None => home,
            },
            env,
            json,
            passphrase_file: given.passphrase_file.clone().or_else(passphrase),
            profile,
            base,
            given,
        }
    }

    /// All accounts that have keys here: the one without a name first, then the profiles by name. If a profile was named, that alone.
    ///
    /// # Errors
    /// [`Error::NoKeyFile`] if there is none; [`Error::File`].
    pub(crate) fn profiles(&self) -> Result<Vec<Self>, Error> {
        let mut all = vec![self.clone()];
        if self.profile.is_none() {
            all.extend(self.profile_names()?.into_iter().map(|name| self.in_profile(name)));
        }
        all.retain(|context| context.home.key_file().exists());
        if all.is_empty() {
            return Err(Error::NoKeyFile(self.home.key_file()));
        }
        Ok(all)
    }

    fn profile_names(&self) -> Result<BTreeSet<String>, Error> {
        let folder = self.base.join(PROFILES);
        let entries = match std::fs::read_dir(&folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            entries => Some(entries.map_err(|error| Error::file("read", &folder, error))?),
        };
        let folders = entries
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let handed_over = self.given.credentials.iter().flat_map(Credentials::profiles);
        Ok(folders
            .chain(handed_over)
            .filter(|name| profile(name).is_ok())
            .collect())
    }

    fn in_profile(&self, name: String) -> Self {
        // Beside a folder that was named a profile is a folder as well, since the two options do not go together.
        let folder = || self.base.join(PROFILES).join(&name);
        let given = Given {
            home: self.given.home.as_ref().map(|_| folder()),
            profile: self.given.home.is_none().then(|| name.clone()),
            ..self.given.clone()
        };
        Self::of(self.base.clone(), Some(name), given, self.env.clone(), self.json)
    }

    /// The opened account, without what has expired in it.
    pub(crate) fn session(&self) -> Result<Session, Error> {
        if !self.home.key_file().exists() {
            return Err(Error::NoKeyFile(self.home.key_file()));
        }
        // With keys that were handed over there may be no folder yet for what is kept beside them.
        self.home.create()?;
        let passphrase = secrets::passphrase(self.passphrase_file.as_deref())?;
        let session = Session::open(self.home.clone(), &passphrase, self.env.clone())?;
        tell_expired(resume::remove_expired(&session));
        Ok(session)
    }

    /// A command to be typed next, with the folder or the profile that was named for this one.
    pub(crate) fn command(&self, words: &str) -> String {
        let home = self
            .given
            .home
            .as_ref()
            .map(|home| format!(" --home {}", home.display()));
        let profile = self.given.profile.as_ref().map(|name| format!(" --profile {name}"));
        format!("sealpost {words}{}", home.or(profile).unwrap_or_default())
    }

    /// A sentence of ours in which commands stand, each with the folder that was named for this one.
    pub(crate) fn hints(&self, sentence: &str) -> String {
        hints::adapt(sentence, |words| self.command(words))
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
