//! What differs between operating systems: private files and folders, durable writes, renaming without overwriting, secrets in files.
//!
//! Nothing else in the client asks which system it runs on.

use std::io;

mod durable;
mod files;
mod secrets;

pub use durable::{sync_dir, sync_files, sync_parent};
pub use files::{
    create_private, create_private_dir, open_private, open_regular, own_private_dir, path_bytes, path_of, read_limited,
    remove_tree, rename_new, renames_exclusively, write_private, write_private_new,
};
pub use secrets::{read_credential, read_private, read_secret, unbuffered_stdin};

/// Returns when the user or the system asks the process to end (Ctrl-C; on Unix also the terminate signal).
/// The hangup signal is left alone, so that `nohup` keeps its meaning.
pub async fn interrupted() {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let kinds = [SignalKind::interrupt(), SignalKind::terminate()];
        let [Ok(mut interrupt), Ok(mut terminate)] = kinds.map(signal) else {
            return std::future::pending().await;
        };
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    }
    #[cfg(not(unix))]
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending().await
    }
}
/// Lets the system write no core dump of this process from now on: it would hold keys and plaintext.
///
/// # Errors
/// Of the system.
#[cfg(unix)]
pub fn forbid_core_dumps() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    Ok(setrlimit(Resource::Core, none)?)
}

/// There is no such limit here.
///
/// # Errors
/// None.
#[cfg(not(unix))]
pub fn forbid_core_dumps() -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn no_core_dump_holds_keys() {
        use rustix::process::{Resource, getrlimit};
        forbid_core_dumps().unwrap();
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
