//! The one integration binary: what must hold of the house as a whole.
//!
//! One binary, because each one links the whole product. New tests go into a module below, by subject.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "helpers of tests fail the test; clippy.toml excuses only the test functions themselves"
)]

mod architecture;
mod end_to_end;
mod support;
