//! Ledger, views, shares and vouched heads of a gateway on one machine (ADAPTERS of [`crate::store`]'s ports).
//!
//! Life of a commit: a caller queues its decision -> the one committer thread takes all that is queued -> each decision runs
//! on the state as the ones before it left it -> one frame in the `journal` holds all their records -> one fdatasync (the
//! commit point) -> views show the effects -> callers get their answers. A reader never sees what is not durable yet: for
//! aggregates in flight it gets what they were before.
//!
//! In the data folder: `journal/` (this is the truth), `shares/` (never part of a backup). Outside it, in
//! the ring's folder: the day keys and the heads that were vouched for.

mod book;
mod committer;
mod heads;
mod journal;
mod leaf_log;
mod ledger;
mod record;
mod shares;
mod views;

pub use heads::EmbeddedHeads;
pub use ledger::EmbeddedLedger;
pub use shares::EmbeddedShares;
