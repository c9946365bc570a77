//! The command `sealpost`: parse, run one command, show what it reports. What it does is the library's business.

mod cli;
mod commands;
mod context;
mod exit;
mod output;
mod progress;
mod purpose;
mod secrets;
mod service;

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser as _;
use sealpost_client::home::Home;
use sealpost_client::resume::is_anything_unfinished;
use sealpost_client::{Env, Error, platform};

use cli::{Cli, Command};
use context::{Context, state_folder};
use exit::Exit;
use output::Report;

/// What an interrupted command gets to take back what it had not finished.
const CLEANUP: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Where the system does not allow it, the rest is still worth doing.
    let _ = platform::forbid_core_dumps();
    let cli = Cli::parse();
    let json = cli.global.json;
    match run(cli) {
        Ok(Ended::Done(report)) => output::report(&report, json),
        Ok(Ended::Interrupted { left }) => output::interrupted(&left, json),
        Err(error) => output::failure(&error, json),
    }
    .into()
}

/// How a command ended that did not fail.
enum Ended {
    Done(Report),
    Interrupted {
        /// What it left, in a sentence.
        left: String,
    },
}

/// Runs the command. When it was interrupted, whatever was in the making is cleaned up, or kept to be resumed, by then.
fn run(cli: Cli) -> Result<Ended, Error> {
    let context = Context::new(&cli.global, Env::system())?;
    let (home, resume) = (context.home.clone(), context.command("resume"));
    let is_visit = matches!(cli.command, Command::Get(_));
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|_| Error::Internal("the runtime does not start"))?;
    let outcome = runtime.block_on(async {
        // A task of its own: a prompt that waits for the user does not keep the signal from being heard.
        let mut task = tokio::spawn(async move { commands::run(cli.command, &context).await });
        tokio::select! {
            outcome = &mut task => outcome.map_err(|_| Error::Internal("the command stopped"))?.map(Ended::Done),
            () = platform::interrupted() => {
                task.abort();
                if !secrets::is_asking() {
                    // Cancelled or not: what it came to does not count any more.
                    let _ = tokio::time::timeout(CLEANUP, task).await;
                }
                let left = if is_visit { left_by_visit() } else { left_in(&home, &resume) };
                Ok(Ended::Interrupted { left })
            }
        }
    });
    runtime.shutdown_timeout(if secrets::is_asking() { Duration::ZERO } else { CLEANUP });
    outcome
}

const TAKEN_BACK: &str = "Interrupted; what was not finished was taken back.";

fn left_in(home: &Home, resume: &str) -> String {
    if !is_anything_unfinished(home) {
        return TAKEN_BACK.to_owned();
    }
    format!("Interrupted; `{resume}` goes on with what is unfinished, and with --discard throws it away.")
}

/// A visitor has no home, and nothing but link and words to go on with.
fn left_by_visit() -> String {
    let is_kept = state_folder().is_ok_and(|folder| is_anything_unfinished(&Home::new(folder)));
    if !is_kept {
        return TAKEN_BACK.to_owned();
    }
    "Interrupted; `sealpost get` with the same link, words and folder goes on with it.".to_owned()
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
