//! Pulling: unattended, everything that waits, into folders by sender, each file exactly once (docs/UNATTENDED.md, decision 0021).
//!
//! What arrives is received as `receive` does, with a note of it (a `job`) durable before it counts as received; the note ends when the
//! command that follows has run and its replies are sent. This module must not print, nor hold a file's name anywhere but in sealed
//! state and in what [`event`]s tell programs.

mod catch_up;
mod command;
pub mod config;
mod cursor;
mod drops;
pub mod event;
mod folders;
mod job;
mod jobs;
mod once;
mod presence;
mod replies;
mod silence;
mod watch;

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::PathBuf;
use std::sync::Arc;

use sealpost_proto::id::{Address, Label};

use crate::directory::proven_addresses;
use crate::error::Error;
use crate::platform;
use crate::session::Session;
use config::Settings;
use cursor::Cursor;
use drops::Drops;
use event::{Event, Listener};
use jobs::PutOff;
use presence::Presence;
use silence::Silence;

pub use once::Outcome;

/// One account that is pulled for.
#[derive(Debug)]
pub struct Puller {
    session: Session,
    settings: Settings,
    listener: Arc<dyn Listener>,
    presence: Arc<Presence>,
    /// People by label, as far as their addresses are proven.
    people: BTreeMap<Label, Address>,
    /// Those that are pulled from; all when empty.
    from: Vec<Label>,
    cursor: Cursor,
    silence: Silence,
    drops: Drops,
    put_off: PutOff,
    outcome: Outcome,
    /// Held for as long as this puller lives.
    _lock: File,
}

impl Puller {
    /// Prepares everything on this side. Nothing is asked of the gateway yet.
    ///
    /// # Errors
    /// [`Error::Input`] when another puller works in the same home or the folder is not the one that it was; others of the file system.
    pub fn open(session: Session, settings: Settings, listener: Arc<dyn Listener>) -> Result<Self, Error> {
        let lock = lock(&session)?;
        let settings = settings.absolute()?;
        folders::prepare(&session, &settings.into)?;
        let from: Vec<Label> = settings.from.iter().map(|of| session.account.label_of(of)).collect();
        let cursor = Cursor::load(&session, &settings.into, &from)?;
        let silence = Silence::load(&session, &settings.expect)?;
        Ok(Self {
            presence: Arc::new(Presence::new(Arc::clone(&listener))),
            drops: Drops::new(settings.settle),
            people: BTreeMap::new(),
            put_off: PutOff::default(),
            outcome: Outcome::default(),
            from,
            cursor,
            silence,
            session,
            settings,
            listener,
            _lock: lock,
        })
    }

    fn tell(&self, event: &Event) {
        self.listener.event(event);
    }

    /// Brings the directory and the addresses up to date.
    async fn refresh(&mut self) -> Result<(), Error> {
        self.session.update().await?;
        self.people = proven_addresses(&self.session.api, &self.session.account).await?;
        Ok(())
    }

    /// The folder of what this person sends.
    fn folder_of(&self, sender: Option<&Label>) -> PathBuf {
        let address = sender.and_then(|label| self.people.get(label));
        self.settings.into.join(folders::name_of(sender, address))
    }
}

/// One puller in a home: two would run commands twice.
fn lock(session: &Session) -> Result<File, Error> {
    let path = session.home.path().join("pull.lock");
    let failed = |error| Error::file("lock", &path, error);
    let file = platform::open_private(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::Input(
            "Another puller is working for this account on this computer; stop it first, or leave the work to it."
                .to_owned(),
        )),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}
