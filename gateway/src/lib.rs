//! The Sealpost gateway: stores what it cannot read, releases one half of a key only after the release is written down.
//!
//! It holds ciphertext and routing metadata only. Nothing here, and nothing this crate links, can open a transfer.

pub mod access;
pub mod app;
pub mod audit;
pub mod clock;
pub mod config;
pub mod domain;
mod failpoint;
pub mod http;
pub mod identity;
pub mod logging;
pub mod random;
pub mod service;
pub mod store;
pub mod tls;
pub mod worker;
