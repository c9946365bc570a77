//! The real gateway inside the test's own process, because a test can move the clock of that one.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::thread::JoinHandle;

use sealpost_gateway::app::{self, SystemClock, SystemRandom};
use sealpost_gateway::clock::Clock;
use sealpost_gateway::config::Config;
use sealpost_tests::gateway::STRANGERS;
use sealpost_tests::organisation::Organisation;
use sealpost_tests::person::Person;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use super::{PROVIDER, found};

/// The system's clock, so many seconds ahead.
#[derive(Debug, Clone, Copy)]
struct Ahead(u64);

impl Clock for Ahead {
    fn now_millis(&self) -> u64 {
        SystemClock.now_millis() + self.0 * 1000
    }
}

/// A running gateway.
pub(crate) struct InProcess {
    thread: JoinHandle<Result<(), String>>,
    stop: oneshot::Sender<()>,
    /// The port on which it listens.
    pub(crate) port: u16,
}

impl InProcess {
    /// Starts a gateway on `folder/data` whose clock is `ahead` seconds ahead of the system's; 0 takes any free port.
    pub(crate) fn start(folder: &Path, port: u16, ahead: u64) -> Self {
        Self::start_with(folder, port, ahead, &[])
    }

    /// The same with more settings.
    fn start_with(folder: &Path, port: u16, ahead: u64, more: &[(&str, &str)]) -> Self {
        let data = folder.join("data").to_string_lossy().into_owned();
        let strangers = STRANGERS.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let mut settings = HashMap::from(strangers);
        settings.insert("SEALPOST__DATA_DIR".to_owned(), data);
        settings.extend(more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
        let config = Config::load(None, settings).expect("a configuration");
        let (stop, stopped) = oneshot::channel();
        let (ready, is_ready) = channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().expect("a runtime");
            runtime.block_on(async {
                let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("a port");
                let shutdown = async {
                    // Stopped either way, by the message or by the end of whoever would send it.
                    let _ = stopped.await;
                };
                let announce = |gateway: &app::Gateway| {
                    ready
                        .send(gateway.local_addr().expect("an address").port())
                        .expect("a test that waits");
                };
                let (clock, random) = (Arc::new(Ahead(ahead)), Arc::new(SystemRandom));
                let end = app::run(&config, listener, shutdown, clock, random, announce).await;
                end.map_err(|error| error.to_string())
            })
        });
        let port = is_ready.recv().expect("a gateway that starts");
        Self { thread, stop, port }
    }

    /// Asks it to stop and waits until it has.
    pub(crate) fn stop(self) {
        self.stop.send(()).expect("a gateway that runs");
        self.thread.join().expect("no panic").expect("a clean end");
    }
}

/// A world like [`super::World`] whose gateway's clock a test can put ahead.
pub(crate) struct Clocked {
    pub(crate) folder: TempDir,
    pub(crate) organisation: Organisation,
    port: u16,
    gateway: Option<InProcess>,
}

impl Clocked {
    /// A gateway whose clock is right, with an organisation on it.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let gateway = InProcess::start(folder.path(), 0, 0);
        let organisation = found(&folder.path().join("data/setup-string"), folder.path());
        Self {
            organisation,
            port: gateway.port,
            gateway: Some(gateway),
            folder,
        }
    }

    /// The front desk, who founded the organisation.
    pub(crate) fn desk(&self) -> Person {
        self.organisation.admin.clone()
    }

    /// The provider, confirmed.
    pub(crate) fn provider(&self) -> Person {
        self.organisation.member("provider", PROVIDER).expect("a member")
    }

    /// A file with these contents.
    pub(crate) fn file(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        path
    }

    /// An empty folder.
    pub(crate) fn empty(&self, name: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(&path).expect("a folder");
        path
    }

    /// Starts the gateway again with a clock that is `seconds` ahead.
    pub(crate) fn restart_ahead(&mut self, seconds: u64) {
        self.stop();
        self.gateway = Some(InProcess::start(self.folder.path(), self.port, seconds));
    }

    /// Starts the gateway again so that it believes these proxies, and nobody there who is none.
    pub(crate) fn restart_behind(&mut self, proxies: &str) {
        self.stop();
        let settings = [("SEALPOST__TRUSTED_PROXIES", proxies)];
        self.gateway = Some(InProcess::start_with(self.folder.path(), self.port, 0, &settings));
    }

    /// The port on which the gateway listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops the gateway, cleanly.
    pub(crate) fn stop(&mut self) {
        if let Some(gateway) = self.gateway.take() {
            gateway.stop();
        }
    }
}
