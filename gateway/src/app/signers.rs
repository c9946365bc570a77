//! Both logs, as the rooms that need them see them.

use std::sync::Arc;

use async_trait::async_trait;

use super::{RunError, damaged};
use crate::audit::Logs;
use crate::service::{Checkpoints, Identity};
use crate::store::StoreError;
use crate::store::embedded::{EmbeddedHeads, EmbeddedLedger};
use crate::store::folder::PrivateFolder;
use crate::worker::Position;

/// Both logs, as the rooms that need them see them.
pub(super) struct Signers(Arc<Logs>);

impl Signers {
    pub(super) async fn open(
        identity: &Identity,
        ledger: &Arc<EmbeddedLedger>,
        ring: &PrivateFolder,
    ) -> Result<Self, RunError> {
        let heads = EmbeddedHeads::open(ring).map_err(damaged(RunError::DamagedMemory))?;
        let heads = Arc::new(heads);
        let key = identity.log_key.clone();
        let logs = Logs::open(heads, &identity.gateway, key, ledger.clone(), ledger.clone());
        Ok(Self(Arc::new(logs.await?)))
    }

    /// The signer of both logs.
    pub(super) fn logs(&self) -> Arc<Logs> {
        Arc::clone(&self.0)
    }
}

#[async_trait]
impl Checkpoints for Signers {
    async fn directory(&self) -> Result<String, StoreError> {
        Ok(self.0.directory_checkpoint().await?)
    }

    async fn audit(&self) -> Result<String, StoreError> {
        Ok(self.0.audit_checkpoint().await?)
    }
}

#[async_trait]
impl Position for Signers {
    async fn note(&self) -> Result<(), StoreError> {
        Ok(self.0.note_audit().await?)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use sealpost_proto::log::EventType;

    use super::*;
    use crate::audit::SignerError;
    use crate::clock::fixture::TestClock;
    use crate::domain::{Effects, Key, object, restoring};
    use crate::identity::identity;
    use crate::random::SystemRandom;
    use crate::store::ledger::{Ledger as _, transact};
    use crate::worker::Remembering;

    const NOW: u64 = 1_700_000_000_000;

    /// A gateway's log and its signer, on real stores.
    struct House {
        ring: PrivateFolder,
        ledger: Arc<EmbeddedLedger>,
        signers: Arc<Signers>,
        clock: Arc<TestClock>,
    }

    impl House {
        async fn open(root: &Path) -> Result<Self, RunError> {
            let data = PrivateFolder::open(&root.join("data")).unwrap();
            let ring = PrivateFolder::open(&root.join("ring")).unwrap();
            let (clock, random) = (Arc::new(TestClock::new(NOW)), Arc::new(SystemRandom));
            let identity = identity(&data.subfolder("keys").unwrap(), random.as_ref()).unwrap();
            let ledger = EmbeddedLedger::open(&data, "1", clock.clone(), random).unwrap();
            let ledger = Arc::new(ledger);
            let signers = Arc::new(Signers::open(&identity, &ledger, &ring).await?);
            Ok(Self {
                ring,
                ledger,
                signers,
                clock,
            })
        }

        fn remembering(&self) -> Remembering {
            Remembering {
                ledger: self.ledger.clone(),
                position: self.signers.clone(),
            }
        }

        /// Somebody does something that the log shows.
        async fn grow(&self) {
            self.clock.pass(1);
            let leaf =
                restoring::itself(&"gw".parse().unwrap()).did(EventType::AuditRead, object::log("gw/audit"), None);
            let effects = Effects {
                changes: Vec::new(),
                leaves: vec![leaf],
            };
            let read = move |_: &_, _| ((), effects.clone());
            transact(self.ledger.as_ref(), vec![Key::Organisation], read)
                .await
                .unwrap();
        }

        /// Entries of the audit log that are remembered on the disk.
        fn remembered(&self) -> u64 {
            let heads = EmbeddedHeads::open(&self.ring).unwrap();
            let audit = heads.all().into_iter().find(|head| head.origin.ends_with("/audit"));
            audit.map_or(0, |head| head.size)
        }

        /// Changes when the memory is written.
        fn written(&self) -> u64 {
            fs::metadata(self.ring.path().join("signer")).unwrap().ino()
        }
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir(to).unwrap();
        for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
            let to = to.join(entry.file_name());
            if entry.path().is_dir() {
                copy(&entry.path(), &to);
            } else {
                fs::copy(entry.path(), to).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn what_has_grown_is_remembered_and_what_has_not_writes_nothing() {
        let root = tempfile::tempdir().unwrap();
        let house = House::open(root.path()).await.unwrap();
        let remembering = house.remembering();
        let mut entries = 0;
        for grown in [1, 0, 300, 0, 0] {
            let before = (house.remembered(), house.written());
            assert_eq!(before.0, entries);
            for _ in 0..grown {
                house.grow().await;
            }
            assert_eq!(
                (house.remembered(), house.written()),
                before,
                "records alone write nothing here"
            );
            remembering.at_end().await;
            entries += grown;
            assert_eq!(house.remembered(), entries);
            assert_eq!(house.ledger.audit_head().await.unwrap().0, entries);
            // A file that is there keeps its number to itself.
            assert_eq!(house.written() != before.1, grown > 0);
        }
    }

    #[tokio::test]
    async fn a_folder_from_before_what_was_remembered_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let (data, before) = (root.path().join("data"), root.path().join("before"));
        let house = House::open(root.path()).await.unwrap();
        house.grow().await;
        house.remembering().at_end().await;
        drop(house);
        copy(&data, &before);
        let house = House::open(root.path()).await.unwrap();
        house.grow().await;
        house.remembering().at_end().await;
        drop(house);
        let newest = root.path().join("newest");
        fs::rename(&data, &newest).unwrap();
        copy(&before, &data);
        fs::set_permissions(&data, fs::metadata(&newest).unwrap().permissions()).unwrap();
        let refused = House::open(root.path()).await.err();
        assert!(
            matches!(
                refused,
                Some(RunError::Signer(SignerError::Behind {
                    found: 1,
                    remembered: 2,
                    ..
                }))
            ),
            "{refused:?}"
        );
        fs::remove_dir_all(&data).unwrap();
        fs::rename(&newest, &data).unwrap();
        House::open(root.path()).await.map(drop).unwrap();
    }
}
