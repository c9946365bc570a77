//! What an interruption left unfinished, in sealed local state, and going on with it (security.md 3.10).
//!
//! The state of sending and receiving is written by `send` and `receive` themselves; here stand its form, waiting for a gateway that
//! is away, and the list of what can be resumed.

pub(crate) mod begun;
pub(crate) mod expiry;
mod journal;
pub(crate) mod patience;

use std::path::PathBuf;
use std::sync::Arc;

use sealpost_proto::id::{Address, Hash, TransferId};

use crate::error::Error;
use crate::home::Home;
use crate::progress::Progress;
use crate::receive::state::{RECEIVING, ReceivingHead};
use crate::receive::{self, Received};
use crate::send::state::{SENDING, SendingHead};
use crate::send::{self, Resumed};
use crate::session::Session;
use begun::Begun;

pub use expiry::remove_expired;

/// A transfer that was begun here and is not finished.
#[derive(Debug, Clone)]
pub struct Unfinished {
    /// Its id.
    pub transfer: TransferId,
    /// Its header hash.
    pub hh: Hash,
    /// When it was begun, unix seconds.
    pub begun_at: u64,
    /// Which way it goes, and where.
    pub way: Way,
}

/// Which way an unfinished transfer goes.
#[derive(Debug, Clone)]
pub enum Way {
    /// It is being sent.
    Out {
        /// For whom.
        recipients: Vec<Address>,
        /// Number of files.
        files: usize,
        /// Bytes of all files.
        total: u64,
    },
    /// It is being received.
    In {
        /// The folder for the files.
        target: PathBuf,
    },
}

/// What was unfinished and is finished now.
#[derive(Debug)]
pub enum Finished {
    /// It was sent.
    Sent(Resumed),
    /// It was received.
    Received(Box<Received>),
}

/// Everything that is unfinished, the oldest first, and the files of records that cannot be read: one must not hide the others.
///
/// # Errors
/// [`Error::File`].
pub fn unfinished(session: &Session) -> Result<(Vec<Unfinished>, Vec<PathBuf>), Error> {
    let state = &session.state;
    let (mut found, mut damaged) = (Vec::new(), Vec::new());
    for (kind, read) in [(SENDING, sending as Read), (RECEIVING, receiving)] {
        for name in state.names(kind)? {
            match read(session, &name) {
                Ok(one) => found.extend(one),
                Err(Error::State) => damaged.push(state.path(kind, &name)),
                Err(error) => return Err(error),
            }
        }
    }
    found.sort_by_key(|one: &Unfinished| one.begun_at);
    Ok((found, damaged))
}

type Read = fn(&Session, &str) -> Result<Option<Unfinished>, Error>;

fn sending(session: &Session, name: &str) -> Result<Option<Unfinished>, Error> {
    let head: Option<SendingHead> = Begun::head(&session.state, SENDING, name)?;
    Ok(head.map(|head| Unfinished {
        transfer: head.transfer,
        hh: head.hh,
        begun_at: head.begun_at,
        way: Way::Out {
            recipients: head.recipients,
            files: head.files,
            total: head.total,
        },
    }))
}

fn receiving(session: &Session, name: &str) -> Result<Option<Unfinished>, Error> {
    let Some(head) = Begun::<ReceivingHead>::head(&session.state, RECEIVING, name)? else {
        return Ok(None);
    };
    Ok(Some(Unfinished {
        transfer: head.transfer,
        hh: head.hh,
        begun_at: head.begun_at,
        way: Way::In { target: head.target()? },
    }))
}

/// Whether anything is unfinished in a client's folder; it need not be opened for that.
#[must_use]
pub fn is_anything_unfinished(home: &Home) -> bool {
    [SENDING, RECEIVING].iter().any(|kind| {
        let entries = std::fs::read_dir(home.path().join(kind)).into_iter().flatten();
        entries
            .flatten()
            .any(|entry| entry.path().extension().is_some_and(|end| end == "spk"))
    })
}

impl Unfinished {
    /// Whether another process is working on it, so that nobody has to go on with it.
    #[must_use]
    pub fn is_busy(&self, session: &Session) -> bool {
        match self.way {
            Way::Out { .. } => Begun::<SendingHead>::is_busy(&session.state, SENDING, &self.transfer.to_string()),
            Way::In { .. } => Begun::<ReceivingHead>::is_busy(&session.state, RECEIVING, &self.hh.to_string()),
        }
    }

    /// Goes on with it.
    ///
    /// # Errors
    /// As of [`send::resume`] and [`receive::resume`].
    pub async fn finish(&self, session: &mut Session, progress: Arc<dyn Progress>) -> Result<Finished, Error> {
        match self.way {
            Way::Out { .. } => Ok(Finished::Sent(send::resume(session, &self.transfer, progress).await?)),
            Way::In { .. } => {
                session.update().await?;
                let received = receive::resume(session, &self.hh, progress).await?;
                Ok(Finished::Received(Box::new(received)))
            }
        }
    }

    /// Throws away what is kept of it. Returns whether the gateway may have taken a transfer that was being sent: then `status` tells.
    ///
    /// # Errors
    /// [`Error::Busy`] or [`Error::File`].
    pub fn discard(&self, session: &Session) -> Result<bool, Error> {
        match self.way {
            Way::Out { .. } => send::discard(session, &self.transfer),
            Way::In { .. } => receive::discard(session, &self.hh).map(|()| false),
        }
    }
}
