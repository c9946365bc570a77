//! Failing disks: ENOSPC and EIO from each system call on the gateway's folders in turn, during a short session.
//!
//! A full disk refuses a request and nothing more: the gateway goes on, and works again when there is room. A failing one, or a
//! sync that failed for any reason, ends the gateway, because what the kernel dropped cannot be known. After either a start finds
//! everything that was acknowledged.

mod targets;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealpost_client::{Session, audit};
use sealpost_proto::id::TransferId;
use tokio::runtime::Runtime;

use self::targets::{BLOBS, Target, targets};
use super::acks::{Account, Seen, now};
use super::check::{Checker, Depth};
use super::dice::Dice;
use super::process::{Process, Start};
use super::strace;
use super::workload::{Work, revoke, shredded, store_part, transfer_of, whole};
use super::world::{World, remove};
use super::{Outcome, Verdict, failed, parts};

/// Longest wait for the share of a used transfer to be destroyed.
const SWEEP: Duration = Duration::from_secs(10);

/// Most sessions in which a call fails.
const SESSIONS: usize = 8;

/// Where what is acknowledged lies. Everything else can be made again of it.
const TRUTH: [&str; 6] = [
    "data/journal",
    "data/shares",
    "data/blobs",
    "data/tmp",
    "data/keys",
    "data-ring",
];

/// What a call answers instead of doing its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The disk is full.
    Enospc,
    /// The disk fails.
    Eio,
}

impl Fault {
    fn name(self) -> &'static str {
        match self {
            Self::Enospc => "ENOSPC",
            Self::Eio => "EIO",
        }
    }

    /// Whether a gateway has to end after this from a call on a path. A sync that failed for any reason is one that nobody can
    /// repeat: the kernel may have dropped the bytes.
    fn must_stop(self, call: &str, path: &Path) -> bool {
        // sled's files are a view that may be thrown away; what fails there is not an answer's business.
        let is_of_truth = TRUTH.iter().any(|part| path.starts_with(part));
        let is_failing = self == Self::Eio && !path.starts_with("data/tmp");
        is_of_truth && (is_sync(call) || is_failing)
    }

    /// Whether it may. A full disk is no reason, unless it takes back the blocks that were reserved for the journal.
    fn may_stop(self, call: &str, path: &Path) -> bool {
        let is_reserved = call == "pwrite64" && path.starts_with("data/journal");
        self == Self::Eio || is_sync(call) || is_reserved
    }
}

/// Lets every `step`th call of a session fail once, of those whose description contains `only`, and returns how many failed.
///
/// # Errors
/// When the harness itself fails. Faults of the product are in the verdict.
pub fn run(world: &World, fault: Fault, step: usize, only: &str, seed: u64) -> Outcome<(u64, Verdict)> {
    strace::require()?;
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    let dice = Dice::new(seed);
    let targets = targets(world, &runtime, &dice)?;
    let mut verdict = Verdict::default();
    let mut rounds = 0;
    for (n, target) in targets
        .iter()
        .filter(|target| target.to_string().contains(only))
        .enumerate()
        .skip(dice.clone().index(step))
        .step_by(step.max(1))
    {
        let mut round = Round {
            world,
            runtime: &runtime,
            fault,
            target,
            dice: dice.part(n as u64),
        };
        let Some(found) = round.run()? else {
            continue;
        };
        rounds += 1;
        let is_clean = found.is_clean();
        verdict.add(found);
        if !is_clean {
            verdict.notes.push(format!("after {} from {target}", fault.name()));
        }
    }
    Ok((rounds, verdict))
}

/// One call that fails.
struct Round<'a> {
    world: &'a World,
    runtime: &'a Runtime,
    fault: Fault,
    target: &'a Target,
    dice: Dice,
}

/// How a session under a fault ended.
struct Ended {
    account: Account,
    /// What the gateway said, if it has ended by itself.
    stopped: Option<String>,
    /// Whether the session went well from some moment on.
    works_again: Outcome,
}

impl Round<'_> {
    /// None if the call was not reached.
    fn run(&mut self) -> Outcome<Option<Verdict>> {
        let folder = self.world.copy("failing")?;
        let log = folder.join("trace");
        let ended = self.session(&folder, &log)?;
        if injected(&log) == 0 {
            return Ok(None);
        }
        let mut verdict = Verdict::default();
        self.judge(&ended, &mut verdict);
        match self.world.start(&folder) {
            Ok(gateway) => {
                let mut checker = Checker::new(self.world, &folder)?;
                let depth = Depth {
                    opened: usize::MAX,
                    visited: 0,
                };
                let found = self
                    .runtime
                    .block_on(checker.check(&ended.account, depth, &mut self.dice));
                verdict.add(found);
                gateway.kill()?;
                parts::check(&folder.join("data"), &ended.account.lock(), &mut verdict);
            }
            Err(error) => verdict.wrong(format!("the gateway does not start afterwards: {error}")),
        }
        if verdict.is_clean() {
            remove(&folder)?;
        }
        Ok(Some(verdict))
    }

    fn session(&mut self, folder: &Path, log: &Path) -> Outcome<Ended> {
        let account = Account::default();
        let start = Start {
            wrapper: self.wrapper(folder, log),
            ..Start::new(folder, self.world.port)
        };
        let mut gateway = match start.run() {
            Ok(gateway) => gateway,
            Err(error) => {
                let stopped = Some(error);
                let works_again = Ok(());
                return Ok(Ended {
                    account,
                    stopped,
                    works_again,
                });
            }
        };
        let mut people = People::new(self.world, folder)?;
        let script = async {
            // Calls are counted by thread, so the same fault may come again in another; what fails then is what it is for.
            for _ in 0..SESSIONS {
                let before = injected(log);
                let outcome = people.session(&account, &mut self.dice).await;
                if injected(log) == before {
                    return outcome;
                }
            }
            people.session(&account, &mut self.dice).await
        };
        let works_again = self.runtime.block_on(async {
            tokio::select! {
                outcome = script => outcome,
                () = end_of(&mut gateway) => Err("the gateway has ended".to_owned()),
            }
        });
        // What was being sent when the gateway ended may have been taken.
        let begun = people.desk.state.names("sent").map_err(failed("what was sent"))?;
        account
            .lock()
            .begun
            .extend(begun.iter().filter_map(|name| name.parse::<TransferId>().ok()));
        let stopped = gateway.ended()?.is_some().then(|| gateway.log());
        gateway.kill()?;
        Ok(Ended {
            account,
            stopped,
            works_again,
        })
    }

    /// Words that let the target's call fail.
    fn wrapper(&self, folder: &Path, log: &Path) -> Vec<OsString> {
        let Target { call, path, number } = self.target;
        let inject = format!("inject={call}:error={}:when={number}", self.fault.name());
        let options = [
            "strace",
            "-f",
            "-qq",
            "-y",
            "-s",
            "0",
            "-e",
            &inject,
            "-e",
            "signal=none",
            "-o",
        ];
        let mut words: Vec<OsString> = options.map(OsString::from).to_vec();
        words.push(log.into());
        let paths = if path == Path::new(BLOBS) {
            (0..=255_u8)
                .map(|n| folder.join(BLOBS).join(format!("{n:02x}")))
                .collect()
        } else {
            vec![folder.join(path)]
        };
        for path in paths {
            words.extend([OsString::from("-P"), path.into_os_string()]);
        }
        words
    }

    /// Whether the gateway did what it should at the moment of the fault.
    fn judge(&self, ended: &Ended, verdict: &mut Verdict) {
        let Target { call, path, .. } = self.target;
        if let Some(log) = &ended.stopped {
            if log.contains("panicked") {
                verdict.wrong(format!("the gateway panicked: {log}"));
            }
            if !log.contains("sealpost-gateway: ") {
                verdict.wrong(format!("the gateway ended without a sentence: {log}"));
            }
            if !self.fault.may_stop(call, path) && !log.contains("ended at its start") {
                verdict.wrong(format!("a full disk ended the gateway: {log}"));
            }
            return;
        }
        if self.fault.must_stop(call, path) {
            verdict.wrong("the gateway goes on after its disk failed".to_owned());
        }
        if let Err(error) = &ended.works_again {
            verdict.wrong(format!("the gateway does not work again: {error}"));
        }
    }
}

fn is_sync(call: &str) -> bool {
    call.contains("sync")
}

/// How many calls have failed so far.
fn injected(log: &Path) -> usize {
    let trace = fs::read_to_string(log).unwrap_or_default();
    trace.matches("(INJECTED)").count()
}

async fn end_of(gateway: &mut Process) {
    while matches!(gateway.ended(), Ok(None)) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The people of the session.
struct People {
    folder: PathBuf,
    desk: Session,
    provider: Session,
}

impl People {
    fn new(world: &World, folder: &Path) -> Outcome<Self> {
        Ok(Self {
            folder: folder.to_path_buf(),
            desk: world.desk.session(&folder.join("desk"))?,
            provider: world.provider.session(&folder.join("provider"))?,
        })
    }

    /// Everything that a gateway does, once, one act after the other: announce, part, seal, open, receipt, revocation,
    /// checkpoint, sweep.
    /// Goes on after a failure; returns the first.
    async fn session(&mut self, account: &Account, dice: &mut Dice) -> Outcome {
        let mut first = Ok(());
        let mut note = |outcome: Outcome| {
            if first.is_ok() {
                first = outcome;
            }
        };
        note(store_part(&self.desk, dice, account).await.map(drop));
        let mut sent = Vec::new();
        for len in [3_000, 150_000] {
            let mut work = Work {
                folder: &self.folder,
                dice,
                account,
            };
            match transfer_of(&mut self.desk, &mut work, len).await {
                Ok(transfer) => sent.push(transfer),
                Err(error) => note(Err(error)),
            }
        }
        for transfer in sent {
            note(whole(&mut self.provider, account, transfer, false).await.map(drop));
        }
        note(self.take_back(account, dice).await);
        note(self.audit(account).await);
        first
    }

    /// Sends something and revokes it.
    async fn take_back(&mut self, account: &Account, dice: &mut Dice) -> Outcome {
        let mut work = Work {
            folder: &self.folder,
            dice,
            account,
        };
        let transfer = transfer_of(&mut self.desk, &mut work, 2_000).await?;
        revoke(&self.desk, account, transfer).await
    }

    /// Reads the audit log until the shares that are used up are destroyed.
    async fn audit(&self, account: &Account) -> Outcome {
        let used: Vec<_> = {
            let acks = account.lock();
            let is_used = |limit: Option<u32>| limit == Some(1);
            let receipted = acks
                .receipts
                .keys()
                .filter(|id| acks.sealed.get(id).is_some_and(|sealed| is_used(sealed.limit)));
            receipted.copied().collect()
        };
        let until = tokio::time::Instant::now() + SWEEP;
        loop {
            let log = audit::update(&self.desk).await.map_err(failed("the audit log"))?;
            let seen = Seen {
                size: log.size,
                root: log.root,
                shredded: shredded(&log.leaves),
                at: now(),
            };
            let is_done = used.iter().all(|id| seen.shredded.contains(id));
            account.lock().seen.push(seen);
            if is_done {
                return Ok(());
            }
            if tokio::time::Instant::now() > until {
                return Err("a share that is used up is not destroyed".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_sync_of_the_truth_ends_a_gateway_and_a_full_disk_does_not() {
        let must = |fault: Fault, call, path| fault.must_stop(call, Path::new(path));
        for fault in [Fault::Enospc, Fault::Eio] {
            assert!(must(fault, "fdatasync", "data/journal/0"));
            assert!(must(fault, "fsync", "data/tmp/0"));
            assert!(!must(fault, "fsync", "data/views/db"));
            assert!(!must(fault, "pwrite64", "data/tmp/0"));
            assert!(fault.may_stop("fsync", Path::new("data/tmp/0")));
        }
        assert!(must(Fault::Eio, "pwrite64", "data/journal/0"));
        assert!(!must(Fault::Enospc, "fallocate", "data/journal/0"));
        let may = |call, path| Fault::Enospc.may_stop(call, Path::new(path));
        assert!(may("pwrite64", "data/journal/0") && !may("fallocate", "data/journal/0"));
        assert!(!may("pwrite64", "data/shares/0"));
    }
}
