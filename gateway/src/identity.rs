//! What a gateway is from its first start on: its id and its log key; and the setup string until the organisation is founded.
//!
//! The files are for the gateway's user alone. The setup string's secret is read from its file and nowhere else shown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use sealpost_proto::crypto::{SigningKey, constant_time_eq};
use sealpost_proto::encoding::{hex, unhex_array};
use sealpost_proto::enrolment::{GatewayAddress, Secret, SetupString};
use sealpost_proto::id::GatewayId;
use thiserror::Error;
use zeroize::Zeroizing;

use crate::random::Random;
use crate::service::{Identity, SetupDoor};
use crate::store::durable;

/// Why the gateway does not know who it is.
#[derive(Debug, Error)]
pub enum IdentityError {
    /// A file cannot be read or written.
    #[error("the file {file} cannot be read or written: {source}", file = file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what the gateway wrote.
    #[error("the file {file} is damaged. Restore it from a backup: without it clients would not recognise this gateway.", file = .0.display())]
    Damaged(PathBuf),
    /// Only one of the two files is there.
    #[error("the file {file} is missing, but this gateway is not new. Restore it from a backup: without it clients would not recognise this gateway.", file = .0.display())]
    Missing(PathBuf),
    /// No randomness.
    #[error("the operating system gives no random numbers: {0}")]
    Random(io::Error),
}

/// Reads id and log key from `folder`, or draws them at the first start.
///
/// # Errors
/// [`IdentityError`].
pub fn identity(folder: &Path, random: &dyn Random) -> Result<Identity, IdentityError> {
    let (id_file, key_file) = (folder.join("gateway-id"), folder.join("log-key"));
    match (read(&id_file)?, read(&key_file)?) {
        (Some(id), Some(key)) => existing((&id_file, &id), (&key_file, &key)),
        (None, None) => first(&id_file, &key_file, random),
        // The key is written first, so a crash in between leaves it alone: nobody has seen it yet.
        (None, Some(_)) => first(&id_file, &key_file, random),
        (Some(_), None) => Err(IdentityError::Missing(key_file)),
    }
}

fn existing(id: (&Path, &str), key: (&Path, &str)) -> Result<Identity, IdentityError> {
    let gateway =
        id.1.trim_end()
            .parse()
            .map_err(|_| IdentityError::Damaged(id.0.to_owned()))?;
    let seed: Zeroizing<[u8; 32]> = unhex_array(key.1.trim_end())
        .map(Zeroizing::new)
        .map_err(|_| IdentityError::Damaged(key.0.to_owned()))?;
    Ok(Identity {
        gateway,
        log_key: SigningKey::from_seed(&seed),
    })
}

fn first(id_file: &Path, key_file: &Path, random: &dyn Random) -> Result<Identity, IdentityError> {
    let mut name = [0; 16];
    random.fill(&mut name).map_err(IdentityError::Random)?;
    let gateway: Result<GatewayId, _> = format!("sealpost-{}", hex(&name)).parse();
    let gateway = gateway.map_err(|_| IdentityError::Damaged(id_file.to_owned()))?;
    let seed = draw(random)?;
    let key = Zeroizing::new(format!("{}\n", hex(&*seed)));
    write(key_file, key.as_bytes())?;
    write(id_file, format!("{gateway}\n").as_bytes())?;
    Ok(Identity {
        gateway,
        log_key: SigningKey::from_seed(&seed),
    })
}

/// The setup string of a gateway without an organisation, in a file of its own.
#[derive(Debug)]
pub struct SetupFile {
    file: PathBuf,
    auth: Mutex<Option<Zeroizing<[u8; 32]>>>,
}

impl SetupFile {
    /// The door of a gateway whose organisation was founded: nothing opens it, and a file that a crash left is removed.
    ///
    /// # Errors
    /// [`IdentityError::Io`].
    pub fn closed(data: &Path) -> Result<Self, IdentityError> {
        let file = data.join("setup-string");
        remove(&file)?;
        Ok(Self {
            file,
            auth: Mutex::new(None),
        })
    }

    /// The door of a new gateway. A secret that was written before is kept, so that a restart does not void a string that the
    /// administrator has copied; the address in it is written anew.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn open(data: &Path, at: GatewayAddress, random: &dyn Random) -> Result<Self, IdentityError> {
        let file = data.join("setup-string");
        let before = read(&file)?.and_then(|text| text.parse::<SetupString>().ok());
        let secret = match before {
            Some(before) => before.secret,
            None => Secret::from_bytes(*draw(random)?),
        };
        let auth = secret.setup_auth(&at.gateway);
        let text = SetupString { at, secret }.to_text();
        let text = Zeroizing::new(format!("{}\n", *text));
        write(&file, text.as_bytes())?;
        Ok(Self {
            file,
            auth: Mutex::new(Some(auth)),
        })
    }

    /// Where the setup string is; none once it is used.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        let auth = self.auth.lock().unwrap_or_else(PoisonError::into_inner);
        auth.is_some().then_some(self.file.as_path())
    }
}

impl SetupDoor for SetupFile {
    fn is_auth(&self, auth: &[u8]) -> bool {
        let known = self.auth.lock().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().is_some_and(|known| constant_time_eq(&**known, auth))
    }

    fn close(&self) {
        *self.auth.lock().unwrap_or_else(PoisonError::into_inner) = None;
        if let Err(error) = remove(&self.file) {
            tracing::warn!(%error, "the used setup string could not be removed; it opens nothing any more");
        }
    }
}

fn draw(random: &dyn Random) -> Result<Zeroizing<[u8; 32]>, IdentityError> {
    let mut bytes = Zeroizing::new([0; 32]);
    random.fill(&mut *bytes).map_err(IdentityError::Random)?;
    Ok(bytes)
}

fn read(file: &Path) -> Result<Option<Zeroizing<String>>, IdentityError> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(Zeroizing::new(text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(failed(file, source)),
    }
}

fn write(file: &Path, bytes: &[u8]) -> Result<(), IdentityError> {
    durable::replace(file, bytes).map_err(|source| failed(file, source))
}

fn remove(file: &Path) -> Result<(), IdentityError> {
    match fs::remove_file(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other.map_err(|source| failed(file, source)),
    }
}

fn failed(file: &Path, source: io::Error) -> IdentityError {
    IdentityError::Io {
        file: file.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::SystemRandom;
    use sealpost_proto::id::PublicKey;

    #[test]
    fn a_gateway_stays_who_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let first = identity(folder.path(), &SystemRandom).unwrap();
        let again = identity(folder.path(), &SystemRandom).unwrap();
        assert_eq!(first.gateway, again.gateway);
        assert_eq!(first.log_key.public(), again.log_key.public());
        assert_eq!(first.gateway.as_str().len(), "sealpost-".len() + 32);
        fs::remove_file(folder.path().join("log-key")).unwrap();
        assert!(matches!(
            identity(folder.path(), &SystemRandom),
            Err(IdentityError::Missing(_))
        ));
    }

    #[test]
    fn the_setup_string_opens_once_and_survives_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let at = GatewayAddress {
            url: "https://gw.example".into(),
            gateway: "gw".parse().unwrap(),
            pin: [1; 32],
            log: PublicKey::from_bytes([2; 32]),
        };
        let door = SetupFile::open(folder.path(), at.clone(), &SystemRandom).unwrap();
        let file = door.path().unwrap().to_owned();
        let text: SetupString = fs::read_to_string(&file).unwrap().parse().unwrap();
        let auth = text.secret.setup_auth(&at.gateway);
        assert!(door.is_auth(&*auth) && !door.is_auth(&[0; 32]));
        let moved = GatewayAddress {
            url: "https://other.example".into(),
            ..at
        };
        let door = SetupFile::open(folder.path(), moved, &SystemRandom).unwrap();
        assert!(door.is_auth(&*auth));
        assert!(fs::read_to_string(&file).unwrap().contains("other.example"));
        door.close();
        assert!(!door.is_auth(&*auth) && door.path().is_none() && !file.exists());
    }
}
