//! The sealed-transfer format against its known answers, its negative cases by number, its properties, and the standards below.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking and may say what it saw; clippy.toml's leave does not reach helper functions"
)]

mod cases;
mod containers;
mod flips;
mod grants_and_links;
mod more;
mod negatives;
mod opening;
mod properties;
mod resuming;
mod sealing;
mod standards;
mod support;
