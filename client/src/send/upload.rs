//! Parts on their way to the gateway: sealed on a thread of its own, uploaded in parallel, and written down once acknowledged.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use sealpost_proto::api::AnnounceRequest;
use sealpost_proto::id::TransferId;
use sealpost_sealed::Sealer;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::task::{JoinHandle, JoinSet};

use super::state::{KeptPart, SendingRecord};
use super::work::{self, SealedPart, SealedPayload};
use super::{Input, SharedSending};
use crate::api::Api;
use crate::env::Env;
use crate::error::Error;
use crate::progress::Progress;
use crate::resume::patience::persist;
use crate::session::Session;

/// Parts that are on their way at once; one more is being sealed.
const UPLOADS: usize = 3;

/// Seals a payload of one small part, which goes with the seal.
pub(super) async fn seal_small(
    session: &Session,
    sealer: &Arc<Sealer>,
    input: Input,
    progress: &Arc<dyn Progress>,
) -> Result<(SealedPayload, Bytes), Error> {
    let (mut sealed, worker) = start(session, sealer, input, None);
    let mut kept = Bytes::new();
    while let Some(part) = sealed.recv().await {
        progress.advance(part.bytes.len() as u64);
        kept = part.bytes;
    }
    let payload = finish(worker, progress).await?;
    Ok((payload?, kept))
}

/// Announces a transfer and uploads what the gateway does not hold yet. The same announcement again changes nothing.
pub(super) async fn upload_all(
    session: &Session,
    sealer: &Arc<Sealer>,
    input: Input,
    sending: Option<SharedSending>,
    stored: BTreeMap<u64, KeptPart>,
    progress: &Arc<dyn Progress>,
) -> Result<SealedPayload, Error> {
    let transfer = sealer.header().transfer_id;
    let announce = AnnounceRequest {
        transfer,
        bytes: sealer.layout().stored_len(),
    };
    let api = &session.api;
    persist(&**progress, || api.announce(&announce)).await?;
    let (sealed, worker) = start(session, sealer, input, sending.is_some().then_some(stored));
    let uploads = Uploads {
        api: Arc::clone(api),
        env: session.env.clone(),
        transfer,
        sending,
        progress: Arc::clone(progress),
    };
    let uploaded = uploads.run(sealed).await;
    // When uploading failed the worker stopped for want of a taker; its error is then not the one to tell.
    let payload = finish(worker, progress).await?;
    uploaded?;
    payload
}

/// Begins to seal on a thread of its own.
fn start(
    session: &Session,
    sealer: &Arc<Sealer>,
    input: Input,
    stored: Option<BTreeMap<u64, KeptPart>>,
) -> (Receiver<SealedPart>, JoinHandle<Result<SealedPayload, Error>>) {
    let (parts, sealed) = channel(1);
    let (sealer, rng) = (Arc::clone(sealer), session.env.rng());
    let worker = tokio::task::spawn_blocking(move || {
        work::seal_payload(&sealer, input, rng, &parts, UPLOADS + 1, stored.as_ref())
    });
    (sealed, worker)
}

async fn finish(
    worker: JoinHandle<Result<SealedPayload, Error>>,
    progress: &Arc<dyn Progress>,
) -> Result<Result<SealedPayload, Error>, Error> {
    let payload = worker.await;
    progress.finish();
    payload.map_err(|_| Error::Internal("the sealing thread stopped"))
}

/// The uploads of one transfer.
#[derive(Clone)]
struct Uploads {
    api: Arc<Api>,
    env: Env,
    transfer: TransferId,
    sending: Option<SharedSending>,
    progress: Arc<dyn Progress>,
}

impl Uploads {
    async fn run(self, mut sealed: Receiver<SealedPart>) -> Result<(), Error> {
        let mut uploads: JoinSet<Result<(), Error>> = JoinSet::new();
        while let Some(part) = sealed.recv().await {
            while uploads.len() >= UPLOADS {
                finish_one(&mut uploads).await?;
            }
            uploads.spawn(self.clone().put(part));
        }
        while !uploads.is_empty() {
            finish_one(&mut uploads).await?;
        }
        Ok(())
    }

    /// Uploads one part, and writes down that the gateway has it.
    async fn put(self, part: SealedPart) -> Result<(), Error> {
        let (api, transfer) = (&self.api, &self.transfer);
        let put = || api.put_part(transfer, part.number, part.root, part.bytes.clone());
        persist(&*self.progress, put).await?;
        if let (Some(sending), Some(kept)) = (self.sending, part.kept) {
            let append = move || sending.append(&SendingRecord::Part(kept), &self.env);
            let appended = tokio::task::spawn_blocking(append).await;
            appended.map_err(|_| Error::Internal("a record of what was sent"))??;
        }
        self.progress.advance(part.bytes.len() as u64);
        Ok(())
    }
}

async fn finish_one(uploads: &mut JoinSet<Result<(), Error>>) -> Result<(), Error> {
    match uploads.join_next().await {
        Some(Ok(result)) => result,
        Some(Err(_)) => Err(Error::Internal("an upload stopped")),
        None => Ok(()),
    }
}
