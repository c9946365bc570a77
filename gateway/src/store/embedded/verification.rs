//! The full verification: files of the journal that a start did not need are read and verified afterwards, in the background.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::journal::{self, FileHead};

/// How far the verification of the whole journal has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VerificationState {
    /// It is running; nothing bad was found yet.
    Running,
    /// All of the journal is what was written.
    Verified,
    /// A file is not what was written, or cannot be read: the operator has to act. It says which and why.
    Failed(String),
}

/// The job; its thread's and whoever asks share the state.
#[derive(Debug)]
pub(super) struct Verification {
    pub(super) files: Vec<FileHead>,
    /// Files from this number on were verified at the start.
    pub(super) verified_from: usize,
    pub(super) state: Arc<Mutex<VerificationState>>,
}

impl Verification {
    /// Reads and verifies; ends early when told to.
    pub(super) fn run(mut self, is_ending: &AtomicBool) {
        self.files.truncate(self.verified_from + 1);
        let verified = journal::verify(&self.files, 0, &mut |_| {
            if is_ending.load(Ordering::Relaxed) {
                Err("interrupted".to_owned())
            } else {
                Ok(())
            }
        });
        if is_ending.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = verified {
            return fail(&self.state, &error);
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if *state == VerificationState::Running {
            *state = VerificationState::Verified;
        }
    }
}

/// Tells that the journal is damaged, whoever found it. Only another start may find it whole.
pub(super) fn fail(state: &Mutex<VerificationState>, error: &dyn std::error::Error) {
    tracing::error!(%error, "the journal is not what was written");
    *state.lock().unwrap_or_else(PoisonError::into_inner) = VerificationState::Failed(error.to_string());
}
