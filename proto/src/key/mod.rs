//! Keys and what is said of them: signed statements, the directory they make, fingerprints people compare.
//!
//! Private keys are kept and used by clients; here are only their public halves and the checks on what they signed.

mod directory;
pub mod fingerprint;
pub mod note;
mod reading;
pub mod service;
mod statement;

pub use directory::{Directory, DirectoryError, Member, TrustedDevice};
pub use service::ServiceLimits;
pub use statement::{
    Body, EncryptionPublicKey, RevokedKey, SignedStatement, Statement, StatementError, StatementType, Validity,
};
