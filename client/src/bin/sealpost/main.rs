//! The command `sealpost`: parse, run one command, show what it reports. What it does is the library's business.

mod cli;
mod commands;
mod context;
mod exit;
mod output;
mod progress;
mod secrets;

use std::process::ExitCode;

use clap::Parser as _;
use sealpost_client::Env;

use cli::Cli;
use context::Context;
use exit::Exit;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.global.json;
    let outcome = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|_| sealpost_client::Error::Internal("the runtime does not start"))
        .and_then(|runtime| runtime.block_on(run(cli)));
    match outcome {
        Ok(Some(report)) => output::report(&report, json),
        Ok(None) => output::interrupted(json),
        Err(error) => output::failure(&error, json),
    }
    .into()
}

/// The command's report; none when the user interrupted it. Whatever was in the making is cleaned up by then.
async fn run(cli: Cli) -> Result<Option<output::Report>, sealpost_client::Error> {
    let context = Context::new(&cli.global, Env::system())?;
    tokio::select! {
        report = commands::run(cli.command, &context) => report.map(Some),
        _ = tokio::signal::ctrl_c() => Ok(None),
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
