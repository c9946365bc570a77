//! The one way from a decision to a record: what is refused is written down by the same transaction, and an idempotency key
//! that was used stands in the record of what it was used for.

use sealpost_proto::log::{EventType, Object};

use super::{Error, Service};
use crate::domain::{Decision, Effects, Key, KeyedRequest, Loaded, Refusal, Requester, Stamp};
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
    /// what. `keyed` is the request with its idempotency key: another request under the same key is refused, and the same one
    /// decided again.
    pub(super) async fn record<T, F>(
        &self,
        keyed: Option<KeyedRequest>,
        mut keys: Vec<Key>,
        refused: Option<Refused>,
        mut decide: F,
    ) -> Result<(T, Committed), Error>
    where
        T: Send + 'static,
        F: FnMut(&Loaded, Stamp) -> Decision<T> + Send + 'static,
    {
        keys.extend(keyed.map(|request| request.key()));
        let mut decide_once = move |loaded: &Loaded, at: Stamp| {
            keyed.map_or(Ok(()), |request| request.check(loaded, at))?;
            let (outcome, mut effects) = decide(loaded, at)?;
            if !effects.changes.is_empty() {
                effects
                    .changes
                    .extend(keyed.and_then(|request| request.note(loaded, at)));
            }
            Ok((outcome, effects))
        };
        let decide = move |loaded: &Loaded, at: Stamp| match decide_once(loaded, at) {
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
    pub(super) async fn refuse(&self, keyed: Option<KeyedRequest>, refused: Refused, refusal: Refusal) -> Error {
        let decide = move |_: &Loaded, _| Err::<((), Effects), _>(refusal);
        let written = self.record(keyed, Vec::new(), Some(refused), decide).await;
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
