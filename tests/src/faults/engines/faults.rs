//! Kills and power cuts for an engine alone: a process that appends and says what was acknowledged, its end, and another that
//! looks.
//!
//! The processes are this program again (`engine write`, `engine check`), so that a panic or an abort of an engine is a
//! refusal to open and nothing worse.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Kind;
use crate::faults::acks::Micros;
use crate::faults::dice::Dice;
use crate::faults::disk::{Disk, Survival};
use crate::faults::trace::{Event, Op, Trace};
use crate::faults::world::{copy_folder, remove};
use crate::faults::{Outcome, failed, strace};

/// Cuts of one recorded piece of work.
const CUTS: u64 = 25;

/// What `sync_file_range` is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// For nothing, as its manual says.
    Strict,
    /// For a sync, as sled relies on.
    Trusting,
}

/// What a number of rounds found.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// Records that were acknowledged.
    pub acknowledged: u64,
    /// Of these, what is not there.
    pub lost: u64,
    /// Of these, what is something else.
    pub wrong: u64,
    /// Rounds after which the engine did not open, or did not answer.
    pub refused: u64,
    /// What it said then.
    pub notes: Vec<String>,
}

/// What was acknowledged, and when.
type Acked = BTreeMap<u64, Micros>;

/// Kills a process that appends, `rounds` times.
///
/// # Errors
/// When the harness itself fails.
pub fn kills(kind: Kind, folder: &Path, rounds: u64, seed: u64) -> Outcome<Found> {
    let mut dice = Dice::new(seed);
    let mut found = Found::default();
    for _ in 0..rounds {
        let place = tempfile::tempdir_in(folder).map_err(failed("a folder"))?;
        let acked = append(kind, place.path(), Vec::new(), 100 + dice.below(400))?;
        check(kind, place.path(), &acked, &mut found)?;
    }
    Ok(found)
}

/// Cuts the power of a process that appends, `rounds` times.
///
/// # Errors
/// When the harness itself fails.
pub fn power_cuts(kind: Kind, folder: &Path, rounds: u64, seed: u64, means: Cut) -> Outcome<Found> {
    strace::require()?;
    let mut dice = Dice::new(seed);
    let mut found = Found::default();
    let mut done = 0;
    while done < rounds {
        let count = CUTS.min(rounds - done);
        done += count;
        let place = tempfile::tempdir_in(folder).map_err(failed("a folder"))?;
        let (work, before, log) = (
            place.path().join("work"),
            place.path().join("before"),
            place.path().join("trace"),
        );
        // Begun by an earlier process, as in the life of a gateway.
        std::fs::create_dir_all(&work).map_err(failed("a folder"))?;
        append(kind, &work, Vec::new(), 100)?;
        check(kind, &work, &Acked::new(), &mut Found::default())?;
        copy_folder(&work, &before)?;
        let acked = append(kind, &work, strace::record(&log), 200)?;
        let text = std::fs::read_to_string(&log).map_err(failed("a trace"))?;
        let mut trace = Trace::parse(&text)?;
        if means == Cut::Trusting {
            trace.trust_ranges();
        }
        let mut moments: Vec<usize> = (0..count).map(|_| moment(&trace, &mut dice)).collect();
        moments.sort_unstable();
        let mut next = moments.into_iter().peekable();
        let mut disk = Disk::seen_as(std::slice::from_ref(&work), &[before])?;
        for (index, event) in trace.events.iter().enumerate() {
            while next.next_if_eq(&index).is_some() {
                let image = place.path().join("image");
                remove(&image)?;
                disk.cut(std::slice::from_ref(&image), Survival::draw(&mut dice), &mut dice)?;
                let known = acked
                    .iter()
                    .filter(|(_, at)| **at < event.at)
                    .map(|(key, at)| (*key, *at));
                check(kind, &image, &known.collect(), &mut found)?;
            }
            disk.replay(&trace, index, event)?;
        }
    }
    Ok(found)
}

/// Mostly the moment after a change, before its sync.
fn moment(trace: &Trace, dice: &mut Dice) -> usize {
    let any = dice.index(trace.events.len());
    let is_write = |event: &Event| {
        trace
            .calls
            .get(event.call)
            .is_some_and(|call| matches!(call.op, Op::Write { .. }))
    };
    let later = trace.events.iter().enumerate().skip(any);
    let near = later
        .filter(|(_, event)| is_write(event))
        .map(|(index, _)| index + 1)
        .next();
    near.filter(|at| *at < trace.events.len()).unwrap_or(any)
}

/// Runs `engine write` until it is killed after some milliseconds, and returns what it said was acknowledged.
fn append(kind: Kind, folder: &Path, wrapper: Vec<OsString>, millis: u64) -> Outcome<Acked> {
    let words = [
        wrapper,
        vec![
            this()?.into_os_string(),
            "write".into(),
            kind.name().into(),
            folder.into(),
        ],
    ]
    .concat();
    let (program, arguments) = words.split_first().ok_or("no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed("engine write"))?;
    let stdout = child.stdout.take().ok_or("no output")?;
    let reader = std::thread::spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        let opened = lines.next();
        let acked = lines.filter_map(|line| {
            let (key, at) = line.split_once(' ')?;
            Some((key.parse().ok()?, at.parse().ok()?))
        });
        (opened, acked.collect::<Acked>())
    });
    std::thread::sleep(Duration::from_millis(millis));
    // It kills itself when this end of its input is closed, so that the tracer above it writes its last line.
    drop(child.stdin.take());
    child.wait().map_err(failed("engine write"))?;
    let (_, acked) = reader.join().map_err(|_| "the reader panicked")?;
    Ok(acked)
}

/// Runs `engine check` on what is left.
fn check(kind: Kind, folder: &Path, acked: &Acked, found: &mut Found) -> Outcome {
    let mut child = Command::new(this()?)
        .args(["check", kind.name()])
        .arg(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(failed("engine check"))?;
    if let Some(mut stdin) = child.stdin.take() {
        for key in acked.keys() {
            // A process that ends early closes it; then the answer is not whole.
            let _ = writeln!(stdin, "{key}");
        }
    }
    let output = child.wait_with_output().map_err(failed("engine check"))?;
    let answer = String::from_utf8_lossy(&output.stdout);
    let numbers: Vec<u64> = answer.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    found.acknowledged += acked.len() as u64;
    match numbers[..] {
        [there, lost, wrong] if output.status.success() && there + lost + wrong == acked.len() as u64 => {
            found.lost += lost;
            found.wrong += wrong;
        }
        _ => {
            found.refused += 1;
            let said = String::from_utf8_lossy(&output.stderr)
                .lines()
                .last()
                .unwrap_or_default()
                .to_owned();
            found.notes.push(format!("{} does not open: {said}", kind.name()));
        }
    }
    Ok(())
}

fn this() -> Outcome<PathBuf> {
    std::env::current_exe().map_err(failed("this program"))
}
