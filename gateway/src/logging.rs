//! The program's own log, on the standard error stream: ids, never names. The audit log is another thing.

use std::io::IsTerminal;

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use crate::config::{Log, LogFormat, LogLevel};

/// The one target whose words are our own.
const OWN: &str = "sealpost_gateway";

/// Starts logging. A second call (several gateways in one process, in tests) changes nothing.
pub fn start(settings: &Log) {
    let layer = fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let layer = match settings.format {
        LogFormat::Text => layer.boxed(),
        LogFormat::Json => layer.json().boxed(),
    };
    let logged = tracing_subscriber::registry().with(layer.with_filter(targets(settings.level)));
    // An error says that logging was started before.
    let _ = logged.try_init();
}

/// What is logged. Libraries tell at their lower levels what goes through them: of connections the headers, and sled every key and
/// value of the views, with names in them. So no setting shows more of theirs than what went wrong.
fn targets(level: LogLevel) -> Targets {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target(OWN, level)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn no_level_shows_what_goes_through_a_library() {
        let targets = targets(LogLevel::Trace);
        for library in ["sled::pagecache", "h2::codec", "hyper::proto", "rustls::server", "axum"] {
            assert!(!targets.would_enable(library, &Level::INFO), "{library}");
            assert!(targets.would_enable(library, &Level::WARN), "{library}");
        }
        assert!(targets.would_enable("sealpost_gateway::http::server", &Level::TRACE));
        assert!(!super::targets(LogLevel::Error).would_enable("sled", &Level::WARN));
    }
}
