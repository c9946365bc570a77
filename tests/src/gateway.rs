//! The real gateway as a process of its own: started on a free port, stopped as an operator would, restarted on the same port.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::binaries;

/// Longest wait for a gateway to say that it listens.
const START: Duration = Duration::from_secs(30);

/// Longest wait for a gateway to die at the point that was named to it.
const DEATH: Duration = Duration::from_secs(60);

/// Whoever has no account comes from one address in tests, which counts for these rates although it is this machine's.
pub const STRANGERS: [(&str, &str); 2] = [
    ("SEALPOST__LIMITS__NEWCOMERS_PER_HOUR_PER_ADDRESS", "10000000"),
    ("SEALPOST__LIMITS__REDEMPTIONS_PER_HOUR_PER_ADDRESS", "10000000"),
];

/// Names that point (docs/RELIABILITY.md).
const FAILPOINT: &str = "SEALPOST_FAILPOINT";

/// A running gateway. It is killed when dropped.
#[derive(Debug)]
pub struct Gateway {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    /// Ports on which it says that it listens; closed when its output ends, as it does with its life.
    ports: Mutex<Receiver<u16>>,
    log: Arc<Mutex<String>>,
    data: PathBuf,
    level: String,
    port: u16,
}

impl Gateway {
    /// Starts a gateway with its data in `folder/data` and its ring in `folder/data-ring`; it logs at `level`.
    ///
    /// # Errors
    /// A sentence with what it logged, when it does not come up.
    pub fn start(folder: &Path, level: &str) -> Result<Self, String> {
        Self::start_on(folder, level, 0)
    }

    /// The same on a port of the caller's choice.
    ///
    /// # Errors
    /// As [`Gateway::start`].
    pub fn start_on(folder: &Path, level: &str, port: u16) -> Result<Self, String> {
        let mut gateway = Self::spawn(&folder.join("data"), level, port, Arc::default(), None)?;
        gateway.wait_until_ready()?;
        Ok(gateway)
    }

    /// Starts the process; it dies at `failpoint`.
    fn spawn(
        data: &Path,
        level: &str,
        port: u16,
        log: Arc<Mutex<String>>,
        failpoint: Option<&str>,
    ) -> Result<Self, String> {
        let program = binaries::find("sealpost-gateway")?;
        let mut child = Command::new(&program)
            .env_remove(FAILPOINT)
            .envs(failpoint.map(|point| (FAILPOINT, point)))
            .env("SEALPOST__DATA_DIR", data)
            .env("SEALPOST__LISTEN", format!("127.0.0.1:{port}"))
            .env("SEALPOST__HEALTH__LISTEN", "127.0.0.1:0")
            .env("SEALPOST__LOG__LEVEL", level)
            .envs(STRANGERS)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{} could not be started: {error}", program.display()))?;
        let (ready, ports) = channel();
        let mut readers = Vec::new();
        if let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) {
            readers.push(follow(stdout, &log, ready.clone()));
            readers.push(follow(stderr, &log, ready));
        }
        Ok(Self {
            child,
            readers,
            ports: Mutex::new(ports),
            log,
            data: data.to_path_buf(),
            level: level.to_owned(),
            port,
        })
    }

    fn wait_until_ready(&mut self) -> Result<(), String> {
        self.port = self
            .next_port(START)
            .map_err(|_| format!("the gateway did not start; it said:\n{}", self.log()))?;
        Ok(())
    }

    fn next_port(&self, longest: Duration) -> Result<u16, RecvTimeoutError> {
        let ports = self.ports.lock().unwrap_or_else(PoisonError::into_inner);
        ports.recv_timeout(longest)
    }

    /// Starts it again on the same port and data, after it has ended.
    fn start_again(&mut self, failpoint: Option<&str>) -> Result<(), String> {
        let log = Arc::clone(&self.log);
        *self = Self::spawn(&self.data, &self.level, self.port, log, failpoint)?;
        Ok(())
    }

    /// Stops it as an operator would, and starts it again so that it dies at `failpoint`, at a time after its start.
    ///
    /// # Errors
    /// A sentence, when it does not end cleanly or does not come up.
    pub fn restart_to_die_at(&mut self, failpoint: &str) -> Result<(), String> {
        self.pause()?;
        self.start_again(Some(failpoint))?;
        self.wait_until_ready()
    }

    /// The same for a point that it reaches before it listens. Returns when it has died there.
    ///
    /// # Errors
    /// A sentence, when it does not end cleanly, or comes up.
    pub fn die_while_starting(&mut self, failpoint: &str) -> Result<(), String> {
        self.pause()?;
        self.start_again(Some(failpoint))?;
        self.wait_for_death()
    }

    /// Waits until it has died as by `kill -9`. [`Gateway::restart`] starts it again.
    ///
    /// # Errors
    /// A sentence, when it lives on or has ended in another way.
    pub fn wait_for_death(&mut self) -> Result<(), String> {
        use std::os::unix::process::ExitStatusExt as _;
        if self.next_port(DEATH) != Err(RecvTimeoutError::Disconnected) {
            return Err(format!(
                "the gateway has not died at its point; is it built with `--all-features`? It said:\n{}",
                self.log()
            ));
        }
        let ended = self.child.wait();
        let status = ended.map_err(|error| format!("the gateway's end is unknown: {error}"))?;
        self.join_readers();
        if status.signal() != Some(Signal::KILL.as_raw()) {
            return Err(format!("the gateway ended with {status}; it said:\n{}", self.log()));
        }
        Ok(())
    }

    /// Stops it as an operator would, and starts it again on the same port and data.
    ///
    /// # Errors
    /// A sentence, when it does not end cleanly or does not come up.
    pub fn restart(&mut self) -> Result<(), String> {
        self.pause()?;
        self.start_again(None)?;
        self.wait_until_ready()
    }

    /// Asks it to stop for good and waits until it has.
    ///
    /// # Errors
    /// A sentence, when it does not end cleanly.
    pub fn stop(mut self) -> Result<(), String> {
        self.pause()
    }

    /// Asks it to stop and waits until it has; [`Gateway::restart`] starts it again. Pausing twice is as pausing once.
    ///
    /// # Errors
    /// A sentence, when it does not end cleanly.
    pub fn pause(&mut self) -> Result<(), String> {
        if self.readers.is_empty() {
            return Ok(());
        }
        kill_process(Pid::from_child(&self.child), Signal::TERM)
            .map_err(|error| format!("the gateway could not be asked to stop: {error}"))?;
        let status = self
            .child
            .wait()
            .map_err(|error| format!("the gateway's end is unknown: {error}"))?;
        self.join_readers();
        if !status.success() {
            return Err(format!("the gateway ended with {status}; it said:\n{}", self.log()));
        }
        Ok(())
    }

    fn join_readers(&mut self) {
        for reader in self.readers.drain(..) {
            // The thread only reads lines; it has nothing to report.
            let _ = reader.join();
        }
    }

    /// Folder of its data.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Folder of its key ring.
    #[must_use]
    pub fn ring(&self) -> PathBuf {
        self.data.with_file_name("data-ring")
    }

    /// File with the setup string, until the organisation is founded.
    #[must_use]
    pub fn setup_string(&self) -> PathBuf {
        self.data.join("setup-string")
    }

    /// Everything it has printed and logged so far, over all restarts.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The port on which it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.join_readers();
    }
}

/// Keeps what the gateway prints, and tells on which port it listens.
fn follow(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>, ready: Sender<u16>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(port) = port_in(&line) {
                // The receiver is gone once it has the first one.
                let _ = ready.send(port);
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    })
}

/// The port in the line that says where the gateway listens.
fn port_in(line: &str) -> Option<u16> {
    let (_, url) = line.split_once(" listens at ")?;
    url.rsplit(':').next()?.parse().ok()
}
