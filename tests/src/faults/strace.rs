//! The tracer: `strace`, as a wrapper around a gateway. Nothing here knows what the calls mean.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Command, Stdio};

use super::Outcome;

/// System calls that change files or their names, or give descriptors to them. Calls that the model of a disk cannot follow are
/// among them, so that it notices them.
const CALLS: &str = "open,openat,openat2,creat,close,close_range,dup,dup2,dup3,fcntl,lseek,write,pwrite64,writev,pwritev,pwritev2,\
                     truncate,ftruncate,fallocate,fsync,fdatasync,sync,syncfs,sync_file_range,rename,renameat,renameat2,link,\
                     linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,copy_file_range,sendfile,splice,msync";

/// Longest buffer that a trace holds whole; the gateway writes 1 MiB at most, sled a segment.
const LONGEST: usize = 64 << 20;

/// Fails with what to do when there is no `strace`.
///
/// # Errors
/// The sentence.
pub fn require() -> Outcome {
    let version = Command::new("strace")
        .arg("-V")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if version.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err("`strace` is not installed, and it makes the power cuts and failing disks; install it with `apt-get install strace`".into())
}

/// Words that record the calls of the program that follows into a file.
#[must_use]
pub fn record(into: &Path) -> Vec<OsString> {
    let (calls, longest) = (format!("trace={CALLS}"), LONGEST.to_string());
    let options = [
        "strace",
        "-f",
        "-qq",
        "-ttt",
        "-T",
        "-xx",
        "--seccomp-bpf",
        "-e",
        "signal=none",
    ];
    let mut words: Vec<OsString> = options.map(OsString::from).to_vec();
    words.extend(["-s", &longest, "-e", &calls, "-o"].map(OsString::from));
    words.push(into.into());
    words
}
