//! A gateway as a process that the harness may end in any way, alone or under another program that watches its system calls.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::{Outcome, failed};
use crate::binaries;

/// Longest wait for a gateway to listen, under a tracer and on a busy machine.
const START: Duration = Duration::from_secs(60);
/// Longest wait for a gateway to end once it was asked to.
const END: Duration = Duration::from_secs(60);

/// How to start a gateway.
#[derive(Debug, Clone)]
pub struct Start {
    /// The folder with `data` and `data-ring`.
    pub folder: PathBuf,
    /// Where it listens.
    pub port: u16,
    /// Words before the gateway's own, such as a tracer with its options.
    pub wrapper: Vec<OsString>,
}

impl Start {
    /// The gateway of a folder on a port, with nobody watching.
    #[must_use]
    pub fn new(folder: &Path, port: u16) -> Self {
        Self {
            folder: folder.to_path_buf(),
            port,
            wrapper: Vec::new(),
        }
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    /// What it said, when it ends or does not listen in time.
    pub fn run(&self) -> Outcome<Process> {
        self.spawn()?.ready()
    }

    /// Starts it without waiting.
    ///
    /// # Errors
    /// When the program cannot be started at all.
    pub fn spawn(&self) -> Outcome<Process> {
        let gateway = binaries::find("sealpost-gateway")?;
        let words = [self.wrapper.clone(), vec![gateway.into_os_string()]].concat();
        let (program, arguments) = words.split_first().ok_or("no program")?;
        let mut child = Command::new(program)
            .args(arguments)
            .env("SEALPOST__DATA_DIR", self.folder.join("data"))
            .env("SEALPOST__LISTEN", format!("127.0.0.1:{}", self.port))
            .env("SEALPOST__LOG__LEVEL", "warn")
            .envs(crate::gateway::STRANGERS)
            // How full this machine is does not matter here.
            .env("SEALPOST__LIMITS__DISK_REFUSE_TRANSFERS", "100")
            .env("SEALPOST__LIMITS__DISK_REFUSE_PARTS", "100")
            .envs(health_setting())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(failed(format!("{} could not be started", program.display())))?;
        let log = Arc::default();
        let (listens, ready) = channel();
        let mut readers = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            readers.push(follow(stdout, &log, Some(listens)));
        }
        if let Some(stderr) = child.stderr.take() {
            readers.push(follow(stderr, &log, None));
        }
        Ok(Process {
            child,
            readers,
            log,
            ready,
            is_wrapped: !self.wrapper.is_empty(),
        })
    }
}

/// The health endpoints' listener gets any free port, in gateways that have one.
fn health_setting() -> Option<(&'static str, &'static str)> {
    let config = include_str!("../../../deploy/gateway.toml");
    let has_health = config
        .lines()
        .any(|line| line.trim_start_matches(['#', ' ']).starts_with("[health]"));
    has_health.then_some(("SEALPOST__HEALTH__LISTEN", "127.0.0.1:0"))
}

/// A running gateway. It is killed when dropped.
#[derive(Debug)]
pub struct Process {
    child: Child,
    readers: Vec<JoinHandle<()>>,
    log: Arc<Mutex<String>>,
    ready: std::sync::mpsc::Receiver<()>,
    is_wrapped: bool,
}

impl Process {
    /// Waits until it listens.
    ///
    /// # Errors
    /// What it said, when it ends or does not listen in time.
    pub fn ready(mut self) -> Outcome<Self> {
        match self.ready.recv_timeout(START) {
            Ok(()) => Ok(self),
            Err(RecvTimeoutError::Timeout) => Err(format!("the gateway does not listen; it said:\n{}", self.log())),
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait(END)?;
                Err(format!(
                    "the gateway ended at its start ({status}); it said:\n{}",
                    self.log()
                ))
            }
        }
    }

    /// `kill -9`, and waits until it is gone.
    ///
    /// # Errors
    /// Of the system.
    pub fn kill(mut self) -> Outcome {
        self.signal(Signal::KILL)?;
        self.wait(END).map(drop)
    }

    /// Asks it to stop, and waits until it has.
    ///
    /// # Errors
    /// A sentence, when it does not end well.
    pub fn stop(mut self) -> Outcome {
        self.signal(Signal::TERM)?;
        let status = self.wait(END)?;
        if status.success() {
            return Ok(());
        }
        Err(format!("the gateway ended with {status}; it said:\n{}", self.log()))
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Of the system.
    pub fn ended(&mut self) -> Outcome<Option<ExitStatus>> {
        self.child.try_wait().map_err(failed("the gateway's end is unknown"))
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it has not ended in that time.
    pub fn wait(&mut self, longest: Duration) -> Outcome<ExitStatus> {
        let until = Instant::now() + longest;
        loop {
            if let Some(status) = self.ended()? {
                for reader in self.readers.drain(..) {
                    // It only reads lines; it has nothing to report.
                    let _ = reader.join();
                }
                return Ok(status);
            }
            if Instant::now() > until {
                return Err(format!("the gateway does not end; it said:\n{}", self.log()));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Everything it has printed and logged.
    #[must_use]
    pub fn log(&self) -> String {
        self.log.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn signal(&self, signal: Signal) -> Outcome {
        match kill_process(self.gateway()?, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(error) => Err(format!("the gateway could not be sent a signal: {error}")),
        }
    }

    /// The gateway itself: the child, or the only child of the program that watches it.
    fn gateway(&self) -> Outcome<Pid> {
        let child = Pid::from_child(&self.child);
        if !self.is_wrapped {
            return Ok(child);
        }
        let number = child.as_raw_nonzero();
        let children = std::fs::read_to_string(format!("/proc/{number}/task/{number}/children"));
        let first = children.unwrap_or_default();
        let first = first.split_whitespace().next().and_then(|word| word.parse().ok());
        // The watched one may have ended already; then the watcher is about to.
        Ok(first.and_then(Pid::from_raw).unwrap_or(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to do about it.
        let _ = self.signal(Signal::KILL);
        if self.wait(Duration::from_secs(5)).is_err() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// A port that is free now and that the system gives to nobody by itself, so that it stays free between two starts.
///
/// # Errors
/// When none is found.
pub fn free_port(seed: u64) -> Outcome<u16> {
    const FIRST: u64 = 20_000;
    const COUNT: u64 = 12_000;
    let candidates = (0..200).map(|n| FIRST + (seed + n * 61) % COUNT);
    candidates
        .filter_map(|port| u16::try_from(port).ok())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .ok_or_else(|| "there is no free port below 32000".to_owned())
}

/// Keeps what the gateway prints, and tells when it listens.
fn follow(stream: impl Read + Send + 'static, log: &Arc<Mutex<String>>, listens: Option<Sender<()>>) -> JoinHandle<()> {
    let log = Arc::clone(log);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            if let Some(listens) = listens.as_ref().filter(|_| line.contains(" listens at ")) {
                // Whoever waited may have given up.
                let _ = listens.send(());
            }
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            log.push_str(&line);
            log.push('\n');
        }
    })
}
