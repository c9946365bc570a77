//! How the gateway is, asked of its parts.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::Effects;
use crate::http::{ClockHealth, DiskHealth, HealthChecks, JournalHealth, LedgerHealth, Report, SweepHealth};
use crate::service::{DiskSpace, Watermarks};
use crate::store::embedded::{EmbeddedLedger, VerificationState};
use crate::store::ledger::{Ledger, transact};
use crate::worker::{ClockState, ClockWatch, SweepStatus};

/// Time in which the ledger has to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the ledger says of its journal.
pub(super) fn journal_of(ledger: Arc<EmbeddedLedger>) -> Box<dyn Fn() -> JournalHealth + Send + Sync> {
    Box::new(move || match ledger.verification() {
        VerificationState::Running => JournalHealth::Verifying,
        VerificationState::Verified => JournalHealth::Verified,
        VerificationState::Failed(_) => JournalHealth::Damaged,
    })
}

/// The parts that are asked.
pub(super) struct Health {
    pub(super) ledger: Arc<dyn Ledger>,
    pub(super) journal: Box<dyn Fn() -> JournalHealth + Send + Sync>,
    pub(super) disk: Arc<dyn DiskSpace>,
    pub(super) watermarks: Watermarks,
    pub(super) watch: Arc<ClockWatch>,
    /// There once the clock is synchronised.
    pub(super) sync_file: PathBuf,
    pub(super) sweep: Arc<SweepStatus>,
    pub(super) is_stopping: Arc<AtomicBool>,
}

#[async_trait]
impl HealthChecks for Health {
    async fn report(&self) -> Report {
        let stopping = self.is_stopping.load(Ordering::Relaxed);
        let ledger = self.ledger().await;
        let used = self.disk.used_percent().ok();
        Report {
            ready: !stopping && ledger == LedgerHealth::Writable,
            stopping,
            ledger,
            journal: (self.journal)(),
            disk: disk_health(used, self.watermarks),
            disk_used_percent: used,
            clock: self.clock(),
            sweep: if self.sweep.is_failing() {
                SweepHealth::Failing
            } else {
                SweepHealth::Ok
            },
            sweep_succeeded_at: self.sweep.last_success(),
        }
    }
}

impl Health {
    /// Asks the ledger to write nothing: it looks for room first and answers in its turn, as it would for a record.
    async fn ledger(&self) -> LedgerHealth {
        let nothing = transact(self.ledger.as_ref(), Vec::new(), |_, _| ((), Effects::none()));
        match tokio::time::timeout(PATIENCE, nothing).await {
            Ok(Ok(_)) => LedgerHealth::Writable,
            Ok(Err(error)) if error.is_full() => LedgerHealth::Full,
            Ok(Err(_)) | Err(_) => LedgerHealth::Stopped,
        }
    }

    fn clock(&self) -> ClockHealth {
        match self.watch.state() {
            ClockState::Stepped(_) => ClockHealth::Stepped,
            ClockState::Behind(_) => ClockHealth::Behind,
            ClockState::Trusted if !self.sync_file.exists() => ClockHealth::NotSynchronised,
            ClockState::Trusted => ClockHealth::Ok,
        }
    }
}

fn disk_health(used: Option<u8>, watermarks: Watermarks) -> DiskHealth {
    match used {
        None => DiskHealth::Unknown,
        Some(used) if used >= watermarks.parts => DiskHealth::RefusesParts,
        Some(used) if used >= watermarks.transfers => DiskHealth::RefusesTransfers,
        Some(_) => DiskHealth::Ok,
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Mutex;

    use serde_json::json;

    use super::*;
    use crate::clock::fixture::TestClock;
    use crate::domain::Key;
    use crate::store::StoreError;
    use crate::store::ledger::{Committed, Decide};

    struct Disk(io::Result<u8>);

    impl DiskSpace for Disk {
        fn used_percent(&self) -> io::Result<u8> {
            self.0.as_ref().copied().map_err(|error| error.kind().into())
        }
        fn used_percent_with(&self, _: u64) -> io::Result<u8> {
            self.used_percent()
        }
    }

    /// A ledger that fails in this way.
    struct Failing(Mutex<io::ErrorKind>);

    #[async_trait]
    impl Ledger for Failing {
        async fn commit(&self, _: Vec<Key>, _: Decide) -> Result<Committed, StoreError> {
            let kind = *self.0.lock().unwrap();
            Err(StoreError::Unavailable(kind.into()))
        }
        async fn audit_leaves(&self, _: u64, _: usize) -> Result<Vec<String>, StoreError> {
            Err(StoreError::NotFound)
        }
        async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
            Err(StoreError::NotFound)
        }
    }

    fn health(ledger: Arc<dyn Ledger>, disk: io::Result<u8>, sync_file: PathBuf) -> Health {
        Health {
            ledger,
            journal: Box::new(|| JournalHealth::Verified),
            disk: Arc::new(Disk(disk)),
            watermarks: Watermarks {
                transfers: 85,
                parts: 92,
            },
            watch: Arc::new(ClockWatch::new(Arc::new(TestClock::new(1_000_000)), 0)),
            sync_file,
            sweep: Arc::default(),
            is_stopping: Arc::default(),
        }
    }

    #[tokio::test]
    async fn a_gateway_that_cannot_write_is_not_ready_and_says_why() {
        let folder = tempfile::tempdir().unwrap();
        for (kind, expected) in [
            (io::ErrorKind::StorageFull, LedgerHealth::Full),
            (io::ErrorKind::QuotaExceeded, LedgerHealth::Full),
            (io::ErrorKind::Other, LedgerHealth::Stopped),
        ] {
            let ledger = Arc::new(Failing(Mutex::new(kind)));
            let report = health(ledger, Ok(10), folder.path().to_path_buf()).report().await;
            assert_eq!((report.ready, report.ledger), (false, expected));
        }
    }

    #[tokio::test]
    async fn what_only_needs_attention_leaves_it_ready() {
        let root = tempfile::tempdir().unwrap();
        let data = crate::store::folder::PrivateFolder::open(&root.path().join("data")).unwrap();
        let random = Arc::new(crate::random::SystemRandom);
        let ledger = EmbeddedLedger::open(&data, "1", Arc::new(TestClock::new(1_000_000)), random).unwrap();
        let ledger: Arc<dyn Ledger> = Arc::new(ledger);
        for (used, expected) in [
            (Ok(84), DiskHealth::Ok),
            (Ok(85), DiskHealth::RefusesTransfers),
            (Ok(92), DiskHealth::RefusesParts),
            (Err(io::ErrorKind::Other.into()), DiskHealth::Unknown),
        ] {
            let report = health(Arc::clone(&ledger), used, root.path().join("none"))
                .report()
                .await;
            assert_eq!((report.ready, report.disk), (true, expected));
            assert_eq!(report.clock, ClockHealth::NotSynchronised);
        }
        let well = health(ledger, Ok(1), root.path().to_path_buf());
        assert_eq!(well.report().await.clock, ClockHealth::Ok);
        well.is_stopping.store(true, Ordering::Relaxed);
        let stopping = well.report().await;
        assert!(stopping.stopping && !stopping.ready);
    }

    /// Fields and their values as the operator's manual has them: fields in order, and the words in each row behind its name.
    fn documented() -> Vec<(&'static str, Vec<&'static str>)> {
        let text = include_str!("../../../docs/OPERATIONS.md");
        let (_, table) = text.split_once("| field of `/readyz` | values |\n|---|---|\n").unwrap();
        let rows = table.lines().take_while(|line| line.starts_with('|'));
        rows.map(|row| {
            let mut words = row.split('`').skip(1).step_by(2);
            (words.next().unwrap(), words.collect())
        })
        .collect()
    }

    #[tokio::test]
    async fn the_manual_has_every_field_and_every_value() {
        let root = tempfile::tempdir().unwrap();
        let failing = Arc::new(Failing(Mutex::new(io::ErrorKind::Other)));
        let report = health(failing, Ok(1), root.path().to_path_buf()).report().await;
        let report = serde_json::to_value(report).unwrap();
        let documented = documented();
        let fields: Vec<&str> = documented.iter().map(|(field, _)| *field).collect();
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        let mut told: Vec<&str> = report.as_object().unwrap().keys().map(String::as_str).collect();
        told.sort_unstable();
        assert_eq!(sorted, told);
        let named = |name: &str, values: serde_json::Value| {
            let (_, words) = documented.iter().find(|(field, _)| *field == name).unwrap();
            for value in values.as_array().unwrap() {
                assert!(words.contains(&value.as_str().unwrap()), "{name}: {value}");
            }
        };
        named(
            "ledger",
            json!([LedgerHealth::Writable, LedgerHealth::Full, LedgerHealth::Stopped]),
        );
        let journal = [
            JournalHealth::Verifying,
            JournalHealth::Verified,
            JournalHealth::Damaged,
        ];
        named("journal", json!(journal));
        let disk = [
            DiskHealth::Ok,
            DiskHealth::RefusesTransfers,
            DiskHealth::RefusesParts,
            DiskHealth::Unknown,
        ];
        named("disk", json!(disk));
        let clock = [
            ClockHealth::Ok,
            ClockHealth::Stepped,
            ClockHealth::Behind,
            ClockHealth::NotSynchronised,
        ];
        named("clock", json!(clock));
        named("sweep", json!([SweepHealth::Ok, SweepHealth::Failing]));
    }
}
