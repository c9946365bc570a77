//! One timed step: a command line, from its start to its end, with the CPU time and memory of both ends.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::process::{self, Memory};
use super::{interrupt, machine};
use crate::run::Outcome;

/// Longest time of a step; then it is ended, and has failed.
const LIMIT: Duration = Duration::from_secs(180);
/// Time between two looks at the memory.
const LOOK: Duration = Duration::from_millis(10);
/// From so many bytes on that were read and written through files, a client is at its payload.
const AT_PAYLOAD: u64 = 2 << 20;

/// What a step took.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Timed {
    /// Seconds from start to end.
    pub(super) wall: f64,
    /// CPU seconds of the command and all its children.
    pub(super) client_cpu: f64,
    /// CPU seconds of the server and all its children.
    pub(super) server_cpu: f64,
    /// Most memory of the command.
    pub(super) client: Memory,
    /// The same while it moved a payload: without what the passphrase costs at the start.
    pub(super) client_moving: Memory,
    /// Most memory of the server.
    pub(super) server: Memory,
    /// Cores that others used meanwhile.
    pub(super) others: f64,
}

/// Runs `script` in a shell and watches it and the server.
pub(super) fn timed(script: &str, server: Option<u32>, log: &Path) -> Outcome<Timed> {
    timed_within(script, server, log, LIMIT)
}

/// The same with another longest time.
pub(super) fn timed_within(script: &str, server: Option<u32>, log: &Path, limit: Duration) -> Outcome<Timed> {
    interrupt::check()?;
    machine::settle();
    let cpu_of_server = || server.map_or(0.0, process::cpu);
    let (ended, serving) = (process::cpu_of_ended(), cpu_of_server());
    let (working, own) = (process::cpu_of_machine(), process::cpu_of_self());
    let begun = Instant::now();
    let mut child = shell(script, log)?;
    let watching = Watching::new(&child, server, limit);
    let (status, watched) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watching.watch());
        let status = child.wait();
        watching.is_over.store(true, Ordering::Relaxed);
        (status, watcher.join())
    });
    let wall = begun.elapsed().as_secs_f64();
    let working = process::cpu_of_machine() - working - (process::cpu_of_self() - own);
    // Servers of one process a connection count what that one worked only when it has ended.
    thread::sleep(Duration::from_millis(200));
    let watched = watched.map_err(|_| "the watcher failed")?;
    interrupt::check()?;
    let status = status?;
    if !status.success() {
        return Err(format!("`{script}` ended with {status}; {}", tail(log)).into());
    }
    let (client_cpu, server_cpu) = (process::cpu_of_ended() - ended, cpu_of_server() - serving);
    Ok(Timed {
        wall,
        client_cpu,
        server_cpu,
        others: ((working - client_cpu - server_cpu) / wall).max(0.0),
        ..watched
    })
}

/// A shell in a process group of its own.
fn shell(script: &str, log: &Path) -> Outcome<Child> {
    let log = File::options().append(true).create(true).open(log)?;
    let child = Command::new("bash")
        .args(["-c", &format!("set -e -o pipefail; {script}")])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .process_group(0)
        .spawn()?;
    Ok(child)
}

/// Runs `script` to its end without looking at it.
pub(super) fn untimed(script: &str, log: &Path) -> Outcome {
    interrupt::check()?;
    let status = shell(script, log)?.wait()?;
    if !status.success() {
        return Err(format!("`{script}` ended with {status}; {}", tail(log)).into());
    }
    Ok(())
}

/// The end of a log, for an error.
pub(super) fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let from = lines.len().saturating_sub(6);
    format!("it said: {}", lines.get(from..).unwrap_or_default().join(" | "))
}

struct Watching {
    client: u32,
    server: Option<u32>,
    until: Instant,
    is_over: AtomicBool,
}

impl Watching {
    fn new(child: &Child, server: Option<u32>, limit: Duration) -> Self {
        Self {
            client: child.id(),
            server,
            until: Instant::now() + limit,
            is_over: AtomicBool::new(false),
        }
    }

    /// Looks again and again until it is over; ends the command when its time is over or somebody interrupts.
    fn watch(&self) -> Timed {
        let mut most = Timed::default();
        while !self.is_over.load(Ordering::Relaxed) {
            let client = process::memory(self.client);
            most.client = most.client.most(client);
            if process::moved(self.client) > AT_PAYLOAD {
                most.client_moving = most.client_moving.most(client);
            }
            if let Some(server) = self.server {
                most.server = most.server.most(process::memory(server));
            }
            if interrupt::came() || Instant::now() > self.until {
                self.end();
            }
            thread::sleep(LOOK);
        }
        most
    }

    fn end(&self) {
        let group = i32::try_from(self.client).ok().and_then(Pid::from_raw);
        // It may have ended just now.
        let _ = group.map(|group| kill_process_group(group, Signal::KILL));
    }
}
