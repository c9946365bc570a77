//! Doing what is left to do about received transfers: telling them, running the command, sending its replies.

use std::collections::HashMap;
use std::path::PathBuf;

use sealpost_proto::id::Hash;

use super::Puller;
use super::command::Call;
use super::event::{self, Event};
use super::job::{Job, Step};
use super::watch::{is_away, is_fatal};
use crate::error::Error;
use crate::receive;

/// Pauses between tries, in seconds.
const FIRST_PAUSE: u64 = 60;
const LONGEST_PAUSE: u64 = 3600;

/// Which jobs are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    /// All but what was given up: a run has just begun.
    All,
    /// What is due.
    Due,
}

/// What failed on this side and is left alone for a while: jobs, and the list of them (none). How often, and until when (unix seconds).
///
/// Kept in memory, because what fails here may be that nothing can be kept: a full disk, a folder that cannot be written to.
#[derive(Debug, Default)]
pub(super) struct PutOff(HashMap<Option<Hash>, (u32, u64)>);

impl PutOff {
    fn is_due(&self, what: Option<&Hash>, now: u64) -> bool {
        self.0.get(&what.copied()).is_none_or(|(_, due)| *due <= now)
    }

    fn put_off(&mut self, what: Option<&Hash>, now: u64) {
        let (tries, due) = self.0.entry(what.copied()).or_default();
        *tries = tries.saturating_add(1);
        *due = now.saturating_add(pause(*tries));
    }

    fn done(&mut self, what: Option<&Hash>) {
        self.0.remove(&what.copied());
    }
}

impl Puller {
    /// Works on what is left to do. What fails on this side is told, counted and put off, and stops neither the other jobs nor the caller.
    ///
    /// # Errors
    /// When the gateway is away, or cannot be trusted, while a reply is sent.
    pub(super) async fn run_jobs(&mut self, which: Which) -> Result<(), Error> {
        let now = self.session.env.now();
        if !self.put_off.is_due(None, now) {
            return Ok(());
        }
        let (jobs, damaged) = match Job::all(&self.session) {
            Ok(all) => all,
            Err(error) => {
                self.fails_here(None, &error);
                return Ok(());
            }
        };
        self.put_off.done(None);
        if which == Which::All {
            for path in damaged {
                self.tell(&Event::damaged(&path));
            }
        }
        let mut away = Ok(());
        for job in jobs {
            match self.run_if_due(job, which, now).await {
                // A reply has to wait; the others need no gateway.
                Err(error) if is_away(&error) => away = Err(error),
                done => done?,
            }
        }
        away
    }

    async fn run_if_due(&mut self, mut job: Job, which: Which, now: u64) -> Result<(), Error> {
        let is_due = match job.step {
            Step::Placed => true,
            Step::Failed { due, .. } | Step::Answering { due, .. } => which == Which::All || due <= now,
            Step::GivenUp { .. } => which == Which::All && self.settings.retry,
        };
        if !is_due {
            self.outcome.given_up += u64::from(which == Which::All && matches!(job.step, Step::GivenUp { .. }));
            return Ok(());
        }
        if !self.put_off.is_due(Some(&job.hh), now) {
            return Ok(());
        }
        match receive::is_received(&self.session, &job.hh) {
            Ok(true) => {}
            // What is not recorded as received is received, and noted, once more first.
            Ok(false) => return Ok(()),
            Err(error) => {
                self.fails_here(Some(&job), &error);
                return Ok(());
            }
        }
        if let Step::GivenUp { .. } = job.step {
            job.step = Step::Placed;
        }
        self.run_job(job).await
    }

    /// Does what is next about one transfer; what fails on this side is told and put off.
    ///
    /// # Errors
    /// When the gateway is away, or cannot be trusted, while a reply is sent.
    pub(super) async fn run_job(&mut self, mut job: Job) -> Result<(), Error> {
        match self.work_on(&mut job).await {
            Ok(()) => self.put_off.done(Some(&job.hh)),
            Err(error) if is_away(&error) || is_fatal(&error) => return Err(error),
            Err(error) => self.fails_here(Some(&job), &error),
        }
        Ok(())
    }

    /// Something on this side failed that has nothing to do with command or gateway.
    fn fails_here(&mut self, job: Option<&Job>, error: &Error) {
        self.outcome.failed += 1;
        self.outcome.note(error);
        self.put_off.put_off(job.map(|job| &job.hh), self.session.env.now());
        self.tell(&match job {
            Some(job) => Event::failed(&job.transfer, false, error),
            None => Event::trouble(error),
        });
    }

    async fn work_on(&mut self, job: &mut Job) -> Result<(), Error> {
        if !job.is_told {
            self.tell(&Event::received(job));
            job.is_told = true;
        }
        if let Step::Answering { tries, .. } = job.step {
            return self.answer(job, tries).await;
        }
        if self.settings.exec.is_empty() {
            return job.remove(&self.session);
        }
        let tries = match job.step {
            Step::Failed { tries, .. } => tries,
            _ => 0,
        };
        match self.command_and_replies(job).await {
            Err(why) => self.command_failed(job, tries.saturating_add(1), &why),
            Ok(replies) => {
                self.tell(&Event::command_done(&job.transfer));
                if replies.is_empty() {
                    self.remove_reply_folder(job);
                    return job.remove(&self.session);
                }
                job.step = Step::Answering { tries: 0, due: 0 };
                job.put(&self.session)?;
                self.answer(job, 0).await
            }
        }
    }

    /// Runs the command; it has failed as well when what it left cannot be read and made durable.
    async fn command_and_replies(&self, job: &Job) -> Result<Vec<PathBuf>, String> {
        let folder = self.empty_reply_folder(job).map_err(|error| event::nameless(&error))?;
        self.run_command(job, folder).await?;
        self.replies_of(job).map_err(|error| event::nameless(&error))
    }

    async fn run_command(&self, job: &Job, folder: PathBuf) -> Result<(), String> {
        let facts = job.facts();
        let call = Call {
            words: &self.settings.exec,
            facts: &facts,
            environment: vec![
                ("SEALPOST_TRANSFER", job.transfer.to_string().into()),
                ("SEALPOST_REPLY_DIR", folder.into()),
            ],
            timeout: self.settings.timeout,
        };
        let tell = |line: &str| self.tell(&Event::output(Some(&job.transfer), line));
        call.run(&tell).await
    }

    fn command_failed(&mut self, job: &mut Job, tries: u32, why: &str) -> Result<(), Error> {
        self.outcome.commands_failed += 1;
        if tries >= self.settings.tries {
            job.step = Step::GivenUp { tries };
            job.put(&self.session)?;
            self.tell(&Event::given_up(&job.transfer, tries, why));
            return Ok(());
        }
        let due = self.session.env.now() + pause(tries);
        job.step = Step::Failed { tries, due };
        job.put(&self.session)?;
        self.tell(&Event::command_failed(&job.transfer, tries, why));
        Ok(())
    }
}

/// The pause after so many tries, in seconds.
pub(super) fn pause(tries: u32) -> u64 {
    let doubled = FIRST_PAUSE.checked_shl(tries.saturating_sub(1).min(32));
    doubled.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fails_here_is_left_alone_for_a_growing_while() {
        let (one, other) = (Hash::from_bytes([1; 32]), Hash::from_bytes([2; 32]));
        let mut put_off = PutOff::default();
        put_off.put_off(Some(&one), 1_000);
        assert!(!put_off.is_due(Some(&one), 1_059) && put_off.is_due(Some(&one), 1_060));
        assert!(put_off.is_due(Some(&other), 1_000) && put_off.is_due(None, 1_000));
        put_off.put_off(Some(&one), 1_060);
        assert!(!put_off.is_due(Some(&one), 1_179) && put_off.is_due(Some(&one), 1_180));
        put_off.done(Some(&one));
        assert!(put_off.is_due(Some(&one), 0));
    }

    #[test]
    fn pauses_grow_and_end_at_an_hour() {
        assert_eq!([1, 2, 3, 7, 99].map(pause), [60, 120, 240, 3600, 3600]);
    }
}
