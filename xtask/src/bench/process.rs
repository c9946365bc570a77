//! What the kernel says of processes: CPU seconds and memory of a process with all its descendants, and how busy the machine is.

use std::fs;

use rustix::param::clock_ticks_per_second;

/// Memory of processes in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Memory {
    /// Resident, with mapped files.
    pub(super) resident: u64,
    /// Resident and backed by no file.
    pub(super) anonymous: u64,
}

impl Memory {
    /// The larger of both, each for itself.
    pub(super) fn most(self, other: Self) -> Self {
        Self {
            resident: self.resident.max(other.resident),
            anonymous: self.anonymous.max(other.anonymous),
        }
    }
}

/// The process and its descendants.
pub(super) fn tree(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for task in fs::read_dir(format!("/proc/{pid}/task"))
        .into_iter()
        .flatten()
        .flatten()
    {
        let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let children = children.split_whitespace().filter_map(|child| child.parse().ok());
        all.extend(children.flat_map(tree));
    }
    all
}

/// Memory of a process and its descendants. Those that have ended count nothing.
pub(super) fn memory(pid: u32) -> Memory {
    let mut sum = Memory::default();
    for pid in tree(pid) {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.resident += field(&status, "VmRSS:");
        sum.anonymous += field(&status, "RssAnon:");
    }
    sum
}

/// Bytes that a process and its descendants have read and written through files so far.
pub(super) fn moved(pid: u32) -> u64 {
    let of = |pid: u32| {
        let io = fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
        field(&io, "rchar:") + field(&io, "wchar:")
    };
    tree(pid).into_iter().map(of).sum()
}

fn field(text: &str, name: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(name));
    value
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or_default()
}

/// CPU seconds, in user and system mode, of a process, its descendants, and all of them that have ended.
pub(super) fn cpu(pid: u32) -> f64 {
    tree(pid).into_iter().map(|pid| times(&pid.to_string(), 0..4)).sum()
}

/// CPU seconds of all children of this process that have ended and were waited for, with their descendants.
pub(super) fn cpu_of_ended() -> f64 {
    times("self", 2..4)
}

/// CPU seconds of this process itself.
pub(super) fn cpu_of_self() -> f64 {
    times("self", 0..2)
}

/// Of user, system, and both of those waited for.
fn times(pid: &str, which: std::ops::Range<usize>) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name, in brackets, may hold anything; the state comes next, and the times eleven fields behind it.
    let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let times = fields.split_whitespace().skip(11 + which.start).take(which.len());
    seconds(times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum())
}

#[expect(clippy::cast_precision_loss, reason = "a machine does not run for 2^53 ticks")]
fn seconds(ticks: u64) -> f64 {
    ticks as f64 / clock_ticks_per_second() as f64
}

/// CPU seconds that the whole machine has worked since it was started.
pub(super) fn cpu_of_machine() -> f64 {
    let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = stat.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<u64> = fields.take(8).filter_map(|ticks| ticks.parse().ok()).collect();
    // Neither the fourth, idle, nor the fifth, waiting for a disk.
    let worked = fields.iter().enumerate().filter(|(n, _)| !matches!(n, 3 | 4));
    seconds(worked.map(|(_, ticks)| ticks).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_child_counts() {
        let own = std::process::id();
        let before = memory(own);
        assert!(before.anonymous > 0 && before.resident > before.anonymous);
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("a child");
        assert!(tree(own).contains(&child.id()));
        child.kill().expect("a child to end");
        child.wait().expect("its end");
        assert!(!tree(own).contains(&child.id()));
    }

    #[test]
    fn what_an_ended_child_worked_is_counted() {
        let before = cpu_of_ended();
        let spin = "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("bash").args(["-c", spin]).status();
        assert!(status.expect("a shell").success());
        assert!(cpu_of_ended() > before);
    }
}
