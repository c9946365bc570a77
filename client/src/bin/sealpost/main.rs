//! The command `sealpost`: parse, run one command, show what it reports. What it does is the library's business.

mod cli;
mod commands;
mod context;
mod credentials;
mod exit;
mod hints;
mod limits;
mod output;
mod progress;
mod purpose;
mod secrets;
mod service;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser as _;
use sealpost_client::home::Home;
use sealpost_client::resume::is_anything_unfinished;
use sealpost_client::{Env, Error, platform};

use cli::{Cli, Command};
use context::{Context, state_folder};
use exit::Exit;
use output::{Report, error_json};
use serde_json::json;

/// What an interrupted command gets to take back what it had not finished.
const CLEANUP: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    // Where the system does not allow it, the rest is still worth doing.
    let _ = platform::forbid_core_dumps();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return wrong_arguments(&error),
    };
    let json = cli.global.json;
    match run(cli) {
        Ok(Ended::Done(report)) => output::report(&report, json),
        Ok(Ended::Interrupted { left }) => output::interrupted(&left, json),
        Err(Failed { exit, message }) => output::fail(exit, &message, json),
    }
    .into()
}

/// Shows what is wrong with the arguments, or the help that was asked for.
fn wrong_arguments(error: &clap::Error) -> ExitCode {
    let mut arguments = std::env::args_os().take_while(|argument| argument != "--");
    if error.use_stderr() && arguments.any(|argument| argument == "--json") {
        let document = json!({"error": error_json(Exit::Usage, &first_sentence(&error.to_string()))});
        output::event("", output::members(document), true, true);
    }
    error.exit()
}

/// What is wrong, in one line, without the usage below it.
fn first_sentence(shown: &str) -> String {
    let lines = shown.lines().map(str::trim).take_while(|line| !line.is_empty());
    let sentence = lines.collect::<Vec<_>>().join(" ");
    sentence.trim_start_matches("error: ").to_owned()
}

/// Why a command failed, in a sentence.
struct Failed {
    exit: Exit,
    message: String,
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self {
            exit: Exit::from(&error),
            message: error.to_string(),
        }
    }
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
fn run(cli: Cli) -> Result<Ended, Failed> {
    let context = Arc::new(Context::new(&cli.global, Env::system())?);
    run_in(&context, cli).map_err(|error| {
        let failed = Failed::from(error);
        Failed {
            message: context.hints(&failed.message),
            ..failed
        }
    })
}

fn run_in(context: &Arc<Context>, cli: Cli) -> Result<Ended, Error> {
    let (home, resume) = (context.home.clone(), context.command("resume"));
    let context = Arc::clone(context);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_with_arguments_is_told_in_one_line() {
        let error = Cli::try_parse_from(["sealpost", "send", "f"]).unwrap_err();
        let told = first_sentence(&error.to_string());
        assert!(told.contains("--to <ADDRESS>") && !told.contains("Usage"), "{told}");
        assert!(!told.starts_with("error") && !told.contains('\n'), "{told}");
    }
}
