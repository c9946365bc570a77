//! Power cuts: a recorded piece of work, cut at random moments, and a gateway started on what each cut leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::runtime::Runtime;

use super::acks::{Account, Acks};
use super::check::{Checker, Depth, check_destroyed};
use super::dice::Dice;
use super::disk::{Disk, Survival};
use super::process::Start;
use super::strace;
use super::trace::{Event, Op, Trace};
use super::workload::{Crew, Crowd};
use super::world::{World, copy_folder, remove};
use super::{Outcome, Verdict, failed, parts};

/// Cuts of one recorded piece of work.
const CUTS: u64 = 50;
/// A piece of work ends when it has got so many acknowledgements, or after the longest time.
const WORK: usize = 60;
const LONGEST: Duration = Duration::from_secs(20);
/// Transfers that are opened after a cut; the others are looked up.
const DEPTH: Depth = Depth { opened: 6, visited: 1 };

const CREW: Crew = Crew {
    senders: 2,
    receivers: 2,
    pause: 60,
    large: 1,
};

/// Folders of a gateway, below the folder that holds both.
fn folders(of: &Path) -> Vec<PathBuf> {
    ["data", "data-ring"].map(|name| of.join(name)).to_vec()
}

/// What the disk makes of a sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Syncs {
    /// What was written before is durable.
    Kept,
    /// Nothing, though it says so: then the harness has to find losses, or it would find none anywhere.
    Ignored,
}

/// Runs `rounds` power cuts from a seed, up to the first that finds a fault, and returns how many there were.
///
/// # Errors
/// When the harness itself fails. Faults of the product are in the verdict.
pub fn run(world: &World, rounds: u64, seed: u64, syncs: Syncs) -> Outcome<(u64, Verdict)> {
    strace::require()?;
    let runtime = Runtime::new().map_err(failed("a runtime"))?;
    let dice = Dice::new(seed);
    let mut verdict = Verdict::default();
    let mut done = 0;
    while done < rounds && verdict.is_clean() {
        let count = CUTS.min(rounds - done);
        let mut work = Recorded::record(world, &runtime, dice.part(done))?;
        if syncs == Syncs::Ignored {
            work.trace.ignore_syncs();
        }
        let (cuts, found) = work.cut_all(&runtime, count)?;
        verdict.add(found);
        done += cuts;
    }
    Ok((done, verdict))
}

/// A piece of work that was recorded.
struct Recorded<'a> {
    world: &'a World,
    folder: PathBuf,
    trace: Trace,
    acks: Acks,
    dice: Dice,
}

impl<'a> Recorded<'a> {
    /// Records a gateway at work from its start to its end, on a copy of what some earlier work left.
    fn record(world: &'a World, runtime: &Runtime, mut dice: Dice) -> Outcome<Self> {
        let folder = world.copy("traced")?;
        for part in folders(&folder) {
            let name = part.file_name().unwrap_or_default().to_os_string();
            copy_folder(&part, &folder.join("before").join(name))?;
        }
        let (file, account) = (folder.join("trace"), Account::default());
        let start = Start {
            wrapper: strace::record(&file),
            ..Start::new(&folder, world.port)
        };
        let gateway = start.run()?;
        runtime.block_on(async {
            let crowd = Crowd::start(world, &folder.join("crowd"), &account, CREW, &dice.part(1))?;
            let (until, enough) = (tokio::time::Instant::now() + LONGEST, WORK / 2 + dice.index(WORK));
            while account.lock().count() < enough && tokio::time::Instant::now() < until {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            crowd.finish().await;
            Outcome::Ok(())
        })?;
        gateway.stop()?;
        let text = fs::read_to_string(&file).map_err(failed(file.display()))?;
        let acks = account.lock().clone();
        let recorded = Self {
            trace: Trace::parse(&text)?,
            world,
            folder,
            acks,
            dice,
        };
        Ok(recorded)
    }

    /// The disk as it was before the work.
    fn disk(&self) -> Outcome<Disk> {
        Disk::seen_as(&folders(&self.folder), &folders(&self.folder.join("before")))
    }

    /// Cuts at `count` moments, in the order of time, so that the work is replayed once, and returns how many there were. At its
    /// end the model must be what the gateway really left.
    fn cut_all(&mut self, runtime: &Runtime, count: u64) -> Outcome<(u64, Verdict)> {
        let mut moments = self.moments(count);
        moments.sort_unstable();
        let mut verdict = Verdict::default();
        let (mut disk, mut cuts) = (self.disk()?, 0);
        let mut next = moments.into_iter().peekable();
        for (index, event) in self.trace.events.iter().enumerate() {
            while next.next_if_eq(&index).is_some() {
                cuts += 1;
                let views = if cuts % 2 == 0 { Views::Dropped } else { Views::Left };
                let mut cut = Cut {
                    world: self.world,
                    runtime,
                    disk: &disk,
                    views,
                    dice: &mut self.dice,
                };
                let found = cut.run(&self.acks.until(event.at))?;
                let is_clean = found.is_clean();
                verdict.add(found);
                if !is_clean {
                    verdict.notes.push(format!("at event {index} of the trace"));
                    return Ok((cuts, verdict));
                }
            }
            disk.replay(&self.trace, index, event)?;
        }
        disk.compare(&folders(&self.folder))?;
        Ok((cuts, verdict))
    }

    /// Moments to cut at: two of three between a change and its sync, the others anywhere.
    fn moments(&mut self, count: u64) -> Vec<usize> {
        let is_change = |event: &Event| {
            let call = self.trace.calls.get(event.call);
            call.is_some_and(|call| {
                !matches!(
                    call.op,
                    Op::Nothing | Op::Close(_) | Op::Dup(_) | Op::Seek(_) | Op::Unknown(..)
                )
            })
        };
        let events = self.trace.events.iter().enumerate();
        let changes: Vec<usize> = events
            .filter(|(_, event)| is_change(event))
            .map(|(index, _)| index)
            .collect();
        let all = self.trace.events.len();
        let dice = &mut self.dice;
        let moment = |_| match dice.below(3) {
            0 => dice.index(all),
            // Just after the change was begun or ended.
            _ => changes
                .get(dice.index(changes.len()))
                .map_or(0, |index| (index + 1).min(all.saturating_sub(1))),
        };
        (0..count).map(moment).collect()
    }
}

/// What becomes of the gateway's views in a cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Views {
    /// The gateway finds them on the same run of the machine, so it believes them where they agree with the journal.
    Left,
    /// They are gone, as they are for a gateway that sees that the machine was started anew: it makes them again of the truth alone.
    Dropped,
}

/// A power cut at the moment up to which the disk was replayed.
struct Cut<'a> {
    world: &'a World,
    runtime: &'a Runtime,
    disk: &'a Disk,
    views: Views,
    dice: &'a mut Dice,
}

impl Cut<'_> {
    /// Compares what a gateway makes of the rest with what had been acknowledged by then.
    fn run(&mut self, known: &Acks) -> Outcome<Verdict> {
        let scratch = self.world.scratch()?;
        let image = scratch.path();
        self.disk.cut(&folders(image), Survival::draw(self.dice), self.dice)?;
        if self.views == Views::Dropped {
            remove(&image.join("data/views"))?;
        }
        self.keep(image)?;
        let mut verdict = Verdict::default();
        if image.join("data/shares").exists() {
            check_destroyed(&image.join("data"), known, &mut verdict)?;
        }
        match self.world.start(image) {
            Ok(gateway) => {
                let mut checker = Checker::new(self.world, image)?;
                let account = Account::of(known.clone());
                verdict.add(self.runtime.block_on(checker.check(&account, DEPTH, self.dice)));
                gateway.kill()?;
                parts::check(&image.join("data"), known, &mut verdict);
            }
            Err(error) => verdict.wrong(format!("the gateway does not start after a power cut: {error}")),
        }
        Ok(verdict)
    }

    /// Keeps what it was before a gateway touches it, should it be looked into.
    fn keep(&self, image: &Path) -> Outcome {
        let untouched = self.world.folder().join("image");
        remove(&untouched)?;
        for part in folders(image) {
            let name = part.file_name().unwrap_or_default().to_os_string();
            copy_folder(&part, &untouched.join(name))?;
        }
        Ok(())
    }
}
