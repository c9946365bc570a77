//! The connection of a request, as far as an answer that does not end by itself has to know of it.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, watch};

/// A connection. Clones are of the same one.
#[derive(Debug, Clone)]
pub(in crate::http) struct Line {
    stopping: watch::Receiver<bool>,
    room: Arc<Mutex<Option<OwnedSemaphorePermit>>>,
}

impl Line {
    /// A connection that has this room, of a server that says when it stops.
    pub(super) fn new(room: OwnedSemaphorePermit, stopping: watch::Receiver<bool>) -> Self {
        Self {
            stopping,
            room: Arc::new(Mutex::new(Some(room))),
        }
    }

    /// Gives the connection's room to another one: nothing may be received on this one any more.
    pub(in crate::http) fn give_up_room(&self) {
        drop(self.room.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    /// Ready when the gateway stops.
    pub(in crate::http) async fn stopped(&mut self) {
        stopped(&mut self.stopping).await;
    }
}

/// Ready when the gateway stops.
pub(super) async fn stopped(stopping: &mut watch::Receiver<bool>) {
    // An error says that the sender is gone, which is the same.
    drop(stopping.wait_for(|stop| *stop).await);
}
