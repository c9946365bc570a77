//! Ctrl-C and the terminate signal end a run at its next step: guards then end the servers and remove the files. What runs in a
//! process group of its own is ended by whoever waits for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;

use tokio::signal::unix::{SignalKind, signal};

use crate::run::Outcome;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// From now on signals are remembered instead of ending this process.
pub(super) fn watch() -> Outcome {
    let (ready, is_ready) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut interrupt = signal(SignalKind::interrupt())?;
            let mut terminate = signal(SignalKind::terminate())?;
            let mut hang_up = signal(SignalKind::hangup())?;
            // Nobody waits any more only when the process ends.
            let _ = ready.send(());
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
                _ = hang_up.recv() => (),
            }
            INTERRUPTED.store(true, Ordering::Relaxed);
            Ok::<_, std::io::Error>(())
        })
    });
    is_ready.recv().map_err(|_| "signals cannot be waited for".into())
}

/// Whether a signal came.
pub(super) fn came() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Fails once a signal came.
pub(super) fn check() -> Outcome {
    if came() {
        return Err("interrupted; what was running was ended and removed".into());
    }
    Ok(())
}
