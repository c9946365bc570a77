//! Release shares as slots in a file per expiry day, wrapped under a ring of day keys (ADAPTER of [`crate::store::share`];
//! security.md 3.10).
//!
//! Life of a share: put -> wrapped under the newest key of its day -> written into a free slot and synced -> taken, any
//! number of times -> its slot zeroed in place and synced. The key of a day dies when the day has ended, or is replaced: a new
//! key is added, all rows are wrapped anew into free slots, the old rows are zeroed, and then the old key is overwritten.
//! Every step is synced before the next, both keys are valid in between, and a start finds and finishes what a crash left.
//!
//! Overwriting in place destroys bytes only on file systems that write in place (ext4, xfs), not on copy-on-write ones or in
//! copies of the whole machine; the operator's guide says so. Neither `shares/` nor the ring is ever part of a backup.

mod kept;
mod ring;
mod rows;
mod slots;
mod wrap;

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use self::kept::Kept;
use crate::random::Random;
use crate::store::StoreError;
use crate::store::embedded::journal::{FileIo, SystemIo};
use crate::store::folder::PrivateFolder;
use crate::store::ledger::Committed;
use crate::store::open::OpenError;
use crate::store::share::{Day, Share, ShareRef, ShareStore};

/// Release shares of a gateway on one machine.
#[derive(Debug)]
pub struct EmbeddedShares {
    kept: Arc<Mutex<Kept>>,
    /// The data folder and the ring's; they keep the locks.
    folders: [PrivateFolder; 2],
}

impl EmbeddedShares {
    /// Opens the shares in the data folder `data` with the ring in the folder `ring`, and finishes what a crash left undone.
    ///
    /// # Errors
    /// [`OpenError::RingInsideData`] if one folder lies in the other; [`OpenError`].
    pub fn open(data: &PrivateFolder, ring: &PrivateFolder, random: Arc<dyn Random>) -> Result<Self, OpenError> {
        Self::open_with(data, ring, random, Arc::new(SystemIo))
    }

    fn open_with(
        data: &PrivateFolder,
        ring: &PrivateFolder,
        random: Arc<dyn Random>,
        io: Arc<dyn FileIo>,
    ) -> Result<Self, OpenError> {
        if data.path().starts_with(ring.path()) || ring.path().starts_with(data.path()) {
            return Err(OpenError::RingInsideData {
                ring: ring.path().to_owned(),
                data: data.path().to_owned(),
            });
        }
        let kept = Kept::open(&data.subfolder("shares")?, ring.path(), random, io)?;
        Ok(Self {
            kept: Arc::new(Mutex::new(kept)),
            folders: [data.clone(), ring.clone()],
        })
    }

    /// Runs file work off the async threads, one at a time.
    async fn run<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Kept) -> Result<T, StoreError> + Send + 'static,
    {
        let kept = Arc::clone(&self.kept);
        let run = move || {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let done = kept.run(work);
            (done, kept.has_failed())
        };
        let ran = tokio::task::spawn_blocking(run).await;
        let (done, has_failed) = ran.map_err(|error| StoreError::Unavailable(io::Error::other(error)))?;
        if let (Err(StoreError::Unavailable(error)), true) = (&done, has_failed) {
            // Without its shares a gateway releases and destroys nothing: only a start can go on.
            let [data, _] = &self.folders;
            data.failure().end(error);
        }
        done
    }
}

#[async_trait]
impl ShareStore for EmbeddedShares {
    async fn put(&self, share: &ShareRef, value: &Share) -> Result<(), StoreError> {
        let (share, value) = (share.clone(), value.clone());
        self.run(move |kept| kept.put(&share, &value)).await
    }

    async fn take(&self, share: &ShareRef, witness: &Committed) -> Result<Share, StoreError> {
        if witness.leaves().is_empty() {
            let why = "a release share was asked for without a leaf that says so";
            return Err(StoreError::Unavailable(io::Error::other(why)));
        }
        let share = share.clone();
        self.run(move |kept| kept.get(&share)).await
    }

    async fn destroy(&self, share: &ShareRef) -> Result<(), StoreError> {
        let share = share.clone();
        self.run(move |kept| kept.destroy(&share)).await
    }

    async fn end_days_before(&self, day: Day, kept: &BTreeSet<Day>) -> Result<(), StoreError> {
        let except = kept.clone();
        self.run(move |kept| kept.end_days_before(day, &except)).await
    }

    async fn replace_key(&self, day: Day) -> Result<(), StoreError> {
        self.run(move |kept| kept.replace_key(day)).await
    }

    async fn unusable(&self) -> Result<Vec<ShareRef>, StoreError> {
        self.run(|kept| kept.unusable().map_err(StoreError::Unavailable)).await
    }

    async fn list(&self) -> Result<Vec<ShareRef>, StoreError> {
        self.run(|kept| Ok(kept.list())).await
    }
}

#[cfg(test)]
mod tests;
