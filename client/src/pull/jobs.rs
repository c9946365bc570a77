//! Doing what is left to do about received transfers: telling them, running the command, sending its replies.

use std::path::PathBuf;

use super::Puller;
use super::command::Call;
use super::event::Event;
use super::job::{Job, Step};
use super::watch::is_away;
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

impl Puller {
    /// Works on what is left to do.
    ///
    /// # Errors
    /// Of the file system, or when the gateway is away while a reply is sent.
    pub(super) async fn run_jobs(&mut self, which: Which) -> Result<(), Error> {
        let (jobs, damaged) = Job::all(&self.session)?;
        if which == Which::All {
            for path in damaged {
                self.tell(&Event::trouble(&format!("{}: {}", path.display(), Error::State)));
            }
        }
        let now = self.session.env.now();
        let mut away = Ok(());
        for mut job in jobs {
            let is_due = match job.step {
                Step::Placed => true,
                Step::Failed { due, .. } | Step::Answering { due, .. } => which == Which::All || due <= now,
                Step::GivenUp { .. } => which == Which::All && self.settings.retry,
            };
            // What is not recorded as received is received, and noted, once more first.
            if !is_due || !receive::is_received(&self.session, &job.hh)? {
                self.outcome.given_up += u64::from(which == Which::All && matches!(job.step, Step::GivenUp { .. }));
                continue;
            }
            if let Step::GivenUp { .. } = job.step {
                job.step = Step::Placed;
            }
            match self.run_job(job).await {
                // A reply has to wait; the others need no gateway.
                Err(error) if is_away(&error) => away = Err(error),
                done => done?,
            }
        }
        away
    }

    /// Does what is next about one transfer.
    pub(super) async fn run_job(&mut self, mut job: Job) -> Result<(), Error> {
        if !job.is_told {
            self.tell(&Event::received(&job));
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
        let folder = self.empty_reply_folder(&job)?;
        match self.run_command(&job, folder).await {
            Ok(()) => {
                self.tell(&Event::command_done(&job.transfer));
                if self.replies_of(&job)?.is_empty() {
                    self.remove_reply_folder(&job);
                    return job.remove(&self.session);
                }
                job.step = Step::Answering { tries: 0, due: 0 };
                job.put(&self.session)?;
                self.answer(job, 0).await
            }
            Err(why) => self.command_failed(job, tries + 1, &why),
        }
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

    fn command_failed(&mut self, mut job: Job, tries: u32, why: &str) -> Result<(), Error> {
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
    #[test]
    fn pauses_grow_and_end_at_an_hour() {
        assert_eq!([1, 2, 3, 7, 99].map(super::pause), [60, 120, 240, 3600, 3600]);
    }
}
