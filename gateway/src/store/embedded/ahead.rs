//! State ahead of the journal: what the records of the frame in the making have changed. The committer's, and the replay's.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use sealpost_proto::id::Hash;

use super::views::layer::Step;
use super::views::stored::Stored;
use crate::domain::{Change, Key, Organisation, Unfit};

/// What records in the making have changed.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    aggregates: HashMap<Key, Option<Stored>>,
    /// The organisation as the last record left it.
    organisation: Arc<Organisation>,
    /// Last leaves, by name.
    heads: HashMap<Vec<u8>, Hash>,
}

/// What a record did.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) steps: Vec<Step>,
    /// The organisation, if it was changed.
    pub(super) organisation: Option<Arc<Organisation>>,
}

impl Ahead {
    /// Nothing ahead of an organisation as it is.
    pub(super) fn of(organisation: Arc<Organisation>) -> Self {
        Self {
            organisation,
            ..Self::default()
        }
    }

    pub(super) fn organisation(&self) -> &Arc<Organisation> {
        &self.organisation
    }

    pub(super) fn aggregate(&self, key: &Key) -> Option<Option<Stored>> {
        self.aggregates.get(key).cloned()
    }

    pub(super) fn head(&self, name: &[u8]) -> Option<Hash> {
        self.heads.get(name).copied()
    }

    pub(super) fn set_head(&mut self, name: Vec<u8>, hash: Hash) {
        self.heads.insert(name, hash);
    }

    /// Applies the changes of record `seq`; `load` gives an aggregate that is not ahead.
    pub(super) fn apply(
        &mut self,
        seq: u64,
        changes: &[Change],
        load: &mut dyn FnMut(&Key) -> io::Result<Option<Stored>>,
    ) -> io::Result<Done> {
        let mut done = Done::default();
        for (index, change) in changes.iter().enumerate() {
            let key = change.key();
            if key == Key::Organisation {
                Arc::make_mut(&mut self.organisation).apply(change).map_err(unfit)?;
                done.organisation = Some(Arc::clone(&self.organisation));
                continue;
            }
            let before = match self.aggregates.get_mut(&key) {
                Some(known) => known.take(),
                None => load(&key)?,
            };
            if !done.steps.iter().any(|step| step.key == key) {
                let before = before.clone();
                let after = None;
                done.steps.push(Step { key, before, after });
            }
            let after = Stored::after(before, change, seq, index).map_err(unfit)?;
            if let Some(step) = done.steps.iter_mut().find(|step| step.key == key) {
                step.after.clone_from(&after);
            }
            self.aggregates.insert(key, after);
        }
        Ok(done)
    }

    /// Forgets what has become durable and is shown.
    pub(super) fn shown(&mut self) {
        self.aggregates.clear();
        self.heads.clear();
    }
}

fn unfit(error: Unfit) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
