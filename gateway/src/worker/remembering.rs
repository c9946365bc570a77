//! Keeps what is remembered outside the data folder close behind the audit log, so that a data folder from before is refused at the
//! next start (security.md 6.4): within [`INTERVAL`] after the log has grown, and with all that is in it at a clean stop.
//!
//! What it may lag behind is what a machine that is killed can lose: an older folder is then told from the newest one only by what
//! is older than the interval. It reads and remembers; it never writes to the log.

use std::sync::Arc;
use std::time::Duration;

use super::shredder::Position;
use crate::domain::Effects;
use crate::store::StoreError;
use crate::store::ledger::{Ledger, transact};

/// Time between two notes: under load there is one durable write in it, and none when the log has not grown.
const INTERVAL: Duration = Duration::from_secs(2);

/// Has the head of the audit log remembered.
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Remembering {
    /// The log.
    pub ledger: Arc<dyn Ledger>,
    /// The signer's memory, which remembers only what is durable.
    pub position: Arc<dyn Position>,
}

impl Remembering {
    /// Notes at once, for what a start found, and once an interval, for as long as the gateway runs. A failure is logged when it
    /// begins, and tried again.
    pub async fn run(&self) {
        let mut is_failing = false;
        loop {
            let noted = self.position.note().await;
            match &noted {
                Err(error) if !is_failing => tracing::error!(
                    ?error,
                    "the head of the audit log could not be remembered; it will be tried again"
                ),
                Ok(()) if is_failing => tracing::info!("the head of the audit log is remembered again"),
                Ok(()) | Err(_) => {}
            }
            is_failing = noted.is_err();
            tokio::time::sleep(INTERVAL).await;
        }
    }

    /// The last note, when nothing asks any more. A record that is being written yet is waited for: whoever asked for it may be
    /// gone, but it will be there at the next start.
    pub async fn at_end(&self) {
        if let Err(error) = self.note_all().await {
            tracing::error!(
                ?error,
                "the head of the audit log could not be remembered at the end: an older copy of the data folder may go unnoticed"
            );
        }
    }

    async fn note_all(&self) -> Result<(), StoreError> {
        // An empty decision is answered in its turn.
        let turn = transact(self.ledger.as_ref(), Vec::new(), |_, _| ((), Effects::none())).await;
        // A full disk refuses it. What is there can be remembered all the same.
        self.position.note().await.and(turn.map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Mutex, PoisonError};

    use async_trait::async_trait;

    use super::*;
    use crate::domain::Key;
    use crate::store::ledger::{Committed, Decide};

    /// A ledger and a memory that write down when they are used, and fail while they are told to.
    #[derive(Default)]
    struct Diary {
        lines: Mutex<Vec<&'static str>>,
        is_failing: Mutex<bool>,
    }

    impl Diary {
        fn note(&self, line: &'static str) -> Result<(), StoreError> {
            self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            if *self.is_failing.lock().unwrap() {
                return Err(StoreError::Unavailable(io::ErrorKind::StorageFull.into()));
            }
            Ok(())
        }

        fn lines(&self) -> Vec<&'static str> {
            self.lines.lock().unwrap().clone()
        }
    }

    #[async_trait]
    impl Position for Diary {
        async fn note(&self) -> Result<(), StoreError> {
            Self::note(self, "noted")
        }
    }

    #[async_trait]
    impl Ledger for Diary {
        async fn commit(&self, _: Vec<Key>, _: Decide) -> Result<Committed, StoreError> {
            Self::note(self, "answered")?;
            Err(StoreError::Unavailable(io::ErrorKind::Other.into()))
        }
        async fn audit_leaves(&self, _: u64, _: usize) -> Result<Vec<String>, StoreError> {
            Err(StoreError::NotFound)
        }
        async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
            Err(StoreError::NotFound)
        }
    }

    fn remembering() -> (Arc<Diary>, Remembering) {
        let diary = Arc::<Diary>::default();
        let remembering = Remembering {
            ledger: diary.clone(),
            position: diary.clone(),
        };
        (diary, remembering)
    }

    async fn run_for(remembering: &Remembering, time: Duration) {
        drop(tokio::time::timeout(time, remembering.run()).await);
    }

    #[tokio::test(start_paused = true)]
    async fn there_is_one_note_in_an_interval_and_one_at_once() {
        let (diary, remembering) = remembering();
        run_for(&remembering, INTERVAL * 10 + INTERVAL / 2).await;
        assert_eq!(diary.lines(), ["noted"; 11]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_failed_is_tried_again_and_not_more_often() {
        let (diary, remembering) = remembering();
        *diary.is_failing.lock().unwrap() = true;
        run_for(&remembering, INTERVAL * 3 + INTERVAL / 2).await;
        assert_eq!(diary.lines(), ["noted"; 4]);
    }

    #[tokio::test]
    async fn the_last_note_waits_for_what_is_being_written() {
        let (diary, remembering) = remembering();
        remembering.at_end().await;
        assert_eq!(
            diary.lines(),
            ["answered", "noted"],
            "and is made although there was no room"
        );
    }
}
