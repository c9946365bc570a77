//! RULES, pure and synchronous: the aggregates (transfer, invite, organisation), and decide and apply for each command.
//!
//! No I/O, no clock: time comes with the [`Stamp`]. A decision reads the aggregates it named and returns changes and leaves;
//! applying a change cannot fail, because what can go wrong was refused before it was written.

mod change;
mod decision;
pub mod enrolment;
#[cfg(test)]
pub(crate) mod fixture;
pub mod holding;
mod invite;
pub mod link;
pub mod opening;
mod organisation;
pub mod redeeming;
pub mod request;
pub mod restoring;
pub mod revoking;
mod sealed;
pub mod sealing;
pub mod shredding;
mod state;
pub mod statements;
#[cfg(test)]
mod tests;
mod transfer;
pub mod uploading;

pub use change::{Change, LeafDraft};
pub use decision::{Decision, Effects, Refusal, Requester, Stamp, object};
pub use invite::Invite;
pub use link::{Link, LinkTerms};
pub use organisation::{AuditPlace, LoggedStatement, Organisation};
pub use request::{KeyedRequest, RequestNote};
pub use sealed::{EnvelopeSizes, Progress, Recipient, Sealed};
pub(crate) use state::Aggregate;
pub use state::{Key, Loaded, State, Unfit};
pub use transfer::{CIPHERTEXT_GRACE, KEY_REPLACEMENT, Opener, Opening, ShredCause, Shredded, StoredPart, Transfer};
