//! Keeping a received transfer sealed: the offline container, exactly the bytes that were stored (security.md 3.1).

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use sealpost_proto::encoding::hex;
use sealpost_proto::sealed::{Envelope, container_head, container_tail};
use zeroize::Zeroizing;

use crate::error::Error;
use crate::platform;

/// Where to keep a transfer sealed.
#[derive(Debug, Clone)]
pub struct KeepSealed {
    /// The container.
    pub path: PathBuf,
    /// Also write the gateway's share beside it, as 64 hex digits: this defeats expiry.
    pub with_share: bool,
}

impl KeepSealed {
    /// The file beside the container that holds the share.
    #[must_use]
    pub fn share_path(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".share");
        name.into()
    }

    /// Refuses when something is in the way, before anything is asked of the gateway.
    pub(super) fn check_free(&self) -> Result<(), Error> {
        let share = self.with_share.then(|| self.share_path());
        for path in [Some(self.path.clone()), share].into_iter().flatten() {
            if path.exists() {
                return Err(Error::Input(format!(
                    "{} exists already and is not replaced; name another file.",
                    path.display()
                )));
            }
        }
        Ok(())
    }
}

/// A container that is being written under a temporary name.
#[derive(Debug)]
pub(super) struct ContainerWriter {
    keep: KeepSealed,
    temporary: PathBuf,
    file: BufWriter<File>,
}

impl ContainerWriter {
    pub(super) fn create(keep: &KeepSealed, envelope: &Envelope) -> Result<Self, Error> {
        let mut temporary = keep.path.clone().into_os_string();
        temporary.push(format!(".{}.new", std::process::id()));
        let temporary = PathBuf::from(temporary);
        let file = platform::create_private(&temporary).map_err(|error| Error::file("write", &temporary, error))?;
        let mut writer = Self {
            keep: keep.clone(),
            temporary,
            file: BufWriter::new(file),
        };
        writer.write(&container_head(&envelope.header, &envelope.block))?;
        Ok(writer)
    }

    /// Appends stored bytes.
    pub(super) fn write(&mut self, stored: &[u8]) -> Result<(), Error> {
        self.file
            .write_all(stored)
            .map_err(|error| Error::file("write", &self.temporary, error))
    }

    /// Completes the container and gives it its name; then writes the share, if it is to be kept.
    pub(super) fn finish(mut self, envelope: &Envelope, share: Option<&[u8; 32]>) -> Result<(), Error> {
        self.write(&container_tail(&envelope.manifest_box, &envelope.seal))?;
        let path = self.keep.path.clone();
        let failed = |error| Error::file("write", &path, error);
        self.file.flush().map_err(failed)?;
        self.file.get_ref().sync_all().map_err(failed)?;
        platform::rename_new(&self.temporary, &path).map_err(failed)?;
        platform::sync_parent(&path).map_err(failed)?;
        if self.keep.with_share {
            let share = share.ok_or_else(|| Error::Input("The transfer has no gateway share to keep.".to_owned()))?;
            write_digits(&self.keep.share_path(), share)?;
        }
        Ok(())
    }
}

impl Drop for ContainerWriter {
    fn drop(&mut self) {
        // Only there when the container did not get its name.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// Writes 32 secret bytes as 64 hex digits, without a line end, for the owner alone.
///
/// # Errors
/// [`Error::File`].
pub fn write_digits(path: &Path, secret: &[u8; 32]) -> Result<(), Error> {
    let digits = Zeroizing::new(hex(secret));
    platform::write_private_new(path, digits.as_bytes()).map_err(|error| Error::file("write", path, error))
}
