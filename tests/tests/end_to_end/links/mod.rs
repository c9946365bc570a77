//! Links: somebody without an account opens what was sent, verified; nobody else learns anything.
//!
//! What stands elsewhere: interrupted commands in `interrupting`, a revoked transfer's link in `revoking`, a log at its most talkative
//! in `secrecy`.

mod ending;
mod guessing;
mod opening;
mod secrets;

/// Exit codes of docs/cli.md.
const USAGE: i32 = 2;
const OVER: i32 = 7;
const REFUSED: i32 = 8;
const WRONG_WORDS: i32 = 17;
