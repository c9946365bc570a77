//! Nights of a billing company: claim files pulled unattended while the puller is killed and the gateway restarted, and an account of what
//! arrived. Every file must be there once, byte for byte, even when another program takes the files away as they come.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::gateway::Gateway;
use crate::person::Person;
use crate::samples;

/// What cannot be done, in a sentence.
pub type Outcome<T> = Result<T, String>;

/// Longest time without a file before a night counts as failed.
const PATIENCE: Duration = Duration::from_secs(180);
/// Between two looks at the folders.
const LOOK: Duration = Duration::from_millis(3);
/// Tries at a batch that a restart of the gateway got into the way of.
const TRIES: usize = 5;

/// Where claim files come from.
#[derive(Debug, Clone)]
pub enum Claims {
    /// A program: folder, number of files, claims in each, seed.
    Tool(PathBuf),
    /// Made here: small ones, and a large one at the beginning that takes a while.
    Own,
}

impl Claims {
    fn make(&self, folder: &Path, number: usize, seed: u64, has_large: bool) -> Outcome<()> {
        let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
        fs::create_dir_all(folder).map_err(failed)?;
        match self {
            Self::Tool(tool) => {
                let made = Command::new(tool)
                    .arg(folder)
                    .args([number.to_string(), "34".to_owned(), seed.to_string()])
                    .status();
                match made {
                    Ok(status) if status.success() => Ok(()),
                    other => Err(format!("{} failed: {other:?}", tool.display())),
                }
            }
            Self::Own => {
                for file in 0..number {
                    let mut bytes = format!("ISA*claim {seed} {file}~\n").repeat(1 + file % 40).into_bytes();
                    if has_large && file == 0 {
                        bytes.extend(samples::noise(LARGE));
                    }
                    fs::write(folder.join(format!("claims-{file:06}.837")), bytes).map_err(failed)?;
                }
                Ok(())
            }
        }
    }
}

/// Bytes of a file during which there is time to kill the puller.
const LARGE: usize = 12 << 20;

/// What is sent in a night.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Files of the one large transfer.
    pub together: usize,
    /// Files that are a transfer each.
    pub alone: usize,
    /// Where they come from.
    pub claims: Claims,
}

/// What a night came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Account {
    /// Files that were sent.
    pub sent: u64,
    /// Of those, what did not arrive.
    pub lost: u64,
    /// What arrived once more.
    pub doubled: u64,
    /// What arrived and was not sent so.
    pub wrong: u64,
}

/// Two people and their gateway.
#[derive(Debug)]
pub struct Town {
    /// The gateway.
    pub gateway: Gateway,
    /// Who sends.
    pub clinic: Person,
    /// Who pulls.
    pub company: Person,
    /// The address of who pulls.
    pub company_address: String,
    /// Where files are made and arrive.
    pub folder: PathBuf,
}

impl Town {
    /// One night. `seed` says when the puller is killed, when the gateway is restarted, and whether files are taken away as they come.
    ///
    /// # Errors
    /// A sentence, when something else than an arrival failed; the folder of the night is kept then.
    pub fn night(&mut self, plan: &Plan, seed: u64) -> Outcome<Account> {
        let folder = self.folder.join(format!("night-{seed}"));
        let night = Night::prepare(&folder, plan, seed)?;
        let mut puller = Puller::start(&self.company, &night)?;
        let taker = Taker::start(&night, seed % 2 == 1);
        let sending = night.send(&self.clinic, &self.company_address, seed);
        self.disturb(&night, plan, seed, &mut puller)?;
        sending.join().map_err(|_| "sending stopped".to_owned())??;
        puller.stop()?;
        self.pull_once(&night)?;
        taker.stop();
        let account = night.account()?;
        if account
            == (Account {
                sent: account.sent,
                ..Account::default()
            })
        {
            fs::remove_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        }
        Ok(account)
    }

    /// Kills the puller once while a transfer is staged and once at any moment, and restarts the gateway, while files arrive.
    fn disturb(&mut self, night: &Night, plan: &Plan, seed: u64, puller: &mut Puller) -> Outcome<()> {
        let total = plan.together + plan.alone;
        let mut dice = Dice(seed);
        let mut in_staging = Some(1 + dice.roll(plan.together));
        let mut at_arrival = Some(dice.roll(total));
        let mut restart_at = Some(dice.roll(total));
        let (mut last, mut since) = (0, Instant::now());
        loop {
            let (arrived, staged) = night.progress();
            let is_over = arrived >= total;
            if in_staging.is_some_and(|least| staged >= least) || (is_over && in_staging.is_some()) {
                in_staging = None;
                puller.kill_and_start(&self.company, night)?;
            }
            if at_arrival.is_some_and(|least| arrived > least) {
                at_arrival = None;
                puller.kill_and_start(&self.company, night)?;
            }
            if restart_at.is_some_and(|least| arrived + staged > least) {
                restart_at = None;
                self.gateway.restart()?;
            }
            if is_over && [in_staging, at_arrival, restart_at].iter().all(Option::is_none) {
                return Ok(());
            }
            if arrived + staged != last {
                (last, since) = (arrived + staged, Instant::now());
            }
            if since.elapsed() > PATIENCE {
                // What is missing is counted as lost.
                return Ok(());
            }
            puller.check()?;
            std::thread::sleep(LOOK);
        }
    }

    /// Runs afterwards: the first finishes what the last end of the puller interrupted, the second finds nothing.
    fn pull_once(&self, night: &Night) -> Outcome<()> {
        ended_well(&self.company.run(&[&"pull", &"--into", &night.into])?)?;
        let answer = self.company.ask(&[&"pull", &"--into", &night.into])?;
        match answer.pointer("/pulled/0/received").and_then(Value::as_u64) {
            Some(0) => Ok(()),
            _ => Err(format!("a run after the night found something to pull: {answer}")),
        }
    }
}

/// The folders of one night.
#[derive(Debug)]
struct Night {
    together: PathBuf,
    alone: PathBuf,
    into: PathBuf,
    taken: PathBuf,
    log: PathBuf,
}

impl Night {
    fn prepare(folder: &Path, plan: &Plan, seed: u64) -> Outcome<Self> {
        let of = |name: &str| folder.join(name);
        let night = Self {
            together: of("together"),
            alone: of("alone"),
            into: of("in"),
            taken: of("taken"),
            log: of("log"),
        };
        plan.claims.make(&night.together, plan.together, seed * 2, true)?;
        plan.claims.make(&night.alone, plan.alone, seed * 2 + 1, false)?;
        fs::create_dir_all(&night.taken).map_err(|error| error.to_string())?;
        Ok(night)
    }

    /// Sends everything, on a thread of its own: the large transfer first or last.
    fn send(&self, clinic: &Person, to: &str, seed: u64) -> JoinHandle<Outcome<()>> {
        let (clinic, to) = (clinic.clone(), to.to_owned());
        let (together, alone) = (self.together.clone(), self.alone.clone());
        let batch = self.log.with_file_name("batch");
        std::thread::spawn(move || {
            let key = format!("night/{seed}");
            let send_together = || {
                persist(|| {
                    clinic
                        .ask(&[&"send", &"--to", &to, &"--once", &key, &together])
                        .map(drop)
                })
            };
            let send_alone = || {
                fs::write(&batch, batch_of(&alone, &to, &key)?).map_err(|error| error.to_string())?;
                persist(|| {
                    clinic
                        .run(&[&"send", &"--batch", &batch])
                        .and_then(|run| ended_well(&run))
                })
            };
            if seed.is_multiple_of(3) {
                send_together()?;
                send_alone()
            } else {
                send_alone()?;
                send_together()
            }
        })
    }

    /// Files that have arrived, taken away or not, and files in staging.
    fn progress(&self) -> (usize, usize) {
        let (mut arrived, mut staged) = (files(&self.taken).len(), 0);
        for sender in folders(&self.into) {
            arrived += files(&sender).len();
            // One of them is the lock.
            staged += folders(&sender)
                .iter()
                .map(|hidden| files(hidden).len().saturating_sub(1))
                .sum::<usize>();
        }
        (arrived, staged)
    }

    fn account(&self) -> Outcome<Account> {
        let mut expected: BTreeMap<Vec<u8>, i64> = BTreeMap::new();
        let read = |path: &PathBuf| fs::read(path).map_err(|error| format!("{}: {error}", path.display()));
        let mut account = Account::default();
        for path in [&self.together, &self.alone]
            .into_iter()
            .flat_map(|folder| files(folder))
        {
            *expected.entry(read(&path)?).or_default() += 1;
            account.sent += 1;
        }
        let mut arrived = files(&self.taken);
        for sender in folders(&self.into) {
            arrived.extend(files(&sender));
            // Nothing is left half-way.
            account.wrong += folders(&sender).len() as u64;
        }
        for path in arrived {
            match expected.get_mut(&read(&path)?) {
                Some(number) => *number -= 1,
                None => account.wrong += 1,
            }
        }
        for number in expected.values() {
            account.lost += u64::try_from(*number).unwrap_or(0);
            account.doubled += u64::try_from(-number).unwrap_or(0);
        }
        Ok(account)
    }
}

/// The lines of a batch: each file is a transfer.
fn batch_of(folder: &Path, to: &str, key: &str) -> Outcome<String> {
    let mut lines = String::new();
    for path in files(folder) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let line = json!({"to": to, "paths": path.to_str().ok_or("a path")?, "once": format!("{key}/{name}")});
        lines.push_str(&format!("{line}\n"));
    }
    Ok(lines)
}

fn ended_well(run: &crate::person::Run) -> Outcome<()> {
    match run.code {
        0 => Ok(()),
        code => Err(format!("it ended with {code}: {}", run.stderr)),
    }
}

/// Sending goes on where a restart of the gateway got into its way: it is sent once, whatever its key.
fn persist(mut send: impl FnMut() -> Outcome<()>) -> Outcome<()> {
    let mut last = Ok(());
    for _ in 0..TRIES {
        last = send();
        if last.is_ok() {
            break;
        }
    }
    last
}

/// `pull --watch`. It is killed when dropped.
#[derive(Debug)]
struct Puller {
    child: Child,
}

impl Puller {
    fn start(company: &Person, night: &Night) -> Outcome<Self> {
        let log = || {
            File::options()
                .create(true)
                .append(true)
                .open(&night.log)
                .map_err(|error| error.to_string())
        };
        let child = company
            .command(&[&"pull", &"--watch", &"--into", &night.into])
            .stdin(Stdio::null())
            .stdout(log()?)
            .stderr(log()?)
            .spawn()
            .map_err(|error| format!("the puller could not be started: {error}"))?;
        Ok(Self { child })
    }

    /// Kills it, by a signal that it cannot see coming, and starts it again.
    fn kill_and_start(&mut self, company: &Person, night: &Night) -> Outcome<()> {
        let failed = |error: std::io::Error| format!("the puller could not be killed: {error}");
        self.child.kill().map_err(failed)?;
        self.child.wait().map_err(failed)?;
        *self = Self::start(company, night)?;
        Ok(())
    }

    /// It must not end by itself.
    fn check(&mut self) -> Outcome<()> {
        match self.child.try_wait() {
            Ok(None) => Ok(()),
            ended => Err(format!("the puller ended by itself: {ended:?}")),
        }
    }

    /// Stops it as the service manager does.
    fn stop(mut self) -> Outcome<()> {
        kill_process(Pid::from_child(&self.child), Signal::TERM).map_err(|error| error.to_string())?;
        self.child.wait().map(drop).map_err(|error| error.to_string())
    }
}

impl Drop for Puller {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Another program that takes files away as soon as they have their names.
#[derive(Debug)]
struct Taker {
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Taker {
    fn start(night: &Night, is_taking: bool) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let (over, into, taken) = (Arc::clone(&is_over), night.into.clone(), night.taken.clone());
        let take = move || {
            let mut number = 0_u64;
            while !over.load(Ordering::SeqCst) {
                for path in folders(&into).iter().flat_map(|folder| files(folder)) {
                    number += 1;
                    // It can be listed and not be there: then it is seen again.
                    let _ = fs::rename(&path, taken.join(number.to_string()));
                }
                std::thread::sleep(LOOK);
            }
        };
        Self {
            is_over,
            thread: is_taking.then(|| std::thread::spawn(take)),
        }
    }

    fn stop(mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // It has nothing to report.
            let _ = thread.join();
        }
    }
}

impl Drop for Taker {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
    }
}

/// Numbers that follow from a seed (splitmix64).
struct Dice(u64);

impl Dice {
    /// From 0 to `below`, without it.
    fn roll(&mut self, below: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let below = u64::try_from(below.max(1)).unwrap_or(1);
        usize::try_from((mixed ^ (mixed >> 31)) % below).unwrap_or(0)
    }
}

/// The files in a folder, but for hidden ones.
fn files(folder: &Path) -> Vec<PathBuf> {
    listed(folder, |path, name| !name.starts_with('.') && path.is_file())
}

fn folders(folder: &Path) -> Vec<PathBuf> {
    listed(folder, |path, _| path.is_dir())
}

fn listed(folder: &Path, is_wanted: impl Fn(&Path, &str) -> bool) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .filter(|entry| is_wanted(&entry.path(), &entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect();
    paths.sort();
    paths
}
