//! A ledger whose answers about the directory say more than *durable*: the directory's head is remembered outside the data folder
//! before anybody hears that a statement was taken.
//!
//! So whoever goes on after a loss knows exactly how many statements there were and which (security.md 6.4), and no revocation that
//! was acknowledged is ever undone by a restored folder. Statements are rare; other commits cost one comparison.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;

use super::Logs;
use crate::domain::Key;
use crate::store::StoreError;
use crate::store::ledger::{Committed, Decide, Ledger};
use crate::store::views::Views;

/// A ledger that notes the head of the directory log.
pub struct NotedLedger {
    ledger: Arc<dyn Ledger>,
    views: Arc<dyn Views>,
    logs: Arc<Logs>,
    /// Size of the directory log that was noted last.
    noted: AtomicU64,
}

impl NotedLedger {
    /// Notes for `ledger`, whose state `views` shows, with the signer of `logs`.
    #[must_use]
    pub fn new(ledger: Arc<dyn Ledger>, views: Arc<dyn Views>, logs: Arc<Logs>) -> Self {
        Self {
            ledger,
            views,
            logs,
            noted: AtomicU64::new(0),
        }
    }

    async fn note(&self) -> Result<(), StoreError> {
        let size = self.views.organisation().await?.size();
        if size > self.noted.load(Ordering::Acquire) {
            self.logs.note_directory().await?;
            self.noted.fetch_max(size, Ordering::AcqRel);
        }
        Ok(())
    }
}

#[async_trait]
impl Ledger for NotedLedger {
    async fn commit(&self, keys: Vec<Key>, decide: Decide) -> Result<Committed, StoreError> {
        let is_about_directory = keys.contains(&Key::Organisation);
        let committed = self.ledger.commit(keys, decide).await?;
        if is_about_directory {
            // If it fails, nobody hears of the commit; a repetition finds the statements taken and notes them.
            self.note().await?;
        }
        Ok(committed)
    }

    async fn audit_leaves(&self, from: u64, limit: usize) -> Result<Vec<String>, StoreError> {
        self.ledger.audit_leaves(from, limit).await
    }

    async fn audit_head(&self) -> Result<(u64, [u8; 32]), StoreError> {
        self.ledger.audit_head().await
    }
}

impl Debug for NotedLedger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NotedLedger(..)")
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use sealpost_proto::crypto::SigningKey;
    use sealpost_proto::log::{Leaf, Restart};
    use sealpost_proto::tree::Tree;

    use super::super::SignerError;
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::fixture::Clinic;
    use crate::domain::{Change, Effects, restoring};
    use crate::random::SystemRandom;
    use crate::store::embedded::{EmbeddedHeads, EmbeddedLedger};
    use crate::store::folder::PrivateFolder;
    use crate::store::ledger::heads::VouchedHeads;

    struct House {
        heads: Arc<EmbeddedHeads>,
        ledger: Arc<EmbeddedLedger>,
    }

    impl House {
        fn open(root: &Path) -> Self {
            let data = PrivateFolder::open(&root.join("data")).unwrap();
            let ring = PrivateFolder::open(&root.join("ring")).unwrap();
            let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
            Self {
                heads: Arc::new(EmbeddedHeads::open(&ring).unwrap()),
                ledger: Arc::new(EmbeddedLedger::open(&data, "1", clock, random).unwrap()),
            }
        }

        async fn logs(&self) -> Result<Logs, SignerError> {
            let key = SigningKey::from_seed(&[3; 32]);
            let gateway = "gw".parse().unwrap();
            Logs::open(
                self.heads.clone(),
                &gateway,
                key,
                self.ledger.clone(),
                self.ledger.clone(),
            )
            .await
        }
    }

    async fn commit(ledger: &dyn Ledger, effects: Effects) {
        let decide = Box::new(move |_: &_, _| effects.clone());
        ledger.commit(vec![Key::Organisation], decide).await.unwrap();
    }

    /// The founding of the clinic, as its state has it.
    fn founding() -> Effects {
        let clinic = Clinic::new();
        let loaded = clinic.state.load(&[Key::Organisation]);
        let organisation = loaded.organisation().unwrap();
        let org = organisation.directory.as_ref().unwrap().org();
        let owner = organisation.owner.unwrap();
        let statements = organisation.statements.iter();
        let statements = statements.map(|s| Change::StatementTaken { text: s.text.clone() });
        let founded = std::iter::once(Change::OrganisationFounded { org, owner });
        Effects {
            changes: founded.chain(statements).collect(),
            leaves: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_statement_is_remembered_before_anybody_hears_that_it_was_taken() {
        let root = tempfile::tempdir().unwrap();
        let house = House::open(root.path());
        let logs = Arc::new(house.logs().await.unwrap());
        let noted = NotedLedger::new(house.ledger.clone(), house.ledger.clone(), logs);
        commit(&noted, founding()).await;
        let organisation = house.ledger.organisation().await.unwrap();
        let last = house.heads.last("gw/directory").await.unwrap().unwrap();
        assert!(last.size > 0);
        assert_eq!((last.size, last.root), (organisation.size(), organisation.head()));
    }

    #[tokio::test]
    async fn a_successor_is_signed_as_such_and_what_was_before_it_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let gateway = "gw".parse().unwrap();
        let house = House::open(root.path());
        let log = restoring::itself(&gateway).did(
            sealpost_proto::log::EventType::AuditRead,
            crate::domain::object::log("gw/audit"),
            None,
        );
        let reading = Effects {
            changes: Vec::new(),
            leaves: vec![log],
        };
        commit(house.ledger.as_ref(), reading.clone()).await;
        let first = house.logs().await.unwrap().audit_checkpoint().await.unwrap();
        assert!(first.starts_with("gw/audit\n1\n"), "{first}");
        let restart = Restart {
            log: 2,
            checkpoint: first,
            kept: 1,
            first: 2,
            records: None,
        };
        commit(house.ledger.as_ref(), restoring::accept_loss(&restart, 1, &gateway)).await;
        commit(house.ledger.as_ref(), reading).await;
        let second = house.logs().await.unwrap().audit_checkpoint().await.unwrap();
        assert!(second.starts_with("gw/audit.2\n2\n"), "{second}");
        let lines = house.ledger.audit_leaves(1, 10).await.unwrap();
        let entries: Vec<Leaf> = lines.iter().map(|line| line.parse().unwrap()).collect();
        assert_eq!(Restart::read(&entries[0], &gateway, 2), Some(restart));
        assert!(
            entries.iter().all(|leaf| leaf.prev_obj.is_none()),
            "no chain leads out of the log"
        );

        let mut later = Tree::new();
        later.push([1; 32]);
        house.heads.advance("gw/audit.3", &later).await.unwrap();
        let refused = house.logs().await.unwrap_err();
        assert!(matches!(refused, SignerError::Ended { .. }), "N117: {refused}");
        assert!(refused.to_string().contains("journal repair"));
    }
}
