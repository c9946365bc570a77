//! Checkpoints of the audit log and the directory log: reads both through the store's ports, signs only what extends what was
//! signed before (security.md 6.2, 6.4). It decides nothing and changes no state.

mod logs;
mod noted;
mod signer;
mod source;

pub use logs::Logs;
pub use noted::NotedLedger;
pub use signer::{Signer, SignerError};
pub use source::{AuditLog, DirectoryLog, LogSource};
