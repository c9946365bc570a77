//! What an interruption left unfinished, in sealed local state, and going on with it (security.md 3.10).
//!
//! The state of sending and receiving is written by `send` and `receive` themselves; here stand its form, waiting for a gateway that
//! is away, and the list of what can be resumed.

pub(crate) mod begun;
mod journal;
pub(crate) mod patience;
