//! What the gateway asks of its clock before it starts (security.md 9.5).

use super::RunError;
use crate::config;
use crate::domain::Effects;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, transact};

/// The stamp that the ledger gives now: the clock's, or its own last one, if that is later. One that cannot write now gives none.
pub(super) async fn last_stamp(ledger: &dyn Ledger) -> Result<u64, StoreError> {
    match transact(ledger, Vec::new(), |_, _| ((), Effects::none())).await {
        Ok(((), committed)) => Ok(committed.at().millis),
        Err(StoreError::Unavailable(error)) => {
            tracing::warn!(%error, "the journal cannot be written now, so the clock is not compared with it");
            Ok(0)
        }
        Err(error) => Err(error),
    }
}

/// Asks for the file that time services make; the kernel itself is not asked, because that call also sets the clock and is
/// therefore forbidden to a hardened service.
pub(super) fn check_synchronised(clock: &config::Clock) -> Result<(), RunError> {
    let file = clock.sync_file.display();
    if clock.sync_file.exists() {
        return Ok(());
    }
    if clock.require_sync {
        return Err(RunError::Clock(file.to_string()));
    }
    tracing::warn!(%file, "nothing says that the clock is synchronised: expiry and signatures hang on it");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_not_synchronised_is_refused_only_if_so_configured() {
        let folder = tempfile::tempdir().unwrap();
        let clock = |file: &str, require_sync| config::Clock {
            require_sync,
            sync_file: folder.path().join(file),
        };
        assert!(check_synchronised(&clock("none", false)).is_ok());
        let refused = check_synchronised(&clock("none", true)).unwrap_err();
        assert!(refused.to_string().contains("clock.sync_file"), "{refused}");
        assert!(check_synchronised(&clock("", true)).is_ok());
    }
}
