//! Requests that are being worked on, by idempotency key: the same one is not worked on twice at once.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_proto::problem::ProblemKind;

use crate::domain::{Key, KeyedRequest};

/// Requests that are being worked on. There are never more than requests in flight.
#[derive(Debug, Default)]
pub(super) struct InFlight(Mutex<HashSet<Key>>);

/// A request's place among them, free again when dropped.
#[derive(Debug)]
pub(super) struct Place {
    among: Arc<InFlight>,
    key: Key,
}

impl InFlight {
    /// A place for `request`.
    ///
    /// # Errors
    /// `in_flight` while another has it under the same key.
    pub(super) fn enter(self: &Arc<Self>, request: &KeyedRequest) -> Result<Arc<Place>, ProblemKind> {
        let key = request.key();
        let is_first = self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        if !is_first {
            return Err(ProblemKind::InFlight);
        }
        Ok(Arc::new(Place {
            among: Arc::clone(self),
            key,
        }))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.among
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use sealpost_proto::id::{Hash, PublicKey};

    use super::*;

    #[test]
    fn one_at_a_time_by_device_and_key() {
        let request = |device, key| {
            KeyedRequest::new(
                &PublicKey::from_bytes([device; 32]),
                &[key; 16],
                Hash::from_bytes([0; 32]),
            )
        };
        let places = Arc::new(InFlight::default());
        let first = places.enter(&request(1, 1)).unwrap();
        assert_eq!(places.enter(&request(1, 1)).err(), Some(ProblemKind::InFlight));
        let _others = [request(2, 1), request(1, 2)].map(|other| places.enter(&other).unwrap());
        drop(first);
        assert!(places.enter(&request(1, 1)).is_ok());
        assert_eq!(places.0.lock().unwrap().len(), 2, "nothing is kept of what has ended");
    }
}
