//! The wire and the cryptography of Sealpost, pure: no tokio, no files, no clock, no network.
//!
//! What a client and a gateway must agree on to the byte lives here: ids, keys and their statements, the sealed transfer's
//! layout, receipts, both logs, the bodies of the API and the signatures on its requests. The specifications in `proto/spec/`
//! say the same in prose and are changed first. Nothing here takes or returns a content key or a plaintext; what does lives
//! in `sealpost-sealed`, which the gateway does not link.
#![deny(missing_docs)]

pub mod api;
pub mod crypto;
pub mod encoding;
pub mod enrolment;
pub mod http_signature;
pub mod id;
pub mod key;
mod lines;
pub mod link;
pub mod log;
pub mod problem;
pub mod receipt;
pub mod seal_request;
pub mod sealed;
pub mod tree;
