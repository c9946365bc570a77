//! Configuration: built-in defaults, then one TOML file, then environment variables `SEALPOST__SECTION__KEY`.
//!
//! No configuration at all is a good one. A key that is not known is refused wherever it stands, so that a typing error never
//! passes for a setting. Secrets are not configured here: keys are named by their files. `deploy/gateway.toml` is the sample.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use sealpost_proto::enrolment::is_gateway_url;
use serde::Deserialize;
use thiserror::Error;

pub use self::limits::Limits;
pub use self::network::{HealthListen, Networks};

mod limits;
mod network;

/// Why a configuration was refused.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// A key is unknown, a value is not of its type, or the file cannot be read.
    #[error("the configuration cannot be used: {0}. Compare it with deploy/gateway.toml.")]
    Read(#[from] config::ConfigError),
    /// A value is not possible.
    #[error("the setting `{key}` is not possible: {why}. Compare it with deploy/gateway.toml.")]
    Value {
        /// The key.
        key: &'static str,
        /// What is wrong.
        why: &'static str,
    },
}

/// Everything that can be set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on. Default `127.0.0.1:8443`.
    pub listen: SocketAddr,
    /// URL under which clients reach the gateway, `https://host[:port]`. Default: `https://localhost` with the port listened on.
    pub public_url: Option<String>,
    /// Folder of the gateway's data. Default `sealpost-data`.
    pub data_dir: PathBuf,
    /// Folder of the key ring, outside the data folder and never in a backup. Default: the data folder's name with `-ring`.
    pub ring_dir: Option<PathBuf>,
    /// Seconds that running requests get when the gateway stops. Default 10.
    pub shutdown_deadline: u64,
    /// Networks of proxies whose connections begin with a PROXY protocol header, version 2. Default: none.
    pub trusted_proxies: Networks,
    /// Certificate.
    pub tls: Tls,
    /// Bounds.
    pub limits: Limits,
    /// Where the gateway says how it is.
    pub health: Health,
    /// What the gateway asks of its clock.
    pub clock: Clock,
    /// Log of the program (not the audit log).
    pub log: Log,
}

/// `[tls]`: an operator's own certificate. Default: one that the gateway makes at its first start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate chain, the gateway's first.
    pub certificate: Option<PathBuf>,
    /// PEM file with its private key.
    pub private_key: Option<PathBuf>,
}

/// `[health]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// Address and port of `/healthz` and `/readyz`, on this computer alone; or `off`. Default `127.0.0.1:8444`.
    pub listen: HealthListen,
}

/// `[clock]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Clock {
    /// Whether the gateway refuses to start while the clock is not synchronised (else it warns). Default false.
    pub require_sync: bool,
    /// File that is there once the clock is synchronised. Default `/run/systemd/timesync/synchronized`.
    pub sync_file: PathBuf,
}

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug` or `trace`. Default `info`.
    pub level: LogLevel,
    /// `text` or `json`. Default `text`.
    pub format: LogFormat,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of the levels say it")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8443)),
            public_url: None,
            data_dir: PathBuf::from("sealpost-data"),
            ring_dir: None,
            shutdown_deadline: 10,
            trusted_proxies: Networks::default(),
            tls: Tls::default(),
            limits: Limits::default(),
            health: Health::default(),
            clock: Clock::default(),
            log: Log::default(),
        }
    }
}

impl Default for Health {
    fn default() -> Self {
        Self {
            listen: HealthListen::At(SocketAddr::from((Ipv4Addr::LOCALHOST, 8444))),
        }
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self {
            require_sync: false,
            sync_file: PathBuf::from("/run/systemd/timesync/synchronized"),
        }
    }
}

/// Variables of this process. What is not UTF-8 cannot be one of our settings.
#[must_use]
pub fn environment() -> HashMap<String, String> {
    let text = |(key, value): (OsString, OsString)| Some((key.into_string().ok()?, value.into_string().ok()?));
    std::env::vars_os().filter_map(text).collect()
}

impl Config {
    /// Reads `file`, if there is one, then `environment` (all variables; those that begin with `SEALPOST__` count).
    ///
    /// # Errors
    /// [`ConfigError`].
    pub fn load(file: Option<&Path>, environment: HashMap<String, String>) -> Result<Self, ConfigError> {
        let mut builder = config::Config::builder();
        if let Some(file) = file {
            builder = builder.add_source(config::File::from(file).format(config::FileFormat::Toml));
        }
        let environment = config::Environment::with_prefix("SEALPOST")
            .prefix_separator("__")
            .separator("__")
            .source(Some(environment.into_iter().collect()));
        let loaded: Self = builder.add_source(environment).build()?.try_deserialize()?;
        loaded.check()?;
        Ok(loaded)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let refuse = |key, why| Err(ConfigError::Value { key, why });
        if self.public_url.as_deref().is_some_and(|url| !is_gateway_url(url)) {
            return refuse(
                "public_url",
                "it must be https://host or https://host:port, in lower case and without a path",
            );
        }
        // Enrolment strings carry the URL: people on other computers would be sent to their own.
        if self.public_url.is_none() && !self.listen.ip().is_loopback() {
            return refuse(
                "public_url",
                "it must be set when `listen` is not this computer alone: others cannot reach https://localhost",
            );
        }
        if self.tls.certificate.is_some() != self.tls.private_key.is_some() {
            return refuse("tls", "certificate and private_key belong together");
        }
        if !self.health.listen.is_local() {
            return refuse(
                "health.listen",
                "it is not protected, so it must be an address of this computer alone, such as 127.0.0.1:8444, or off",
            );
        }
        self.limits.check()?;
        Ok(())
    }

    /// Folder of the key ring.
    #[must_use]
    pub fn ring_folder(&self) -> PathBuf {
        self.ring_dir.clone().unwrap_or_else(|| {
            let mut name = self.data_dir.clone().into_os_string();
            name.push("-ring");
            PathBuf::from(name)
        })
    }

    /// URL under which clients reach a gateway that listens on `port`.
    #[must_use]
    pub fn url(&self, port: u16) -> String {
        let local = || format!("https://localhost:{port}");
        self.public_url.clone().unwrap_or_else(local)
    }
}

#[cfg(test)]
mod tests;
