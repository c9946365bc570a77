//! The real gateway with its embedded defaults, an organisation on it, and two people with the real client.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use sealpost_tests::binaries;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::person::{Person, Words};
use serde_json::Value;

use super::servers::Server;
use super::shell;
use super::timed::tail;
use crate::run::Outcome;

/// The address of whoever receives.
pub(super) const PROVIDER: &str = "provider@practice.example";
const DESK: &str = "desk@clinic.example";
const START: Duration = Duration::from_secs(120);

/// How a gateway is started.
#[derive(Debug, Clone)]
pub(super) struct Setup {
    /// What stands before its command line, such as another network namespace.
    pub(super) before: Vec<String>,
    /// Address to listen on.
    pub(super) listen: String,
    /// URL, where it is not that of this computer.
    pub(super) url: Option<String>,
    /// Settings that are not the defaults.
    pub(super) settings: Vec<(&'static str, String)>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            before: Vec::new(),
            listen: "127.0.0.1:0".to_owned(),
            url: None,
            settings: Vec::new(),
        }
    }
}

/// A running gateway.
#[derive(Debug)]
pub(super) struct Gateway {
    server: Server,
    folder: PathBuf,
    setup: Setup,
    /// Seconds from its start to the line that says where it listens.
    pub(super) start: f64,
    /// Where it listens.
    pub(super) port: u16,
}

impl Gateway {
    /// Starts a gateway with its data below `folder`.
    pub(super) fn start(folder: &Path, setup: Setup) -> Outcome<Self> {
        let log = folder.join("gateway.log");
        let mut words = setup.before.clone();
        words.push(super::text(&binaries::find("sealpost-gateway")?)?.to_owned());
        let mut settings = vec![
            ("SEALPOST__DATA_DIR", super::text(&folder.join("data"))?.to_owned()),
            ("SEALPOST__LISTEN", setup.listen.clone()),
            ("SEALPOST__HEALTH__LISTEN", "off".to_owned()),
            ("SEALPOST__LOG__LEVEL", "warn".to_owned()),
        ];
        settings.extend(setup.url.clone().map(|url| ("SEALPOST__PUBLIC_URL", url)));
        settings.extend(setup.settings.clone());
        let begun = Instant::now();
        let said = std::fs::read_to_string(&log).unwrap_or_default().len();
        let server = Server::start(&words, &settings, &log)?;
        let mut gateway = Self {
            server,
            folder: folder.to_path_buf(),
            setup,
            start: 0.0,
            port: 0,
        };
        gateway.port = gateway.wait(&log, said, begun)?;
        gateway.start = begun.elapsed().as_secs_f64();
        // People keep its address, so it is the same after every start.
        gateway.setup.listen = gateway.setup.listen.replace(":0", &format!(":{}", gateway.port));
        Ok(gateway)
    }

    fn wait(&mut self, log: &Path, said: usize, begun: Instant) -> Outcome<u16> {
        loop {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if let Some(port) = text.get(said..).and_then(port_in) {
                return Ok(port);
            }
            if begun.elapsed() > START || self.server.has_ended() {
                return Err(format!("the gateway did not start; {}", tail(log)).into());
            }
            super::interrupt::check()?;
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Its process.
    pub(super) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// Its data folder.
    pub(super) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Stops it as an operator would. [`Gateway::again`] starts it once more.
    pub(super) fn stop(&mut self) -> Outcome {
        self.server.stop()
    }

    /// Ends it as a power cut would, as far as the process goes.
    pub(super) fn kill(&mut self) {
        self.server.kill();
    }

    /// Starts it again after it was stopped or killed.
    pub(super) fn again(&mut self) -> Outcome {
        *self = Self::start(&self.folder, self.setup.clone())?;
        Ok(())
    }
}

/// The port in the line that says where it listens.
fn port_in(text: &str) -> Option<u16> {
    let (_, url) = text.lines().find_map(|line| line.split_once(" listens at "))?;
    url.rsplit(':').next()?.trim().parse().ok()
}

/// A gateway with an organisation of two.
#[derive(Debug)]
pub(super) struct World {
    /// The gateway.
    pub(super) gateway: Gateway,
    /// Who sends.
    pub(super) desk: Person,
    /// Who receives.
    pub(super) provider: Person,
    /// What stands before the command lines of both.
    before: Vec<String>,
}

impl World {
    /// In `folder`, with the defaults.
    pub(super) fn new(folder: &Path) -> Outcome<Self> {
        Self::with(folder, Setup::default(), Vec::new())
    }

    /// The same with another setup; `before` stands before what [`World::send`] and others give.
    pub(super) fn with(folder: &Path, setup: Setup, before: Vec<String>) -> Outcome<Self> {
        let gateway = Gateway::start(folder, setup)?;
        let organisation = Organisation::found(
            &gateway.data().join("setup-string"),
            &folder.join("people"),
            "Example Clinic",
            DESK,
        )?;
        let provider = organisation.member("provider", PROVIDER)?;
        Ok(Self {
            gateway,
            desk: organisation.admin,
            provider,
            before,
        })
    }

    /// The command line of a person.
    pub(super) fn line(&self, person: &Person, words: &Words<'_>) -> String {
        let mut all = Command::new("env");
        all.args(&self.before);
        let own = person.command(words);
        all.arg(own.get_program()).args(own.get_args());
        shell::line(&all)
    }

    /// The line that sends what is at `path`; the answer goes to the file `answer`.
    pub(super) fn send(&self, path: &Path, answer: &Path) -> String {
        let line = self.line(&self.desk, &[&"--json", &"send", &"--to", &PROVIDER, &path]);
        format!("{line} > {}", shell::quoted(answer))
    }

    /// The line that receives what the answer in the file `answer` names, into the folder `into`.
    pub(super) fn receive(&self, answer: &Path, into: &Path) -> Outcome<String> {
        let answer: Value = serde_json::from_slice(&std::fs::read(answer)?)?;
        let id = answer.get("transfer").and_then(Value::as_str);
        let id = id.ok_or("the answer names no transfer")?.to_owned();
        Ok(self.line(&self.provider, &[&"receive", &id, &"--into", &into]))
    }

    /// The line that receives everything that was not received yet.
    pub(super) fn receive_all(&self, into: &Path) -> String {
        self.line(&self.provider, &[&"receive", &"--all", &"--into", &into])
    }
}
