//! A visitor's save goes on after an interruption as a receive does: its state lies in the visitor's folder, under a name and a key that
//! only link and words give.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::id::{Hash, OpeningId, TransferId};
use sealpost_sealed::Opener;

use super::again::place_again;
use super::fetch::{self, Place, Resumable};
use super::state::{self, RECEIVING, Receiving, ReceivingHead, Staged};
use super::{Options, staging};
use crate::api::Api;
use crate::env::Env;
use crate::error::Error;
use crate::home::State;
use crate::progress::Progress;
use crate::resume::begun::{self, Found};

/// Where the state of a save is.
pub(crate) struct Visiting<'a> {
    pub(crate) state: &'a State,
    pub(crate) name: &'a str,
    pub(crate) env: &'a Env,
}

impl Visiting<'_> {
    /// Fetches and verifies what is not staged, and gives the files their names. Returns where they are, and the state that is to be
    /// removed once that is written down.
    pub(crate) async fn save(
        &self,
        api: &Arc<Api>,
        opener: Opener,
        opening: OpeningId,
        target: &Path,
        progress: Arc<dyn Progress>,
    ) -> Result<(Vec<PathBuf>, Receiving), Error> {
        let resumable = self.resumable(&opener, opening, target)?;
        if let Some(placing) = &resumable.staged.placing
            && let Some(paths) = place_again(&resumable.receiving.head, placing)?
        {
            return Ok((paths, resumable.receiving));
        }
        let place = Place {
            target,
            keep_sealed: None,
        };
        let fetched = fetch::fetch_and_place(api, opener, place, resumable, progress).await?;
        Ok((fetched.paths, fetched.receiving))
    }

    /// What an interruption left of the same transfer on its way into the same folder, else nothing.
    fn resumable(&self, opener: &Opener, opening: OpeningId, target: &Path) -> Result<Resumable, Error> {
        let options = Options {
            target: target.to_owned(),
            again: false,
            keep_sealed: None,
        };
        let header = &opener.envelope().envelope().header;
        let (transfer, hh) = (header.transfer_id, Hash::from_bytes(header.hash()));
        let head = ReceivingHead::new(transfer, hh, opening, &options, self.env.now(), header.expires_at)?;
        let found = match state::open(self.state, self.name)? {
            Some((Found::Busy(_), _)) => return Err(Error::Busy(transfer)),
            Some((Found::Free(receiving), staged)) => {
                if receiving.head.hh == hh && receiving.head.is_alike(&head) {
                    Some((receiving, staged))
                } else {
                    end(receiving)?;
                    None
                }
            }
            None => None,
        };
        let (receiving, staged) = match found {
            Some(found) => found,
            None => (state::begin(self.state, self.env, self.name, head)?, Staged::default()),
        };
        Ok(Resumable {
            receiving,
            staged,
            env: self.env.clone(),
        })
    }

    /// Throws away what is staged, if anything.
    pub(crate) fn discard(&self) -> Result<(), Error> {
        match state::open(self.state, self.name)? {
            Some((Found::Free(receiving), _)) => end(receiving),
            Some((Found::Busy(head), _)) => Err(Error::Busy(head.transfer)),
            None => Ok(()),
        }
    }
}

/// Whether there is a state of a save under this name.
pub(crate) fn is_staged(state: &State, name: &str) -> bool {
    state.path(RECEIVING, name).exists()
}

/// Removes what is kept of a save of which nobody here knows the words: plaintext that is staged in these folders, and its state in
/// `folder`.
///
/// # Errors
/// [`Error`]; also if another process is working on it.
pub(crate) fn remove_unopened(
    folder: &Path,
    name: &str,
    transfer: Option<&TransferId>,
    targets: &[PathBuf],
) -> Result<(), Error> {
    for target in targets {
        transfer.map_or(Ok(()), |transfer| staging::remove(target, transfer))?;
    }
    begun::remove_unopened(folder, RECEIVING, name)
        .map_err(|error| Error::file("remove", &folder.join(RECEIVING), error))
}

fn end(receiving: Receiving) -> Result<(), Error> {
    staging::remove(&receiving.head.target()?, &receiving.head.transfer)?;
    receiving.remove().map(drop)
}
