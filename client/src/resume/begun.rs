//! What was begun and is not finished: a sealed record of a few facts (`<kind>/<name>.spk`), which holds the key of a journal beside it
//! (`<kind>/<name>.log`). Without the record the journal is noise, so removing the record ends both.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::journal::Journal;
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::platform;
use crate::records::KeptSecret;

/// The few facts, as they are sealed.
#[derive(Serialize, Deserialize)]
struct Keyed<H> {
    journal_key: KeptSecret,
    head: H,
}

/// Something begun, locked for this process.
#[derive(Debug)]
pub(crate) struct Begun<H> {
    state: State,
    kind: &'static str,
    name: String,
    key: KeptSecret,
    /// The few facts.
    pub(crate) head: H,
    journal: Journal,
}

/// What is there of something begun.
#[derive(Debug)]
pub(crate) enum Found<H> {
    /// It is ours to go on with.
    Free(Begun<H>),
    /// Another process is working on it.
    Busy(H),
}

impl<H: Serialize + DeserializeOwned> Begun<H> {
    /// Begins: the first records are durable before the facts are, so whatever is listed has them.
    pub(crate) fn create(
        state: &State,
        env: &Env,
        kind: &'static str,
        name: &str,
        head: H,
        first: Option<&impl Serialize>,
    ) -> Result<Self, Error> {
        let path = journal_path(state, kind, name);
        let failed = |error| Error::file("write", &path, error);
        if let Some(folder) = path.parent() {
            platform::create_private_dir(folder).map_err(failed)?;
        }
        // A journal without its record is what a crash left of a beginning or an end.
        let _ = fs::remove_file(&path);
        let key = KeptSecret::new(&env.draw());
        let mut journal = Journal::create(&path, key.clone())?;
        if let Some(record) = first {
            journal.append(record, env)?;
        }
        let keyed = Keyed { journal_key: key, head };
        state.put(kind, name, &keyed, env)?;
        Ok(Self {
            state: state.clone(),
            kind,
            name: name.to_owned(),
            key: keyed.journal_key,
            head: keyed.head,
            journal,
        })
    }

    /// Opens it and hands the journal's records to `take`. None if there is nothing of that name.
    pub(crate) fn open<T: DeserializeOwned>(
        state: &State,
        kind: &'static str,
        name: &str,
        take: impl FnMut(T),
    ) -> Result<Option<Found<H>>, Error> {
        let Some(keyed) = state.get::<Keyed<H>>(kind, name)? else {
            return Ok(None);
        };
        let path = journal_path(state, kind, name);
        let Some(journal) = Journal::open(&path, keyed.journal_key.clone(), take)? else {
            if path.exists() {
                return Ok(Some(Found::Busy(keyed.head)));
            }
            // Its end was interrupted half-way.
            state.remove(kind, name)?;
            return Ok(None);
        };
        // Whoever had it locked until now may have ended it, or changed the facts.
        let Some(now) = state.get::<Keyed<H>>(kind, name)? else {
            return Ok(None);
        };
        if now.journal_key != keyed.journal_key {
            // Ended, and begun anew with another journal, which is not the one that is locked here.
            return Ok(Some(Found::Busy(now.head)));
        }
        Ok(Some(Found::Free(Self {
            state: state.clone(),
            kind,
            name: name.to_owned(),
            key: now.journal_key,
            head: now.head,
            journal,
        })))
    }

    /// Whether another process is working on it.
    pub(crate) fn is_busy(state: &State, kind: &str, name: &str) -> bool {
        let file = File::open(journal_path(state, kind, name));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// The facts, without opening the journal.
    pub(crate) fn head(state: &State, kind: &str, name: &str) -> Result<Option<H>, Error> {
        Ok(state.get::<Keyed<H>>(kind, name)?.map(|keyed| keyed.head))
    }

    /// Adds a record of what was done, durably.
    pub(crate) fn append(&mut self, record: &impl Serialize, env: &Env) -> Result<(), Error> {
        self.journal.append(record, env)
    }

    /// Replaces the facts, durably.
    pub(crate) fn put_head(&mut self, head: H, env: &Env) -> Result<(), Error> {
        let keyed = Keyed {
            journal_key: self.key.clone(),
            head,
        };
        self.state.put(self.kind, &self.name, &keyed, env)?;
        self.head = keyed.head;
        Ok(())
    }

    /// Ends: the record with the key goes first.
    pub(crate) fn remove(self) -> Result<H, Error> {
        let path = self.state.path(self.kind, &self.name);
        self.state.remove(self.kind, &self.name)?;
        self.journal.remove()?;
        platform::sync_parent(&path).map_err(|error| Error::file("remove", &path, error))?;
        Ok(self.head)
    }
}

/// Removes something begun in `folder` whose record nobody here can open.
///
/// # Errors
/// [`io::ErrorKind::WouldBlock`] if another process is working on it, or others of the file system.
pub(crate) fn remove_unopened(folder: &Path, kind: &str, name: &str) -> io::Result<()> {
    let record = folder.join(kind).join(format!("{name}.spk"));
    let journal = record.with_extension("log");
    let lock = match File::open(&journal) {
        Ok(file) => file.try_lock().map(|()| Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => return Err(error),
    };
    let _locked = lock.map_err(|error| match error {
        TryLockError::WouldBlock => io::ErrorKind::WouldBlock.into(),
        TryLockError::Error(error) => error,
    })?;
    for path in [record, journal] {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn journal_path(state: &State, kind: &str, name: &str) -> PathBuf {
    state.path(kind, name).with_extension("log")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::home::Home;

    const KIND: &str = "sending";

    fn open(state: &State) -> (Option<Found<String>>, Vec<u32>) {
        let mut records = Vec::new();
        let found = Begun::open(state, KIND, "a", |record: u32| records.push(record)).unwrap();
        (found, records)
    }

    #[test]
    fn is_found_again_with_its_records_until_it_ends() {
        let dir = tempfile::tempdir().unwrap();
        let (env, state) = (
            Env::system(),
            Home::new(dir.path()).state(&crate::account::tests::account()),
        );
        assert!(open(&state).0.is_none());
        let mut begun = Begun::create(&state, &env, KIND, "a", "head".to_owned(), Some(&1_u32)).unwrap();
        begun.append(&2_u32, &env).unwrap();
        assert!(matches!(open(&state).0, Some(Found::Busy(head)) if head == "head"));
        assert!(Begun::<String>::is_busy(&state, KIND, "a"));
        begun.put_head("another".to_owned(), &env).unwrap();
        drop(begun);
        assert!(!Begun::<String>::is_busy(&state, KIND, "a"));
        let (Some(Found::Free(begun)), records) = open(&state) else {
            panic!("it is free");
        };
        assert_eq!((begun.head.as_str(), records.as_slice()), ("another", &[1, 2][..]));
        begun.remove().unwrap();
        assert!(open(&state).0.is_none());
        assert_eq!(fs::read_dir(dir.path().join(KIND)).unwrap().count(), 0);
    }

    #[test]
    fn what_ends_while_it_is_being_opened_is_not_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let (env, state) = (
            Env::system(),
            Home::new(dir.path()).state(&crate::account::tests::account()),
        );
        let create = |head: &str| Begun::create(&state, &env, KIND, "a", head.to_owned(), Some(&1_u32)).unwrap();
        let during = |change: &mut dyn FnMut()| Begun::open(&state, KIND, "a", |_: u32| change()).unwrap();
        drop(create("head"));
        // Replaying begins once the journal is locked: by now the other process has removed the record.
        let ended: Option<Found<String>> = during(&mut || state.remove(KIND, "a").unwrap());
        assert!(ended.is_none(), "{ended:?}");
        drop(create("head"));
        let mut living = None;
        let anew = during(&mut || living = Some(create("another")));
        assert!(matches!(anew, Some(Found::Busy(head)) if head == "another"));
    }

    #[test]
    fn an_end_that_was_interrupted_is_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let (env, state) = (
            Env::system(),
            Home::new(dir.path()).state(&crate::account::tests::account()),
        );
        let create = || Begun::create(&state, &env, KIND, "a", "head".to_owned(), Some(&1_u32)).unwrap();
        drop(create());
        fs::remove_file(dir.path().join(KIND).join("a.log")).unwrap();
        assert!(open(&state).0.is_none() && state.names(KIND).unwrap().is_empty());
        drop(create());
        fs::remove_file(dir.path().join(KIND).join("a.spk")).unwrap();
        assert!(open(&state).0.is_none());
        drop(create());
        assert_eq!(open(&state).1, [1], "what was left over is not in the way");
    }
}
