//! A founded organisation to start every round from: two people with opened accounts, and a gateway's folders to copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_client::account::Account;
use sealpost_client::api::Api;
use sealpost_client::directory::DirectoryMirror;
use sealpost_client::{Home, Session};
use sealpost_proto::id::Address;
use tempfile::TempDir;

use super::process::{Process, Start, free_port};
use super::{Outcome, asking, failed};
use crate::organisation::Organisation;
use crate::person::Person;

const DESK: &str = "desk@clinic.example";
const PROVIDER: &str = "provider@practice.example";

/// Somebody with an opened account.
#[derive(Debug, Clone)]
pub struct Party {
    /// At the command line.
    pub person: Person,
    /// In this process.
    pub account: Account,
}

/// Where every round starts from.
#[derive(Debug)]
pub struct World {
    folder: TempDir,
    /// Where gateways of this world listen.
    pub port: u16,
    /// The administrator, who sends.
    pub desk: Party,
    /// The member who receives.
    pub provider: Party,
}

impl World {
    /// Founds an organisation with the real binaries, in a folder of its own below `place`.
    ///
    /// # Errors
    /// A sentence.
    pub fn found(place: &Path, seed: u64) -> Outcome<Self> {
        let folder = tempfile::Builder::new().prefix("faults-").tempdir_in(place);
        let folder = folder.map_err(failed("a folder for the rounds"))?;
        let base = folder.path().join("base");
        let port = free_port(seed)?;
        let gateway = Start::new(&base, port).run()?;
        let people = folder.path().join("people");
        let organisation = Organisation::found(&base.join("data/setup-string"), &people, "Example Clinic", DESK)?;
        let provider = organisation.member("provider", PROVIDER)?;
        // So that both know the directory from here on.
        organisation.admin.ask(&[&"directory", &"list"])?;
        provider.ask(&[&"directory", &"list"])?;
        gateway.stop()?;
        Ok(Self {
            port,
            desk: party(organisation.admin)?,
            provider: party(provider)?,
            folder,
        })
    }

    /// The folder with everything of this world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where a gateway whose disk is of no interest runs: in memory, where the system has such a place, because thousands of
    /// starts would spend their time waiting for syncs.
    ///
    /// # Errors
    /// Of the file system.
    pub fn scratch(&self) -> Outcome<TempDir> {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory } else { self.folder.path() };
        let folder = tempfile::Builder::new().prefix("faults-").tempdir_in(place);
        folder.map_err(failed("a folder for a round"))
    }

    /// Keeps the folder for whoever looks into a fault, and says where it is.
    #[must_use]
    pub fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_path_buf()
    }

    /// Whom the desk sends to.
    ///
    /// # Errors
    /// None; the address is one.
    pub fn recipient() -> Outcome<Address> {
        PROVIDER.parse().map_err(failed("the provider's address"))
    }

    /// The folders of the founded gateway, as a copy in a new folder `name`.
    ///
    /// # Errors
    /// Of the file system.
    pub fn copy(&self, name: &str) -> Outcome<PathBuf> {
        let target = self.folder.path().join(name);
        remove(&target)?;
        for part in ["data", "data-ring"] {
            copy_folder(&self.folder.path().join("base").join(part), &target.join(part))?;
        }
        Ok(target)
    }

    /// Starts a gateway on a folder of this world.
    ///
    /// # Errors
    /// What it said.
    pub fn start(&self, folder: &Path) -> Outcome<Process> {
        Start::new(folder, self.port).run()
    }
}

impl Party {
    /// A session of this person in a new folder, which knows what the person knew when the world was founded.
    ///
    /// # Errors
    /// A sentence.
    pub fn session(&self, home: &Path) -> Outcome<Session> {
        let known = self.person.home().join("directory");
        copy_folder(&known, &home.join("directory"))?;
        self.resume(home)
    }

    /// A session of this person in a folder that an earlier session had.
    ///
    /// # Errors
    /// A sentence.
    pub fn resume(&self, home: &Path) -> Outcome<Session> {
        let (home, env, account) = (Home::new(home), asking::env(), self.account.clone());
        let mirror = DirectoryMirror::load(&home, &account).map_err(failed("a mirror"))?;
        let api = Api::new(account.at.clone(), account.device.clone(), env.clone()).map_err(failed("TLS"))?;
        api.set_seen(mirror.size(), mirror.head());
        Ok(Session {
            state: home.state(&account),
            home,
            account,
            api: Arc::new(api),
            mirror,
            env,
        })
    }
}

fn party(person: Person) -> Outcome<Party> {
    let passphrase = fs::read_to_string(person.passphrase_file()).map_err(failed("a passphrase"))?;
    let account = Home::new(person.home()).open_key_file(passphrase.trim());
    Ok(Party {
        account: account.map_err(failed("an account"))?,
        person,
    })
}

/// Copies a folder with everything in it, holes as holes.
///
/// # Errors
/// Of the file system.
pub fn copy_folder(from: &Path, to: &Path) -> Outcome {
    // The system's own program keeps holes and modes, and makes copies share blocks where the file system can.
    let made = fs::create_dir_all(to.parent().unwrap_or(to)).map_err(failed(to.display()));
    made?;
    let mut command = std::process::Command::new("cp");
    command
        .args(["-a", "--sparse=always", "--reflink=auto"])
        .arg(from)
        .arg(to);
    let status = command.status().map_err(failed("cp"))?;
    if status.success() {
        return Ok(());
    }
    Err(format!("{} could not be copied to {}", from.display(), to.display()))
}

/// Removes a folder with everything in it, if it is there.
///
/// # Errors
/// Of the file system.
pub fn remove(folder: &Path) -> Outcome {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(failed(folder.display())(error)),
        _ => Ok(()),
    }
}
