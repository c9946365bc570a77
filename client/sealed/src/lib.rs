//! Seals and opens transfers: the only place with content keys (`proto/spec/sealed-transfer.md`).
//!
//! Pure like `sealpost-proto`: no clock, no network, no source of randomness of its own; time and randomness are parameters.
//! The gateway does not link this crate, and nothing here writes a plaintext anywhere but into the caller's buffer.
//!
//! - Sending: [`Sealer`] seals segments in the caller's buffers, in any order and in parallel, then the manifest, then signs;
//!   after an interruption [`Sealer::resume`] takes over with what was kept, and [`resume_hash`] tells what need not go again.
//! - Receiving: [`sealpost_proto::sealed::Envelope::verify`], then [`unwrap_secret`], [`Opener::new`], [`Opener::payload`],
//!   [`PayloadOpener::open_segment`] in any order, and [`Unpacker`] in stream order. Each refusal is one
//!   [`sealpost_proto::sealed::Reason`].
//! - Forwarding: [`make_grant`].
#![deny(missing_docs)]

mod container;
mod encryption_key;
mod grant;
mod hpke;
mod link;
mod manifest;
mod opener;
mod provider;
mod schedule;
mod sealer;
mod segment;
mod stanza;
mod unpack;
mod xwing;

pub use container::{ContainerError, ContainerReader};
pub use encryption_key::{EncryptionKey, InvalidKey};
pub use grant::make_grant;
pub use hpke::{open_secret, seal_secret};
pub use link::{LinkKey, LinkKeys, normalise_words};
pub use manifest::{
    Disclosure, FileDraft, FileEntry, Manifest, ManifestDraft, ManifestError, NameProblem, Patient, check_name,
};
pub use opener::{OpenWith, Opener, PayloadOpener, unwrap_secret};
pub use provider::{CryptoFailure, FAST, PORTABLE, Provider};
pub use schedule::{TransferSecret, TransferSecrets};
pub use sealer::{Recipient, SealError, Sealer, TransferDraft};
pub use segment::{plaintext_mut, resume_hash};
pub use unpack::{FileDigests, FileHasher, UnpackError, Unpacker};
