//! One run: everything that waits, then the end. What a timer starts.

use tokio::time::Duration;

use super::Puller;
use super::jobs::Which;
use super::watch::is_away;
use crate::error::Error;
use crate::receive;
use crate::resume::patience::persist;

/// What a run came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Transfers that were received.
    pub received: u64,
    /// Transfers that could not be received, for now or for good.
    pub failed: u64,
    /// Runs of the command that failed.
    pub commands_failed: u64,
    /// Transfers for which the command is given up.
    pub given_up: u64,
    /// Replies that were sent.
    pub replies: u64,
    /// Whether somebody who is expected has been silent for too long.
    pub is_silent: bool,
    /// The first thing that went wrong, to end with.
    pub first_error: Option<Error>,
}

impl Outcome {
    /// Notes that something failed, of which only the kind counts here.
    pub(super) fn note(&mut self, error: &Error) {
        if self.first_error.is_none() {
            self.first_error = Some(kind_of(error));
        }
    }
}

/// An error of the same kind: errors cannot be copied, and the sentence has been told.
fn kind_of(error: &Error) -> Error {
    match error {
        Error::Api(error) | Error::Unfinished(error) | Error::NotSent(error) | Error::PerhapsSent(error) => {
            Error::Api(error.clone())
        }
        Error::Rejected(reason) => Error::Rejected(*reason),
        Error::Receipt(what) => Error::Receipt(what),
        Error::File { doing, path, source } => Error::file(doing, path, source.kind().into()),
        Error::UnknownRecipient(address) => Error::UnknownRecipient(address.clone()),
        Error::Busy(transfer) => Error::Busy(*transfer),
        other => Error::Input(other.to_string()),
    }
}

impl Puller {
    /// Pulls everything that waits, does what is left to do, and ends.
    ///
    /// # Errors
    /// When the gateway stays away for a minute or cannot be trusted; what fails for one transfer alone is in the outcome.
    pub async fn once(&mut self) -> Result<Outcome, Error> {
        // What is here already needs no gateway, but to be answered.
        self.finish_placing()?;
        match self.run_jobs(Which::All).await {
            Err(error) if !is_away(&error) => return Err(error),
            _ => {}
        }
        let pulled = self.pull_waiting().await;
        self.check_silence().await?;
        pulled?;
        self.outcome.is_silent = self.silence.is_any(self.session.env.now());
        Ok(std::mem::take(&mut self.outcome))
    }

    async fn pull_waiting(&mut self) -> Result<(), Error> {
        let (api, presence) = (
            std::sync::Arc::clone(&self.session.api),
            std::sync::Arc::clone(&self.presence),
        );
        persist(&*presence, || api.info()).await?;
        self.refresh().await?;
        // What fails is tried again the next time.
        let _ = receive::deliver_receipts(&self.session).await;
        self.catch_up().await?;
        self.run_jobs(Which::Due).await?;
        self.send_drops().await?;
        if self.drops.is_any_waiting() {
            tokio::time::sleep(self.settings.settle + Duration::from_millis(10)).await;
            self.send_drops().await?;
        }
        Ok(())
    }
}
