//! Time and randomness as parameters, so that expiry and keys can be tested.
//!
//! This file alone asks the operating system; everything else takes an [`Env`].

use std::convert::Infallible;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand_core::{TryCryptoRng, TryRng};

/// Tells the time.
pub trait Clock: Debug + Send + Sync {
    /// Unix seconds.
    fn now(&self) -> u64;
}

/// Draws bytes that nobody can guess.
pub trait Random: Debug + Send + Sync {
    /// Fills `bytes`.
    fn fill(&self, bytes: &mut [u8]);
}

/// The clock of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place where the time comes from the system; all others take a Clock"
    )]
    fn now(&self) -> u64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default()
            .as_secs()
    }
}

/// The random generator of the operating system. A system without one cannot go on, so it ends the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        use rand_core::Rng as _;
        rand_core::UnwrapErr(getrandom::SysRng).fill_bytes(bytes);
    }
}

/// Where time and randomness come from.
#[derive(Debug, Clone)]
pub struct Env {
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Env {
    /// Time and randomness of these sources.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { clock, random }
    }

    /// Time and randomness of the operating system.
    #[must_use]
    pub fn system() -> Self {
        Self::new(Arc::new(SystemClock), Arc::new(SystemRandom))
    }

    /// Unix seconds.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.clock.now()
    }

    /// `N` random bytes.
    #[must_use]
    pub fn draw<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A generator for the functions that draw for themselves.
    #[must_use]
    pub fn rng(&self) -> EnvRng {
        EnvRng(Arc::clone(&self.random))
    }
}

/// [`Random`] as the generator that cryptographic functions take.
#[derive(Debug, Clone)]
pub struct EnvRng(Arc<dyn Random>);

impl EnvRng {
    fn array<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        self.0.fill(&mut bytes);
        bytes
    }
}

impl TryRng for EnvRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        Ok(u32::from_le_bytes(self.array()))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        Ok(u64::from_le_bytes(self.array()))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Infallible> {
        self.0.fill(bytes);
        Ok(())
    }
}

impl TryCryptoRng for EnvRng {}
