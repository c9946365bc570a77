//! Background work, idempotent and restartable: what a step left undone, the next sweep does.
//!
//! The leaf comes first, then the destruction, then the record that it is done. So a gateway that stops in between goes on at
//! its next start, before it serves anything. Nothing here decides what is due: the rules do.

mod blobs;
mod clock;
mod garbage;
mod hold;
mod orphans;
mod remembering;
mod shredder;
mod status;
mod sweep;
#[cfg(test)]
mod tests;

pub use clock::{ClockState, ClockWatch};
pub use garbage::{Collected, Garbage};
pub use hold::Hold;
pub use remembering::Remembering;
pub use shredder::{Position, ShareShredder};
pub use status::SweepStatus;
pub use sweep::{Sweep, SweepError, SweepPorts};
