//! Which openings were asked for, by id. A client draws the id of an opening before it asks for it, and asks with that alone: so what
//! was drawn while it was at a transfer is all that it can have asked for, even if it was sent home in the middle.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use sealpost_client::Env;
use sealpost_client::env::{Random, SystemClock, SystemRandom};
use sealpost_proto::id::{OpeningId, TransferId};

use super::acks::Account;

tokio::task_local! {
    static ASKING: Asking;
}

/// What this task is at.
struct Asking {
    account: Account,
    transfer: TransferId,
    drawn: Arc<Mutex<BTreeSet<OpeningId>>>,
}

/// The system's chance, which notes what is as long as the id of an opening.
#[derive(Debug)]
struct Noting;

impl Random for Noting {
    fn fill(&self, bytes: &mut [u8]) {
        SystemRandom.fill(bytes);
        let Ok(id) = <[u8; 16]>::try_from(&*bytes) else {
            return;
        };
        // Outside of `asking` nobody asks for an opening.
        let _ = ASKING.try_with(|asking| {
            let opening = OpeningId::from_bytes(id);
            asking
                .drawn
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(opening);
            asking.account.lock().ask(asking.transfer, opening);
        });
    }
}

/// The system's time and chance, for everybody who works or looks.
#[must_use]
pub fn env() -> Env {
    Env::new(Arc::new(SystemClock), Arc::new(Noting))
}

/// Does what may ask for openings of a transfer, with the account told before each, and returns all that can have been asked for.
/// The account must not be locked when something is drawn.
pub async fn asking<T>(
    account: &Account,
    transfer: TransferId,
    work: impl Future<Output = T>,
) -> (T, BTreeSet<OpeningId>) {
    let drawn = Arc::new(Mutex::default());
    let asking = Asking {
        account: account.clone(),
        transfer,
        drawn: Arc::clone(&drawn),
    };
    let answer = ASKING.scope(asking, work).await;
    let drawn = std::mem::take(&mut *drawn.lock().unwrap_or_else(PoisonError::into_inner));
    (answer, drawn)
}
