//! Randomness as a parameter, so that a test can say what is drawn.
//!
//! Keys, nonces and ids of the gateway all come through [`Random`]; nothing falls back to a weaker source when it fails.

use std::fmt::Debug;
use std::io;

/// Draws random bytes.
pub trait Random: Debug + Send + Sync {
    /// Fills `bytes` with bytes that nobody can guess.
    ///
    /// # Errors
    /// When the source fails; then `bytes` must not be used.
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()>;
}

/// The random generator of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> io::Result<()> {
        getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
    }
}
