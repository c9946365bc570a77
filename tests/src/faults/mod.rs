//! The fault harness: what is acknowledged must survive `kill -9`, power cuts, full disks and failing ones.
//!
//! It drives the real gateway and the real client, keeps an account of its own of everything that was acknowledged
//! ([`acks`]), lets something happen, starts the gateway again and compares ([`check`]). No product code knows of it.
//!
//! * [`kill`]: SIGKILL to the gateway, or to the client, at a random moment.
//! * [`power`]: a power cut. The gateway's system calls on its folders are recorded ([`trace`]) and replayed into a model of
//!   a disk ([`disk`]), which is then cut at a random moment: what was synced is there, of everything else a random part.
//! * [`inject`]: ENOSPC and EIO from one system call after the other.
//!
//! It links the client as a library, so that thousands of rounds do not each open a key file; hence the feature `faults`.

pub mod acks;
pub mod asking;
pub mod check;
pub mod dice;
pub mod disk;
pub mod engines;
pub mod inject;
pub mod kill;
pub mod links;
pub mod openings;
pub mod parts;
pub mod power;
pub mod process;
pub mod strace;
pub mod trace;
pub mod workload;
pub mod world;

use std::fmt;

/// What a round found. All but `acknowledged` must be zero.
#[derive(Debug, Clone, Default)]
pub struct Verdict {
    /// Acknowledgements that were looked for.
    pub acknowledged: u64,
    /// Of these, what is not there any more.
    pub lost: u64,
    /// What happened more often than it may: openings beyond a limit, deliveries.
    pub doubled: u64,
    /// Everything else that must not be: a gateway that does not start, bytes that differ, a log that was rewritten.
    pub wrong: u64,
    /// A sentence for each fault.
    pub notes: Vec<String>,
}

impl Verdict {
    /// Whether nothing is lost, doubled or wrong.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.lost + self.doubled + self.wrong == 0
    }

    /// Counts an acknowledgement that was looked for, and whether it was found.
    pub fn acknowledged(&mut self, is_there: bool, note: impl FnOnce() -> String) {
        self.acknowledged += 1;
        if !is_there {
            self.lost(note());
        }
    }

    /// Something acknowledged is not there.
    pub fn lost(&mut self, note: impl Into<String>) {
        self.lost += 1;
        self.notes.push(format!("lost: {}", note.into()));
    }

    /// Something happened too often.
    pub fn doubled(&mut self, note: impl Into<String>) {
        self.doubled += 1;
        self.notes.push(format!("doubled: {}", note.into()));
    }

    /// Something must not be.
    pub fn wrong(&mut self, note: impl Into<String>) {
        self.wrong += 1;
        self.notes.push(format!("wrong: {}", note.into()));
    }

    /// Adds what another round found.
    pub fn add(&mut self, other: Self) {
        self.acknowledged += other.acknowledged;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.wrong += other.wrong;
        self.notes.extend(other.notes);
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            acknowledged,
            lost,
            doubled,
            wrong,
            notes,
        } = self;
        write!(
            f,
            "acknowledged {acknowledged}, lost {lost}, doubled {doubled}, wrong {wrong}"
        )?;
        notes.iter().try_for_each(|note| write!(f, "\n  {note}"))
    }
}

/// Outcome of a step of the harness itself. The sentence is for a person.
pub type Outcome<T = ()> = Result<T, String>;

/// For `map_err`: what was tried, and why it failed.
pub fn failed<E: fmt::Display>(what: impl fmt::Display) -> impl FnOnce(E) -> String {
    move |error| format!("{what}: {error}")
}
