//! A disk that fails: how it is told from a full one, and the word of it that ends the process (security.md 9.2).
//!
//! After a failed sync the kernel may have dropped what it could not write, and says *done* the next time. So nothing that this
//! process believes to be on the disk is known any more, and only a start that reads it all again may go on.

use std::error::Error;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;
use thiserror::Error;
use tokio::sync::watch;

/// A sync that failed, for whatever reason.
#[derive(Debug, Error)]
#[error("what was written could not be made durable: {0}")]
struct SyncFailed(#[source] io::Error);

/// For `map_err` of a sync: a failure that ends the process, also where the reason was a full disk.
pub(crate) fn of_sync(error: io::Error) -> io::Error {
    io::Error::new(error.kind(), SyncFailed(error))
}

/// A failure of the disk as it is told to another who waits for it.
#[derive(Debug, Error)]
#[error("{0}")]
struct Told(String);

/// The same failure once more, for everybody who waits for it: as text, and still one of the disk if it was.
pub(crate) fn again(error: &io::Error) -> io::Error {
    if is_of_disk(error) {
        return io::Error::new(error.kind(), Told(error.to_string()));
    }
    io::Error::new(error.kind(), error.to_string())
}

/// Whether an error of a change says that the disk has failed, and not that it is full or that something was not there.
fn is_of_disk(error: &io::Error) -> bool {
    const FAILED: [Errno; 4] = [Errno::IO, Errno::ROFS, Errno::NXIO, Errno::NODEV];
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(current) = cause {
        let system = current.downcast_ref::<io::Error>();
        let number = system.and_then(io::Error::raw_os_error);
        if current.is::<SyncFailed>()
            || current.is::<Told>()
            || FAILED.iter().any(|errno| number == Some(errno.raw_os_error()))
        {
            return true;
        }
        // What an error of this kind wraps is not its source.
        let wrapped = system.and_then(io::Error::get_ref);
        cause = wrapped.map_or_else(|| current.source(), |inner| Some(inner));
    }
    false
}

/// Whether a change was refused for want of room, and did nothing. A sync that failed for it is another matter.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) && !is_of_disk(error)
}

/// Notes the first failure of a disk. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Failure(Arc<watch::Sender<Option<String>>>);

impl Failure {
    /// Passes the outcome of a change on, and notes it if the disk has failed.
    pub(crate) fn watch<T>(&self, outcome: io::Result<T>) -> io::Result<T> {
        if let Err(error) = &outcome {
            self.note(error);
        }
        outcome
    }

    /// Notes an error of a change if the disk has failed.
    pub(crate) fn note(&self, error: &io::Error) {
        if is_of_disk(error) {
            self.end(error);
        }
    }

    /// Notes an error after which nothing can go on, whatever its kind.
    pub(crate) fn end(&self, error: &io::Error) {
        tracing::error!(%error, "a disk has failed");
        self.0.send_if_modified(|known| {
            let is_first = known.is_none();
            known.get_or_insert_with(|| error.to_string());
            is_first
        });
    }

    /// Waits for a failure, and says what it was.
    pub(crate) async fn failed(&self) -> String {
        let mut told = self.0.subscribe();
        // The sender is held by this very value, so it does not go away.
        let reason = told
            .wait_for(Option::is_some)
            .await
            .ok()
            .and_then(|reason| reason.clone());
        reason.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_disk_is_not_a_failed_one() {
        let failure = Failure::default();
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::NOENT, Errno::EXIST] {
            failure.note(&errno.into());
        }
        assert!(failure.0.borrow().is_none());
        assert!(is_full(&Errno::NOSPC.into()) && !is_full(&of_sync(Errno::NOSPC.into())));
        assert!(
            is_of_disk(&io::Error::other(io::Error::from(Errno::IO))),
            "however deep it lies"
        );
        let told = again(&again(&of_sync(Errno::NOSPC.into())));
        assert!(is_of_disk(&told) && told.to_string().contains("durable"));
        assert!(is_full(&again(&Errno::NOSPC.into())), "nor is a full one a failed one");
        let kept = failure.watch::<()>(Err(of_sync(Errno::NOSPC.into()))).unwrap_err();
        assert_eq!(
            kept.kind(),
            io::ErrorKind::StorageFull,
            "the caller is still told that it is full"
        );
        assert!(failure.clone().failed().await.contains("durable"));
        failure.note(&Errno::IO.into());
        assert!(failure.failed().await.contains("durable"), "the first one is told");
    }
}
