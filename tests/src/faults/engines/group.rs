//! sled and redb, with a thread before them that commits in groups.

use std::path::Path;
use std::thread::JoinHandle;

use async_trait::async_trait;
use redb::{Database, ReadableDatabase as _, TableDefinition};
use tokio::sync::{mpsc, oneshot};

use super::{Engine, is_record, record};
use crate::faults::{Outcome, failed};

/// Most records of a group, as in the ledger.
const GROUP: usize = 256;
const QUEUE: usize = 1024;

/// Stores a group of keys with their records, durably.
pub(super) trait Store: Send + Sync + 'static {
    fn commit(&self, keys: &[u64]) -> Outcome;
    fn get(&self, key: u64) -> Outcome<Option<Vec<u8>>>;
}

type Job = (u64, oneshot::Sender<Outcome>);

/// A store behind a thread that takes what is queued.
pub(super) struct Grouped<S> {
    store: std::sync::Arc<S>,
    queue: Option<mpsc::Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl<S: Store> Grouped<S> {
    pub(super) fn of(store: S) -> Outcome<Self> {
        let store = std::sync::Arc::new(store);
        let (queue, mut jobs) = mpsc::channel::<Job>(QUEUE);
        let committing = std::sync::Arc::clone(&store);
        let thread = std::thread::Builder::new().name("committer".to_owned()).spawn(move || {
            let mut group = Vec::with_capacity(GROUP);
            while jobs.blocking_recv_many(&mut group, GROUP) > 0 {
                let keys: Vec<u64> = group.iter().map(|(key, _)| *key).collect();
                let outcome = committing.commit(&keys);
                for (_, reply) in group.drain(..) {
                    // Whoever asked may have gone.
                    let _ = reply.send(outcome.clone());
                }
            }
        });
        Ok(Self {
            store,
            queue: Some(queue),
            thread: Some(thread.map_err(failed("a thread"))?),
        })
    }
}

impl<S> Drop for Grouped<S> {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // If it panicked it has said so.
            let _ = thread.join();
        }
    }
}

#[async_trait]
impl<S: Store> Engine for Grouped<S> {
    async fn append(&self, key: u64) -> Outcome {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().ok_or("the queue is closed")?;
        queue.send((key, reply)).await.map_err(failed("the queue"))?;
        answer.await.map_err(failed("the committer"))?
    }

    async fn check(&self, key: u64) -> Outcome<bool> {
        is_record(key, self.store.get(key)?.as_deref())
    }
}

/// sled alone: records in one tree, what leads to them in another.
pub(super) struct Sled {
    db: sled::Db,
    records: sled::Tree,
    keys: sled::Tree,
}

impl Sled {
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let config = sled::Config::new().path(folder.join("sled")).flush_every_ms(None);
        let db = config.open().map_err(failed("sled"))?;
        Ok(Self {
            records: db.open_tree("records").map_err(failed("sled"))?,
            keys: db.open_tree("keys").map_err(failed("sled"))?,
            db,
        })
    }
}

impl Store for Sled {
    fn commit(&self, keys: &[u64]) -> Outcome {
        for key in keys {
            let name = key.to_be_bytes();
            self.records.insert(name, record(*key)).map_err(failed("sled"))?;
            self.keys.insert(name, &name).map_err(failed("sled"))?;
        }
        self.db.flush().map_err(failed("sled")).map(drop)
    }

    fn get(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        let Some(place) = self.keys.get(key.to_be_bytes()).map_err(failed("sled"))? else {
            return Ok(None);
        };
        let record = self.records.get(place).map_err(failed("sled"))?;
        record
            .map(|record| Some(record.to_vec()))
            .ok_or_else(|| format!("key {key} leads to nothing"))
    }
}

const RECORDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("records");
const KEYS: TableDefinition<'_, u64, u64> = TableDefinition::new("keys");

/// redb: both tables in one transaction.
pub(super) struct Redb(Database);

impl Redb {
    pub(super) fn open(folder: &Path) -> Outcome<Self> {
        let db = Database::create(folder.join("redb")).map_err(failed("redb"))?;
        let redb = Self(db);
        redb.commit(&[])?;
        Ok(redb)
    }
}

impl Store for Redb {
    fn commit(&self, keys: &[u64]) -> Outcome {
        let transaction = self.0.begin_write().map_err(failed("redb"))?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(failed("redb"))?;
            let mut places = transaction.open_table(KEYS).map_err(failed("redb"))?;
            for key in keys {
                records.insert(key, record(*key).as_slice()).map_err(failed("redb"))?;
                places.insert(key, key).map_err(failed("redb"))?;
            }
        }
        // Immediate durability is the default.
        transaction.commit().map_err(failed("redb"))
    }

    fn get(&self, key: u64) -> Outcome<Option<Vec<u8>>> {
        let transaction = self.0.begin_read().map_err(failed("redb"))?;
        let places = transaction.open_table(KEYS).map_err(failed("redb"))?;
        let Some(place) = places.get(key).map_err(failed("redb"))? else {
            return Ok(None);
        };
        let records = transaction.open_table(RECORDS).map_err(failed("redb"))?;
        let record = records.get(place.value()).map_err(failed("redb"))?;
        record
            .map(|record| Some(record.value().to_vec()))
            .ok_or_else(|| format!("key {key} leads to nothing"))
    }
}
