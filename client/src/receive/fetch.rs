//! From an opened transfer to files: parts are fetched, verified and staged, and only then the files get their names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use sealpost_proto::sealed::Reason;
use sealpost_sealed::{Opener, Unpacker};

use super::download::{self, DOWNLOADS, Fetching};
use super::keep::{ContainerWriter, KeepSealed};
use super::recorder::Recorder;
use super::staging::Staging;
use super::state::{Placing, Receiving, ReceivingRecord, Staged};
use crate::api::Api;
use crate::buffers::{BufferPool, PooledBuffer};
use crate::env::Env;
use crate::error::Error;
use crate::platform;
use crate::progress::Progress;
use crate::resume::patience::persist;

/// Where the files go.
#[derive(Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The folder.
    pub(crate) target: &'a Path,
    /// Keep the transfer sealed as well.
    pub(crate) keep_sealed: Option<&'a KeepSealed>,
}

/// What an interruption leaves to go on with.
pub(crate) struct Resumable {
    pub(crate) receiving: Receiving,
    pub(crate) staged: Staged,
    pub(crate) env: Env,
}

/// Files that have their names.
pub(crate) struct Fetched {
    pub(crate) opener: Opener,
    pub(crate) paths: Vec<PathBuf>,
    /// Stored bytes that were not fetched again.
    pub(crate) kept_bytes: u64,
    /// The state, which is to be ended.
    pub(crate) receiving: Receiving,
}

/// Fetches the payload of an opened transfer, verifies all of it, and only then gives the files their names. Goes on from what is staged
/// already, and writes down how far it comes.
pub(crate) async fn fetch_and_place(
    api: &Arc<Api>,
    opener: Opener,
    place: Place<'_>,
    resumable: Resumable,
    progress: Arc<dyn Progress>,
) -> Result<Fetched, Error> {
    let envelope = opener.envelope().envelope();
    let transfer = envelope.header.transfer_id;
    let layout = opener.layout()?;
    let leaves_len = usize::try_from(layout.segments() * 32).map_err(|_| Reason::Leaves)?;
    let leaf_list = persist(&*progress, || api.leaf_list(&transfer, leaves_len)).await?;
    let keep = place.keep_sealed;
    // The container needs the stored bytes of every part, and staging holds none.
    let is_kept = keep.is_none();
    let staging = Staging::create(place.target, &transfer, is_kept)?;
    let container = keep.map(|keep| ContainerWriter::create(keep, envelope)).transpose()?;
    progress.start(layout.stored_len());
    let (parts, taken) = tokio::sync::mpsc::channel(1);
    let (begin, begun) = tokio::sync::oneshot::channel();
    let work = Work {
        opener,
        leaf_list,
        staging,
        container,
        is_kept,
        progress: Arc::clone(&progress),
    };
    let worker = tokio::task::spawn_blocking(move || work.run(resumable, begin, taken));
    let fetching = Fetching {
        api: Arc::clone(api),
        transfer,
        layout,
        pool: BufferPool::new(DOWNLOADS + 1),
        progress: Arc::clone(&progress),
    };
    let fetched = match begun.await {
        Ok(first) => fetching.run(first, parts).await,
        // The worker has an error to tell.
        Err(_) => Ok(()),
    };
    let unpacked = worker
        .await
        .map_err(|_| Error::Internal("the opening thread stopped"))?;
    progress.finish();
    // A failed download makes the worker stop too; the download's error is the one to tell.
    fetched?;
    unpacked
}

/// Where the first part that is to be fetched is told.
type Begin = tokio::sync::oneshot::Sender<u64>;
/// Where the parts come from, in order.
type Taken = tokio::sync::mpsc::Receiver<PooledBuffer>;

/// What the blocking thread does.
struct Work {
    opener: Opener,
    leaf_list: Vec<u8>,
    staging: Staging,
    container: Option<ContainerWriter>,
    /// Whether what is staged is kept after an interruption.
    is_kept: bool,
    progress: Arc<dyn Progress>,
}

impl Work {
    /// Tells `begin` the first part that is to be fetched, takes it and the others, and places the files.
    fn run(mut self, resumable: Resumable, begin: Begin, taken: Taken) -> Result<Fetched, Error> {
        let Resumable { receiving, staged, env } = resumable;
        let recorder = Recorder::start(receiving, self.staging.folder(), env.clone(), self.is_kept);
        let unpacked = self.unpack(&staged, &recorder, begin, taken);
        if matches!(unpacked, Err(Error::Rejected(_))) {
            self.staging.discard();
        }
        let recorded = recorder.finish(unpacked.is_ok());
        let kept_bytes = unpacked?;
        self.finish_staged()?;
        self.place(staged.placing.as_deref(), kept_bytes, recorded?, &env)
    }

    /// Verifies and stages everything that is not staged yet. Returns how many stored bytes were.
    fn unpack(&mut self, staged: &Staged, recorder: &Recorder, begin: Begin, taken: Taken) -> Result<u64, Error> {
        let manifest = self.opener.manifest();
        let payload = self.opener.payload(&self.leaf_list)?;
        let layout = *payload.layout();
        let mut unpacker = Unpacker::new(manifest, &layout);
        let first = if self.is_kept {
            self.staging.restore(manifest, &layout, &staged.parts, &mut unpacker)?
        } else {
            0
        };
        let kept_bytes = layout
            .part_range(first)
            .map_or(layout.stored_len(), |range| range.start);
        self.progress.advance(kept_bytes);
        // Whoever waits for it has gone when the command was interrupted.
        let _ = begin.send(first);
        let unpacking = download::Unpacking {
            payload: &payload,
            unpacker,
            first,
            staging: &mut self.staging,
            container: self.container.as_mut(),
            recorder: Some(recorder),
            progress: &*self.progress,
        };
        unpacking.run(taken)?;
        Ok(kept_bytes)
    }

    /// Makes everything durable that has been verified.
    fn finish_staged(&mut self) -> Result<(), Error> {
        self.staging.finish(&self.opener.manifest().files)?;
        let Some(container) = self.container.take() else {
            return Ok(());
        };
        container.finish(self.opener.envelope().envelope(), self.opener.secrets().share())
    }

    /// Gives the files their names, which are written down before the first file gets one.
    fn place(
        self,
        earlier: Option<&Placing>,
        kept_bytes: u64,
        mut receiving: Receiving,
        env: &Env,
    ) -> Result<Fetched, Error> {
        let manifest = self.opener.manifest();
        let folder = self.staging.folder();
        let names = self
            .staging
            .names(&manifest.files, earlier.map(|placing| placing.names.as_slice()));
        let placing = Placing {
            manifest: manifest.clone(),
            names: names.clone(),
            by_links: !platform::renames_exclusively(&folder).map_err(|error| Error::file("write", &folder, error))?,
        };
        receiving.append(&ReceivingRecord::Placing(Box::new(placing)), env)?;
        let paths = self.staging.place(&manifest.files, &names)?;
        Ok(Fetched {
            opener: self.opener,
            paths,
            kept_bytes,
            receiving,
        })
    }
}
