//! Configuration: built-in defaults, then one TOML file, then environment variables `SEALPOST__SECTION__KEY`.
//!
//! No configuration at all is a good one. A key that is not known is refused wherever it stands, so that a typing error never
//! passes for a setting. Secrets are not configured here: keys are named by their files. `deploy/gateway.toml` is the sample.

use std::collections::HashMap;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use sealpost_proto::enrolment::is_gateway_url;
use sealpost_proto::sealed::PADDED_LIMIT;
use serde::Deserialize;
use thiserror::Error;

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
    /// Certificate.
    pub tls: Tls,
    /// Bounds.
    pub limits: Limits,
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

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Most stored bytes of a transfer. Default 107374182400 (100 GiB).
    pub transfer_bytes: u64,
    /// Connections at once. Default 256.
    pub connections: usize,
    /// Connections at once from one address (IPv4 /32, IPv6 /64). Default 64.
    pub connections_per_address: usize,
    /// Whether connections from this machine are not counted by address. Default true.
    pub exempt_loopback: bool,
    /// Seconds for a request, but for the upload of a part, which must keep a least rate instead. Default 30.
    pub request_deadline: u64,
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
            tls: Tls::default(),
            limits: Limits::default(),
            log: Log::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            transfer_bytes: 100 << 30,
            connections: 256,
            connections_per_address: 64,
            exempt_loopback: true,
            request_deadline: 30,
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
        let limits = &self.limits;
        if limits.connections == 0 || limits.connections_per_address == 0 || limits.request_deadline == 0 {
            return refuse("limits", "nothing could be served with a limit of 0");
        }
        if self.limits.transfer_bytes > PADDED_LIMIT {
            return refuse("limits.transfer_bytes", "a transfer is at most 1 TiB long");
        }
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
mod tests {
    use super::*;

    const SAMPLE: &str = include_str!("../../deploy/gateway.toml");

    fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.toml");
        std::fs::write(&path, file).unwrap();
        let owned = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        Config::load(Some(&path), owned.collect())
    }

    #[test]
    fn no_configuration_is_a_good_one() {
        assert_eq!(Config::load(None, HashMap::new()).unwrap(), Config::default());
        assert_eq!(Config::default().ring_folder(), PathBuf::from("sealpost-data-ring"));
        assert_eq!(Config::default().url(1234), "https://localhost:1234");
    }

    #[test]
    fn the_sample_names_every_key_at_its_default() {
        assert_eq!(load(SAMPLE, &[]).unwrap(), Config::default());
        // A setting that is commented out is `#key = value` without a space; prose has one.
        let settings: String = SAMPLE
            .lines()
            .map(|line| {
                line.strip_prefix('#')
                    .filter(|rest| !rest.starts_with(' '))
                    .unwrap_or(line)
            })
            .map(|line| format!("{line}\n"))
            .collect();
        let expected = Config {
            public_url: Some("https://localhost:8443".to_owned()),
            ring_dir: Some("sealpost-data-ring".into()),
            tls: Tls {
                certificate: Some("certificate.pem".into()),
                private_key: Some("private-key.pem".into()),
            },
            ..Config::default()
        };
        assert_eq!(load(&settings, &[]).unwrap(), expected);
        let keys = settings.lines().filter(|line| line.contains(" = ")).count();
        assert_eq!(keys, 14, "a key is missing in the sample or here");
    }

    #[test]
    fn environment_comes_after_the_file() {
        let loaded = load(
            "listen = \"0.0.0.0:1\"\npublic_url = \"https://gw\"\nshutdown_deadline = 3\n[log]\nformat = \"json\"\n",
            &[
                ("SEALPOST__LISTEN", "0.0.0.0:2"),
                ("SEALPOST__LIMITS__CONNECTIONS", "7"),
                ("SEALPOST_HOME", "for the client"),
                ("PATH", "/bin"),
            ],
        );
        let loaded = loaded.unwrap();
        assert_eq!(loaded.listen.port(), 2);
        assert_eq!(loaded.shutdown_deadline, 3);
        assert_eq!(loaded.limits.connections, 7);
        assert_eq!(loaded.log.format, LogFormat::Json);
    }

    #[test]
    fn unknown_keys_and_impossible_values_are_refused() {
        for file in [
            "lisen = \"0.0.0.0:1\"",
            "[limits]\nconnection = 1",
            "[tls]\ncertificate = \"only.pem\"",
            "public_url = \"http://gw\"",
            "public_url = \"https://gw/path\"",
            "listen = \"0.0.0.0:8443\"",
            "listen = \"nowhere\"",
            "[limits]\nconnections = 0",
            "[limits]\nconnections_per_address = 0",
            "[log]\nlevel = \"loud\"",
            "not toml",
        ] {
            assert!(load(file, &[]).is_err(), "{file}");
        }
        for variable in ["SEALPOST__LISEN", "SEALPOST__LIMITS__CONNECTION", "SEALPOST__TLS"] {
            assert!(load("", &[(variable, "1")]).is_err(), "{variable}");
        }
        assert!(Config::load(Some(Path::new("does-not-exist.toml")), HashMap::new()).is_err());
    }
}
