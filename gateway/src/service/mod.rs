//! USE CASES: what a granted request does with ledger, blobs, shares and views.
//!
//! Every function takes a [`Grant`](crate::access::Grant) (but those that anybody may ask, which disclose nothing), asks the
//! domain, and makes its effects durable in the order of security.md 9.3. Refusals are written down in the same transaction
//! that found them. Nothing here knows HTTP or a concrete adapter.

mod audit;
mod body;
mod directory;
mod enrolment;
mod envelope;
mod error;
mod feed;
mod founding;
mod guesses;
mod links;
mod object;
mod opening;
mod ports;
mod rearming;
mod record;
mod revoking;
mod room;
mod sealing;
mod transfers;
mod uploads;

pub use error::Error;
pub use feed::{Feed, FeedEvent};
pub use object::{Piece, StoredObject, Wanted};
pub use ports::{Checkpoints, DiskSpace, Identity, Limits, Ports, SetupDoor, Shredder, Watermarks};
pub use uploads::PartUpload;

use std::sync::Arc;

use sealpost_proto::api::Info;

use self::guesses::Guesses;
use self::room::Reserved;

/// The use cases over their ports. Clones share everything.
#[derive(Clone)]
#[expect(missing_debug_implementations, reason = "the ports it holds have none")]
pub struct Service {
    ports: Arc<Ports>,
    guesses: Arc<Guesses>,
    /// Bytes that no record knows yet, against the quotas.
    reserved: Arc<Reserved>,
    /// Bytes of parts that are on their way, against the watermarks.
    begun: Arc<Reserved>,
}

impl Service {
    /// The use cases over these ports.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        Self {
            ports: Arc::new(ports),
            guesses: Arc::default(),
            reserved: Arc::default(),
            begun: Arc::default(),
        }
    }

    /// Whom one talks to; for everybody.
    #[must_use]
    pub fn info(&self) -> Info {
        Info {
            gateway: self.ports.identity.gateway.clone(),
            versions: vec!["v1".to_owned()],
            software: concat!("sealpost-gateway/", env!("CARGO_PKG_VERSION")).to_owned(),
            time: self.now(),
            log: self.ports.identity.log_key.public(),
        }
    }

    fn now(&self) -> u64 {
        self.ports.clock.now_millis() / 1000
    }
}
