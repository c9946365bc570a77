//! What a service manager hands over: the passphrase and the key file as credentials (systemd.exec(5), `LoadCredentialEncrypted=`).
//!
//! A profile's own have its name behind theirs. Nobody but the service manager writes to their folder, and its path is no secret.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

const PASSPHRASE: &str = "sealpost-passphrase";
const KEY_FILE: &str = "sealpost-keys";

/// The folder of this process's credentials.
#[derive(Debug, Clone)]
pub(crate) struct Credentials(PathBuf);

impl Credentials {
    /// Those that the environment names, if it does.
    pub(crate) fn given() -> Option<Self> {
        Self::at(std::env::var_os("CREDENTIALS_DIRECTORY"))
    }

    fn at(folder: Option<OsString>) -> Option<Self> {
        let folder = folder.map(PathBuf::from).filter(|folder| folder.is_absolute());
        folder.map(Self)
    }

    /// Whether a file lies in their folder.
    pub(crate) fn hold(&self, path: &Path) -> bool {
        path.parent() == Some(&self.0)
    }

    /// The passphrase: of a profile its own before that of all.
    pub(crate) fn passphrase(&self, profile: Option<&str>) -> Option<PathBuf> {
        let own = profile.and_then(|profile| self.file(PASSPHRASE, Some(profile)));
        own.or_else(|| self.file(PASSPHRASE, None))
    }

    /// The key file: of a profile its own alone.
    pub(crate) fn key_file(&self, profile: Option<&str>) -> Option<PathBuf> {
        self.file(KEY_FILE, profile)
    }

    /// Profiles that have a key file here, in no order.
    pub(crate) fn profiles(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let name = |file: OsString| Some(file.to_str()?.strip_prefix(KEY_FILE)?.strip_prefix('.')?.to_owned());
        entries.filter_map(|entry| name(entry.file_name())).collect()
    }

    fn file(&self, name: &str, profile: Option<&str>) -> Option<PathBuf> {
        let name = match profile {
            Some(profile) => format!("{name}.{profile}"),
            None => name.to_owned(),
        };
        let path = self.0.join(name);
        // A link as well: what it is, whoever reads it finds out.
        path.symlink_metadata().is_ok().then_some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_has_its_own_keys_and_if_it_must_the_passphrase_of_all() {
        let dir = tempfile::tempdir().unwrap();
        let credentials = Credentials::at(Some(dir.path().into())).unwrap();
        assert_eq!(credentials.passphrase(None), None);
        for name in [
            "sealpost-passphrase",
            "sealpost-keys",
            "sealpost-keys.b",
            "sealpost-passphrase.b",
            "other",
        ] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let name = |path: Option<PathBuf>| path.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned());
        assert_eq!(name(credentials.passphrase(None)).unwrap(), "sealpost-passphrase");
        assert_eq!(name(credentials.passphrase(Some("a"))).unwrap(), "sealpost-passphrase");
        assert_eq!(
            name(credentials.passphrase(Some("b"))).unwrap(),
            "sealpost-passphrase.b"
        );
        assert_eq!(name(credentials.key_file(None)).unwrap(), "sealpost-keys");
        assert_eq!(
            name(credentials.key_file(Some("a"))),
            None,
            "the keys of another account"
        );
        assert_eq!(name(credentials.key_file(Some("b"))).unwrap(), "sealpost-keys.b");
        assert_eq!(credentials.profiles(), ["b"]);
        assert!(credentials.hold(&dir.path().join("x")) && !credentials.hold(&dir.path().join("x/y")));
    }

    #[test]
    fn the_folder_has_a_whole_path() {
        assert!(Credentials::at(None).is_none());
        assert!(Credentials::at(Some("credentials".into())).is_none());
    }
}
