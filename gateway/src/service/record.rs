//! The one way from a decision to a record: what is refused is written down by the same transaction.

use sealpost_proto::log::{EventType, Object};

use super::{Error, Service};
use crate::domain::{Decision, Effects, Key, Loaded, Refusal, Requester, Stamp};
use crate::store::StoreError;
use crate::store::ledger::{Committed, transact};

/// What a refusal is written down as.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) event: EventType,
    pub(super) object: Object,
    pub(super) by: Requester,
}

impl Refused {
    fn effects(&self, refusal: Refusal) -> Effects {
        Effects {
            changes: Vec::new(),
            leaves: vec![self.by.was_refused(self.event, self.object.clone(), refusal)],
        }
    }
}

impl Service {
    /// Decides on the aggregates that `keys` name and makes the outcome durable. A refusal becomes a leaf if `refused` says as
    /// what.
    pub(super) async fn record<T, F>(
        &self,
        keys: Vec<Key>,
        refused: Option<Refused>,
        mut decide: F,
    ) -> Result<(T, Committed), Error>
    where
        T: Send + 'static,
        F: FnMut(&Loaded, Stamp) -> Decision<T> + Send + 'static,
    {
        let decide = move |loaded: &Loaded, at: Stamp| match decide(loaded, at) {
            Ok((outcome, effects)) => (Ok(outcome), effects),
            Err(refusal) => {
                let effects = refused.as_ref().map(|refused| refused.effects(refusal));
                (Err(refusal), effects.unwrap_or_default())
            }
        };
        let (outcome, committed) = transact(self.ports.ledger.as_ref(), keys, decide)
            .await
            .map_err(not_written)?;
        Ok((outcome?, committed))
    }

    /// Writes down a refusal that was found before any transaction, and returns it.
    pub(super) async fn refuse(&self, refused: Refused, refusal: Refusal) -> Error {
        let written = self
            .record(Vec::new(), Some(refused), move |_, _| Err::<((), Effects), _>(refusal))
            .await;
        match written {
            Ok(_) => refusal.into(),
            Err(error) => error,
        }
    }
}

/// A ledger that cannot write refuses; one that is damaged has failed.
fn not_written(error: StoreError) -> Error {
    match error {
        StoreError::Corrupt(_) => Error::Store(error),
        StoreError::NotFound | StoreError::Conflict | StoreError::Unavailable(_) => Error::Audit(error),
    }
}
