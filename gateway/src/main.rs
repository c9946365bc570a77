//! The gateway's program: arguments, configuration, then [`sealpost_gateway::app::run`]; nothing else.

use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use sealpost_gateway::app::{self, Gateway, SystemClock, SystemRandom};
use sealpost_gateway::config::{self, Config};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

/// Sealpost's gateway: keeps sealed transfers that it cannot read, for the people they are sealed to.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file (TOML). Without one, and without SEALPOST__... variables, built-in defaults are used.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[tokio::main]
async fn main() -> ExitCode {
    match start(&Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
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
    let bound = TcpListener::bind(config.listen).await;
    let listener = bound.map_err(|error| {
        format!(
            "cannot listen on {}: {error}; end the program that uses it, or set SEALPOST__LISTEN=ADDRESS:PORT",
            config.listen
        )
    })?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let shutdown = async move {
        tokio::select! { _ = terminate.recv() => {}, _ = interrupt.recv() => {} }
    };
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Ok(app::run(&config, listener, shutdown, clock, random, announce).await?)
}

/// Tells where the gateway is, and where the setup string is, but not what is in it.
fn announce(gateway: &Gateway) {
    let (mut out, at) = (io::stdout().lock(), gateway.address());
    let _ = writeln!(out, "{} listens at {}", at.gateway, at.url);
    if let Some(file) = gateway.setup_file() {
        let _ = writeln!(out, "The setup string for `sealpost org init` is in {}", file.display());
    }
    let _ = out.flush();
}
