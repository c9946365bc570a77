//! An organisation on a gateway: its administrator, and how others join it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::person::Person;

/// An organisation whose administrator has founded it with the gateway's setup string.
#[derive(Debug)]
pub struct Organisation {
    /// Where homes, strings and keys of its people lie.
    pub folder: PathBuf,
    /// Its first registrar.
    pub admin: Person,
    /// The administrator's address.
    pub admin_address: String,
}

impl Organisation {
    /// Founds an organisation with the setup string in the file `setup`: `sealpost org init`.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn found(setup: &Path, folder: &Path, name: &str, address: &str) -> Result<Self, String> {
        let admin = Person::new(folder, "admin")?;
        let root_key = folder.join("admin").join("organisation-root.spk");
        let keys: [&dyn AsRef<OsStr>; 4] = [&"--root-key", &root_key, &"--setup", &setup];
        admin.ask(
            &[
                &[
                    &"org" as &dyn AsRef<OsStr>,
                    &"init",
                    &"--name",
                    &name,
                    &"--address",
                    &address,
                ],
                &keys[..],
            ]
            .concat(),
        )?;
        Ok(Self {
            folder: folder.to_path_buf(),
            admin,
            admin_address: address.to_owned(),
        })
    }

    /// Makes an enrolment string for a person and returns the file with it: `sealpost admin invite`.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn invite(&self, address: &str) -> Result<PathBuf, String> {
        let file = self.folder.join(format!("{}.enrolment", address.replace('@', "-at-")));
        self.admin.ask(&[&"admin", &"invite", &address, &"--out", &file])?;
        Ok(file)
    }

    /// A person who has announced keys with an enrolment string, and whom nobody has confirmed: `sealpost enrol`.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn newcomer(&self, name: &str, address: &str) -> Result<Person, String> {
        let person = Person::new(&self.folder, name)?;
        let string = self.invite(address)?;
        person.ask(&[&"enrol", &string])?;
        Ok(person)
    }

    /// Signs a person in: `sealpost admin confirm`.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn confirm(&self, address: &str) -> Result<(), String> {
        self.admin.ask(&[&"admin", &"confirm", &address, &"--yes"]).map(drop)
    }

    /// A person who is invited, enrolled and confirmed.
    ///
    /// # Errors
    /// A sentence with what the program said.
    pub fn member(&self, name: &str, address: &str) -> Result<Person, String> {
        let person = self.newcomer(name, address)?;
        self.confirm(address)?;
        Ok(person)
    }
}
