//! Ledger, views, shares and vouched heads of a gateway on one machine (ADAPTERS of [`crate::store`]'s ports).
//!
//! Life of a commit: a caller reads what its decision names and queues it -> the one committer thread takes all that is queued ->
//! each decision runs on the state as the ones before it left it -> one frame in the `journal` holds all their records -> one
//! fdatasync (the commit point) -> the overlay shows the effects -> callers get their answers -> later the drain writes the overlay
//! to sled, and a worker the closed files of the journal to a snapshot. A reader never sees what is not durable yet.
//!
//! In the data folder: `journal/` (this is the truth), `snapshots/` and `views/` (made from it, and made again when they are
//! missing), `shares/` (never part of a backup). Outside it, in the ring's folder: the day keys and the heads that were vouched
//! for.

mod ahead;
mod book;
mod committer;
mod drain;
mod heads;
mod journal;
mod leaves;
mod ledger;
mod questions;
mod record;
mod salvage;
mod shares;
mod snapshot;
mod stamps;
mod start;
mod verification;
mod views;

pub use heads::EmbeddedHeads;
pub use ledger::EmbeddedLedger;
pub use salvage::{Counts, Damage, Remains, check_in_place, put_in_place};
pub use shares::EmbeddedShares;
pub use verification::VerificationState;
