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
use crate::buffers::BufferPool;
use crate::env::Env;
use crate::error::Error;
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
    /// The state that is to be ended, of a receive that can be resumed.
    pub(crate) receiving: Option<Receiving>,
}

/// Fetches the payload of an opened transfer, verifies all of it, and only then gives the files their names. What is interrupted is
/// lost.
pub(crate) async fn fetch_and_place(
    api: &Arc<Api>,
    opener: Opener,
    place: Place<'_>,
    progress: Arc<dyn Progress>,
) -> Result<(Opener, Vec<PathBuf>), Error> {
    let fetched = fetch_resumably(api, opener, place, None, progress).await?;
    Ok((fetched.opener, fetched.paths))
}

/// The same, going on from what is staged already and writing down how far it comes.
pub(crate) async fn fetch_resumably(
    api: &Arc<Api>,
    opener: Opener,
    place: Place<'_>,
    resumable: Option<Resumable>,
    progress: Arc<dyn Progress>,
) -> Result<Fetched, Error> {
    let envelope = opener.envelope().envelope();
    let transfer = envelope.header.transfer_id;
    let layout = opener.layout()?;
    let leaves_len = usize::try_from(layout.segments() * 32).map_err(|_| Reason::Leaves)?;
    let leaf_list = persist(&*progress, || api.leaf_list(&transfer, leaves_len)).await?;
    let keep = place.keep_sealed;
    // The container needs the stored bytes of every part, and staging holds none.
    let is_kept = resumable.is_some() && keep.is_none();
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
        resumable,
        is_kept,
        progress: Arc::clone(&progress),
    };
    let worker = tokio::task::spawn_blocking(move || work.run(begin, taken));
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

/// What the blocking thread does.
struct Work {
    opener: Opener,
    leaf_list: Vec<u8>,
    staging: Staging,
    container: Option<ContainerWriter>,
    resumable: Option<Resumable>,
    /// Whether what is staged is kept after an interruption.
    is_kept: bool,
    progress: Arc<dyn Progress>,
}

impl Work {
    /// Tells `begin` the first part that is to be fetched, takes it and the others, and places the files.
    fn run(
        mut self,
        begin: tokio::sync::oneshot::Sender<u64>,
        taken: tokio::sync::mpsc::Receiver<crate::buffers::PooledBuffer>,
    ) -> Result<Fetched, Error> {
        let opener = &self.opener;
        let payload = opener.payload(&self.leaf_list)?;
        let layout = *payload.layout();
        let mut unpacker = Unpacker::new(opener.manifest(), &layout);
        let staged = self.resumable.as_ref().filter(|_| self.is_kept);
        let first = match staged {
            Some(resumable) => {
                let parts = &resumable.staged.parts;
                self.staging.restore(opener.manifest(), &layout, parts, &mut unpacker)?
            }
            None => 0,
        };
        let kept_bytes = layout
            .part_range(first)
            .map_or(layout.stored_len(), |range| range.start);
        self.progress.advance(kept_bytes);
        // Whoever waits for it has gone when the command was interrupted.
        let _ = begin.send(first);
        let (resumable, is_kept) = (self.resumable.take(), self.is_kept);
        let (earlier, env, recorder) = match resumable {
            None => (None, None, None),
            Some(resumable) => {
                let env = resumable.env.clone();
                let recorder = Recorder::start(resumable.receiving, self.staging.folder(), resumable.env, is_kept);
                (resumable.staged.placing, Some(env), Some(recorder))
            }
        };
        let unpacking = download::Unpacking {
            payload: &payload,
            unpacker,
            first,
            staging: &mut self.staging,
            container: self.container.as_mut(),
            recorder: recorder.as_ref(),
            progress: &*self.progress,
        };
        let unpacked = unpacking.run(taken);
        if matches!(unpacked, Err(Error::Rejected(_))) {
            self.staging.discard();
        }
        let recorded = recorder.map(Recorder::finish).transpose();
        unpacked?;
        let mut receiving = recorded?;
        let files = &opener.manifest().files;
        self.staging.finish(files)?;
        if let Some(container) = self.container {
            container.finish(opener.envelope().envelope(), opener.secrets().share())?;
        }
        let names = self
            .staging
            .names(files, earlier.as_ref().map(|placing| placing.names.as_slice()));
        if let (Some(receiving), Some(env)) = (&mut receiving, &env) {
            let placing = Placing {
                manifest: opener.manifest().clone(),
                names: names.clone(),
            };
            receiving.append(&ReceivingRecord::Placing(Box::new(placing)), env)?;
        }
        let paths = self.staging.place(files, &names)?;
        Ok(Fetched {
            opener: self.opener,
            paths,
            kept_bytes,
            receiving,
        })
    }
}
