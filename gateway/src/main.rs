//! The gateway's program: arguments, configuration, then [`sealpost_gateway::app::run`] or a repair; nothing else.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{Parser, Subcommand};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sealpost_gateway::app::repair::{self, Outcome, Request};
use sealpost_gateway::app::{self, Gateway, Listeners, SystemClock, SystemRandom};
use sealpost_gateway::config::{self, Config, HealthListen};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Sealpost's gateway: keeps sealed transfers that it cannot read, for the people they are sealed to.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (TOML). Without one, and without SEALPOST__... variables, built-in defaults are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Looks after the journal of a gateway that does not run.
    #[command(subcommand)]
    Journal(Journal),
}

#[derive(Debug, Subcommand)]
enum Journal {
    /// Shows what a damaged or an old journal has lost, and goes on without it if that is accepted. Exits with 1 while something is
    /// lost.
    Repair {
        /// Keep what is before the loss, write the loss down, and hold all transfers that have not ended.
        #[arg(long)]
        accept_loss: bool,
        /// Folder of a client that was up to date, for statements and log heads that are not here.
        #[arg(long, value_name = "FOLDER")]
        seen: Option<PathBuf>,
    },
}

#[tokio::main]
async fn main() -> ExitCode {
    // What libraries make, such as the files of the views, is for the owner alone as well.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let arguments = Arguments::parse();
    let done = match &arguments.command {
        None => start(&arguments).await.map(|()| ExitCode::SUCCESS),
        Some(Command::Journal(Journal::Repair { accept_loss, seen })) => {
            repair(&arguments, *accept_loss, seen.clone()).await
        }
    };
    match done {
        Ok(code) => code,
        Err(error) => {
            // A closed error stream leaves nobody to tell.
            let _ = writeln!(io::stderr(), "sealpost-gateway: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn start(arguments: &Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::load(arguments.config.as_deref(), config::environment())?;
    app::start_logging(&config.log);
    allow_files();
    let listeners = Listeners {
        clients: bind(config.listen, "SEALPOST__LISTEN").await?,
        health: match config.health.listen {
            HealthListen::At(address) => Some(bind(address, "SEALPOST__HEALTH__LISTEN").await?),
            HealthListen::Off => None,
        },
    };
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Ok(app::run(&config, listeners, shutdown, clock, random, announce).await?)
}

/// Asks for as many open files as the system lets this process have: every connection is one, and the usual 1,024 are too few
/// for `limits.feeds`.
fn allow_files() {
    let allowed = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: allowed.maximum,
        ..allowed
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, files = ?allowed.current, "the limit of open files stays as it is");
    }
}

async fn repair(
    arguments: &Arguments,
    accept_loss: bool,
    seen: Option<PathBuf>,
) -> Result<ExitCode, Box<dyn std::error::Error>> {
    let config = Config::load(arguments.config.as_deref(), config::environment())?;
    app::start_logging(&config.log);
    let request = Request {
        ring: config.ring_folder(),
        data: config.data_dir,
        seen,
        accept_loss,
    };
    let outcome = repair::run(&request, Arc::new(SystemClock), Arc::new(SystemRandom)).await?;
    write!(io::stdout(), "{outcome}")?;
    Ok(match outcome {
        Outcome::Found(_) => ExitCode::FAILURE,
        Outcome::Whole(_) | Outcome::Repaired(..) => ExitCode::SUCCESS,
    })
}

async fn bind(address: SocketAddr, variable: &str) -> Result<TcpListener, String> {
    let bound = TcpListener::bind(address).await;
    bound.map_err(|error| {
        format!("cannot listen on {address}: {error}; end the program that uses it, or set {variable}=ADDRESS:PORT")
    })
}

/// Tells where the gateway is, and where the setup string is, but not what is in it.
fn announce(gateway: &Gateway) {
    let (mut out, at) = (io::stdout().lock(), gateway.address());
    if let Some(address) = gateway.health_addr() {
        let _ = writeln!(out, "Health is told at http://{address}/readyz");
    }
    let _ = writeln!(out, "{} listens at {}", at.gateway, at.url);
    if let Some(file) = gateway.setup_file() {
        let _ = writeln!(out, "The setup string for `sealpost org init` is in {}", file.display());
    }
    let _ = out.flush();
}
