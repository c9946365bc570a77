//! What is measured on: the machine, the commit, and how busy it was before.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::process;
use crate::run::{Outcome, workspace};

/// How busy the machine was just before a workload, and whether that was too much.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Before {
    /// Load average of the last minute. It has what ran before, this command's own work as well.
    pub(super) load: f64,
    /// Cores that were busy for a second.
    pub(super) busy: f64,
}

impl Before {
    /// Looks for a second.
    pub(super) fn now() -> Outcome<Self> {
        let load = fs::read_to_string("/proc/loadavg")?;
        let load = load.split_whitespace().next().unwrap_or_default().parse()?;
        Ok(Self {
            load,
            busy: busy_for(Duration::from_secs(1)),
        })
    }
}

fn busy_for(time: Duration) -> f64 {
    let before = process::cpu_of_machine();
    thread::sleep(time);
    (process::cpu_of_machine() - before) / time.as_secs_f64()
}

/// Waits until the machine does little, but not for long.
pub(super) fn settle() {
    let until = Instant::now() + Duration::from_millis(1_500);
    while busy_for(Duration::from_millis(100)) > 0.3 && Instant::now() < until {}
}

/// The commit at hand; `+` if something of the product, the benches or this command is not committed.
pub(super) fn commit() -> Outcome<String> {
    let commit = said("git", &["rev-parse", "--short=10", "HEAD"])?;
    let parts = ["proto", "gateway", "client", "benches", "xtask", "Cargo.lock"];
    let mut words = vec!["status", "--porcelain", "--untracked-files=no", "--"];
    words.extend(parts);
    let is_clean = said("git", &words)?.is_empty();
    Ok(if is_clean { commit } else { format!("{commit}+") })
}

/// Today, with the time.
pub(super) fn date() -> Outcome<String> {
    said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])
}

/// Processor, memory, kernel, and the file system of `folder`.
pub(super) fn describe(folder: &Path) -> Outcome<String> {
    let cores = thread::available_parallelism()?;
    let model = value("/proc/cpuinfo", "model name").unwrap_or_else(|| "an unknown processor".to_owned());
    let memory = value("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory: u64 = memory
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .parse()
        .unwrap_or(0);
    let system = said("uname", &["-sr"])?;
    let disk = said("findmnt", &["-no", "FSTYPE", "-T", super::text(folder)?])?;
    let congestion = fs::read_to_string("/proc/sys/net/ipv4/tcp_congestion_control").unwrap_or_default();
    Ok(format!(
        "{cores} cores of {model}, {} GiB, {system}, {disk}, TCP {}",
        memory >> 20,
        congestion.trim()
    ))
}

fn value(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// KiB of memory that nothing uses, not even the page cache.
pub(super) fn free_memory() -> u64 {
    let free = value("/proc/meminfo", "MemFree").unwrap_or_default();
    free.split_whitespace().next().unwrap_or_default().parse().unwrap_or(0)
}

/// What a program prints.
pub(super) fn said(program: &str, words: &[&str]) -> Outcome<String> {
    let output = Command::new(program).args(words).current_dir(workspace()).output();
    let output = output.map_err(|error| format!("`{program}` cannot be run: {error}"))?;
    if !output.status.success() {
        let error = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(format!("`{program} {}` failed: {error}", words.join(" ")).into());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
