//! An opened account at its gateway: keys, signed requests, the mirrored directory and the sealed state, together.

use std::sync::Arc;

use crate::account::Account;
use crate::api::Api;
use crate::directory::DirectoryMirror;
use crate::env::Env;
use crate::error::Error;
use crate::home::{Home, State};

/// An opened account at its gateway.
#[derive(Debug)]
pub struct Session {
    /// The client's folder.
    pub home: Home,
    /// The keys.
    pub account: Account,
    /// Signed requests.
    pub api: Arc<Api>,
    /// The directory as verified so far.
    pub mirror: DirectoryMirror,
    /// Sealed records of what was sent and received.
    pub state: State,
    /// Time and randomness.
    pub env: Env,
}

impl Session {
    /// Opens the account in `home`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error`] when the key file or the mirror cannot be opened.
    pub fn open(home: Home, passphrase: &str, env: Env) -> Result<Self, Error> {
        let account = home.open_key_file(passphrase)?;
        let mirror = DirectoryMirror::load(&home, &account)?;
        let api = Api::new(account.at.clone(), account.device.clone(), env.clone())?;
        api.set_seen(mirror.size(), mirror.head());
        Ok(Self {
            state: home.state(&account),
            home,
            account,
            api: Arc::new(api),
            mirror,
            env,
        })
    }

    /// Brings the directory up to date.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn update(&mut self) -> Result<(), Error> {
        let _lock = self.home.lock()?;
        // Another process may have gone further since this one loaded the mirror.
        if !self.mirror.is_current()? {
            self.mirror = DirectoryMirror::load(&self.home, &self.account)?;
        }
        self.mirror.update(&self.api).await?;
        self.api.set_seen(self.mirror.size(), self.mirror.head());
        Ok(())
    }

    /// Brings the directory up to date and refuses if it says of this person what this person did not sign: before anything is
    /// sealed or signed for others.
    ///
    /// # Errors
    /// [`Error::UnexpectedStatement`], or others.
    pub async fn update_and_check(&mut self) -> Result<(), Error> {
        self.update().await?;
        self.mirror.check_own(&self.account)
    }
}
