//! The client's folder: where the key file, the mirrors of both logs and the sealed state lie.
//!
//! State files (what was sent and received) hold file names, so each is sealed under a key from the key file; the mirrors hold
//! only what the gateway serves to every member. Nothing else is kept.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use sealpost_proto::crypto::kdf;
use sealpost_proto::enrolment::Secret;
use sealpost_sealed::FAST;
use serde::Serialize;
use serde::de::DeserializeOwned;
use zeroize::Zeroizing;

use crate::account::Account;
use crate::env::Env;
use crate::error::Error;
use crate::{key_file, platform};

const SALT_LEN: usize = 32;
const MAX_STATE_LEN: u64 = 16 << 20;

/// How a file with a secret is read: none if others can read or change it.
type ReadSecret = fn(&Path, u64) -> io::Result<Option<Zeroizing<Vec<u8>>>>;

/// A client's folder.
#[derive(Debug, Clone)]
pub struct Home {
    folder: PathBuf,
    /// A key file that a service manager hands over, in place of the folder's own.
    credential: Option<PathBuf>,
}

impl Home {
    /// The folder at `path`; nothing is created yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            folder: path.into(),
            credential: None,
        }
    }

    /// The same folder with a key file that a service manager hands to this process in a folder of its own.
    #[must_use]
    pub fn with_credential(self, key_file: PathBuf) -> Self {
        Self {
            credential: Some(key_file),
            ..self
        }
    }

    /// The folder itself.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.folder
    }

    /// The key file.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        let own = || self.folder.join("keys.spk");
        self.credential.clone().unwrap_or_else(own)
    }

    /// The folder of a log's mirror.
    #[must_use]
    pub fn log(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Creates the folder, and refuses one that holds a key file already.
    ///
    /// # Errors
    /// [`Error::AlreadyEnrolled`] or [`Error::File`].
    pub fn prepare(&self) -> Result<(), Error> {
        if self.key_file().exists() {
            return Err(Error::AlreadyEnrolled(self.key_file()));
        }
        self.create()
    }

    /// Creates the folder if it is not there.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn create(&self) -> Result<(), Error> {
        platform::create_private_dir(&self.folder).map_err(|e| Error::file("create the folder", &self.folder, e))
    }

    /// Writes the key file; never replaces one.
    ///
    /// # Errors
    /// [`Error::KeyFile`] or [`Error::File`].
    pub fn create_key_file(&self, account: &Account, passphrase: &str, env: &Env) -> Result<(), Error> {
        write_key_file(&self.key_file(), &account.to_bytes()?, passphrase, env)
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// [`Error::NoKeyFile`], [`Error::OpenKeyFile`], [`Error::OpenCredential`], [`Error::KeyFile`] or [`Error::File`].
    pub fn open_key_file(&self, passphrase: &str) -> Result<Account, Error> {
        let path = self.key_file();
        let (read, open): (ReadSecret, fn(PathBuf) -> Error) = match self.credential {
            Some(_) => (platform::read_credential, Error::OpenCredential),
            None => (platform::read_private, Error::OpenKeyFile),
        };
        let file = read(&path, key_file::MAX_LEN).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Error::NoKeyFile(path.clone()),
            _ => Error::file("read the key file", &path, error),
        })?;
        let file = file.ok_or_else(|| open(path))?;
        Ok(Account::from_bytes(&key_file::open(&file, passphrase)?)?)
    }

    /// Holds off other processes that would change the mirrors, until the returned file is dropped.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn lock(&self) -> Result<File, Error> {
        let path = self.folder.join("lock");
        let failed = |error| Error::file("lock the folder", &path, error);
        let file = platform::open_private(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// The sealed state.
    #[must_use]
    pub fn state(&self, account: &Account) -> State {
        State {
            dir: self.folder.clone(),
            key: account.state_key.clone(),
        }
    }
}

/// Writes a new key file of either kind.
///
/// # Errors
/// [`Error::KeyFile`] or [`Error::File`].
pub fn write_key_file(path: &Path, contents: &[u8], passphrase: &str, env: &Env) -> Result<(), Error> {
    let sealed = key_file::seal(contents, passphrase, key_file::Cost::DEFAULT, env)?;
    platform::write_private_new(path, &sealed).map_err(|error| Error::file("write the key file", path, error))
}

/// Sealed files of state, in a folder by kind: `salt(32) || AES-256-GCM ciphertext || tag`, key and IV from the state key, the
/// salt and the file's place, so that no file can stand for another.
#[derive(Debug, Clone)]
pub struct State {
    dir: PathBuf,
    key: Secret,
}

impl State {
    /// The state in `dir` under a key of its own, for somebody without a key file.
    pub(crate) fn at(dir: &Path, key: Secret) -> Self {
        Self {
            dir: dir.to_owned(),
            key,
        }
    }

    /// Writes a record durably; an earlier one of the same name is replaced.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::State`].
    pub fn put(&self, kind: &str, name: &str, record: &impl Serialize, env: &Env) -> Result<(), Error> {
        let mut buffer = Zeroizing::new(serde_json::to_vec(record).map_err(|_| Error::State)?);
        let salt: [u8; SALT_LEN] = env.draw();
        let keys = self.keys(kind, name, &salt);
        let (key, iv) = split(&keys).ok_or(Error::State)?;
        let tag = FAST.aead_seal(key, iv, &mut buffer).map_err(|_| Error::State)?;
        let path = self.path(kind, name);
        let folder = self.dir.join(kind);
        platform::create_private_dir(&folder)
            .and_then(|()| platform::write_private(&path, &[&salt[..], &buffer, &tag].concat()))
            .map_err(|error| Error::file("write", &path, error))
    }

    /// Reads a record; none if there is no such file.
    ///
    /// # Errors
    /// [`Error::File`], or [`Error::State`] if it was altered.
    pub fn get<T: DeserializeOwned>(&self, kind: &str, name: &str) -> Result<Option<T>, Error> {
        let path = self.path(kind, name);
        let file = match platform::read_limited(&path, MAX_STATE_LEN) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::file("read", &path, error)),
        };
        let (salt, sealed) = file.split_first_chunk::<SALT_LEN>().ok_or(Error::State)?;
        let mut buffer = Zeroizing::new(sealed.to_vec());
        let keys = self.keys(kind, name, salt);
        let (key, iv) = split(&keys).ok_or(Error::State)?;
        FAST.aead_open(key, iv, &mut buffer).map_err(|_| Error::State)?;
        let len = buffer.len().saturating_sub(16);
        buffer.truncate(len);
        serde_json::from_slice(&buffer).map(Some).map_err(|_| Error::State)
    }

    /// Removes a record, if there is one.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn remove(&self, kind: &str, name: &str) -> Result<(), Error> {
        let path = self.path(kind, name);
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::file("remove", &path, error)),
            _ => Ok(()),
        }
    }

    /// Names of all records of a kind, sorted.
    ///
    /// # Errors
    /// [`Error::File`].
    pub fn names(&self, kind: &str) -> Result<Vec<String>, Error> {
        let folder = self.dir.join(kind);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(Error::file("read", &folder, error)),
        };
        let name_of = |file: &str| file.strip_suffix(".spk").map(str::to_owned);
        let mut names: Vec<String> = entries
            .filter_map(|entry| name_of(entry.ok()?.file_name().to_str()?))
            .collect();
        names.sort();
        Ok(names)
    }

    /// The file of a record.
    pub(crate) fn path(&self, kind: &str, name: &str) -> PathBuf {
        self.dir.join(kind).join(format!("{name}.spk"))
    }

    fn keys(&self, kind: &str, name: &str, salt: &[u8; SALT_LEN]) -> Zeroizing<[u8; 44]> {
        let place = [b"sealpost/v1/state\0", kind.as_bytes(), b"/", name.as_bytes()];
        kdf(self.key.as_bytes(), salt, &place)
    }
}

fn split(keys: &[u8; 44]) -> Option<(&[u8; 32], &[u8; 12])> {
    Some((keys.first_chunk()?, keys.last_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::account;

    #[test]
    fn key_file_round_trip_and_no_overwriting() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::new(dir.path().join("home"));
        let env = Env::system();
        home.prepare().unwrap();
        assert!(matches!(home.open_key_file("x"), Err(Error::NoKeyFile(_))));
        let account = account();
        home.create_key_file(&account, "a long passphrase", &env).unwrap();
        assert_eq!(
            home.open_key_file("a long passphrase").unwrap().label(),
            account.label()
        );
        assert!(matches!(home.prepare(), Err(Error::AlreadyEnrolled(_))));
        assert!(home.create_key_file(&account, "a long passphrase", &env).is_err());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let readable = std::fs::Permissions::from_mode(0o640);
            std::fs::set_permissions(home.key_file(), readable).unwrap();
            let refused = home.open_key_file("a long passphrase");
            assert!(matches!(refused, Err(Error::OpenKeyFile(_))), "others can read it");
        }
    }

    #[test]
    fn state_is_sealed_and_bound_to_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let (env, account) = (Env::system(), account());
        let state = Home::new(dir.path()).state(&account);
        assert_eq!(state.get::<String>("sent", "a").unwrap(), None);
        state.put("sent", "a", &"Smith John.pdf", &env).unwrap();
        assert_eq!(state.get::<String>("sent", "a").unwrap().unwrap(), "Smith John.pdf");
        assert_eq!(state.names("sent").unwrap(), ["a"]);
        let file = dir.path().join("sent/a.spk");
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(5).any(|w| w == b"Smith"));
        std::fs::rename(&file, dir.path().join("sent/b.spk")).unwrap();
        assert!(matches!(state.get::<String>("sent", "b"), Err(Error::State)));
        state.remove("sent", "b").unwrap();
        state.remove("sent", "b").unwrap();
        assert!(state.names("sent").unwrap().is_empty());
    }
}
