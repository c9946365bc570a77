//! The client of a Sealpost gateway, as a library: keys, signed requests, the verified directory, sending and receiving.
//!
//! Everything that sees a plaintext or a private key happens here or in `sealpost-sealed`, on the user's machine; the gateway is
//! trusted for neither. Time and randomness are parameters ([`env::Env`]); nothing here prints or asks: the command `sealpost`
//! does, in `src/bin/sealpost`.
#![deny(missing_docs)]

pub mod account;
pub mod admin;
pub mod api;
pub mod audit;
mod budget;
mod buffers;
pub mod directory;
pub mod enrolment;
pub mod env;
pub mod error;
pub mod feed;
pub mod founding;
pub mod get;
pub mod home;
pub mod inspect;
mod invite_box;
pub mod key_file;
pub mod link;
pub mod log;
pub mod names;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod rearm;
pub mod receive;
pub mod records;
pub mod resume;
pub mod send;
pub mod session;
pub mod status;
pub mod text;
pub mod time;
pub mod transfers;
pub mod verify;
pub mod wait;
pub mod words;

pub use env::Env;
pub use error::Error;
pub use home::Home;
pub use session::Session;

/// Program and version, as receipts carry them.
pub const CLIENT: &str = concat!("sealpost-cli/", env!("CARGO_PKG_VERSION"));
