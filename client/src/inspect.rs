//! Looking at an offline container `*.sealed`: what anybody can check of it, and with key and share everything.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use sealpost_proto::encoding::unhex_array;
use sealpost_proto::id::Label;
use sealpost_proto::sealed::{Envelope, Reason};
use sealpost_sealed::{ContainerError, ContainerReader, FAST, Manifest, OpenWith, Opener, Unpacker, unwrap_secret};
use zeroize::Zeroizing;

use crate::account::Account;
use crate::directory::DirectoryMirror;
use crate::error::Error;
use crate::platform;

const MAX_SHARE_FILE: u64 = 1_000;

/// A container, parsed. Nothing of it is verified but its form.
#[derive(Debug)]
pub struct ContainerFile {
    reader: ContainerReader<BufReader<File>>,
}

/// How far the sender of a container can be confirmed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SenderCheck {
    /// The directory on this device gives the sealing device to this person.
    Confirmed(Label),
    /// Sealed without an identity.
    Anonymous,
    /// The directory on this device does not know the sealing device, or there is none.
    Unknown,
}

impl ContainerFile {
    /// Opens and parses a container.
    ///
    /// # Errors
    /// [`Error::File`] or [`Error::Rejected`].
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| Error::file("open", path, error))?;
        let reader = ContainerReader::new(BufReader::new(file)).map_err(|error| container_error(error, path))?;
        Ok(Self { reader })
    }

    /// Everything but the payload.
    #[must_use]
    pub fn envelope(&self) -> &Envelope {
        self.reader.envelope()
    }

    /// What anybody can check: the sender's signature over header, stanzas, manifest box, and the stored payload.
    ///
    /// # Errors
    /// [`Error::Rejected`] or [`Error::File`].
    pub fn check_seal(&mut self, path: &Path) -> Result<Vec<u8>, Error> {
        let envelope = self.reader.envelope();
        envelope.check_seal()?;
        envelope.check_stanzas()?;
        envelope.check_box()?;
        let seal = envelope.seal;
        let leaf_list = self.reader.leaf_list().map_err(|error| container_error(error, path))?;
        sealpost_proto::sealed::LeafList::parse(&leaf_list, &seal)?;
        Ok(leaf_list)
    }

    /// The sender, by the directory that this device has mirrored. Any revocation counts, because a container carries no receipt.
    #[must_use]
    pub fn check_sender(&self, mirror: Option<&DirectoryMirror>) -> SenderCheck {
        let header = &self.reader.envelope().header;
        let Some(identity) = header.sender_identity else {
            return SenderCheck::Anonymous;
        };
        let time = self.reader.envelope().seal.body.sealed_at;
        let device = mirror.and_then(|mirror| {
            let directory = mirror.directory();
            directory.device_below(&header.sender_device, time, directory.size())
        });
        match device.filter(|device| device.identity == identity) {
            Some(device) => SenderCheck::Confirmed(device.label),
            None => SenderCheck::Unknown,
        }
    }

    /// Opens everything with the own key and the share, and verifies every byte; nothing is written. A container outlives its
    /// expiry, so that is not checked here.
    ///
    /// # Errors
    /// [`Error::Rejected`] or [`Error::File`].
    pub fn open_all(
        &mut self,
        path: &Path,
        account: &Account,
        mirror: &DirectoryMirror,
        share: Option<&[u8; 32]>,
    ) -> Result<Manifest, Error> {
        let envelope = self.reader.envelope().clone();
        let time = envelope.seal.body.sealed_at;
        let directory = mirror.directory();
        let audience = account.at.gateway.audience();
        let identity_of = |device: &_| {
            directory
                .device_below(device, time, directory.size())
                .map(|d| d.identity)
        };
        let verified = envelope.verify(&audience, time, identity_of)?;
        let block = &verified.envelope().block;
        let key = account.encryption.iter().map(|epoch| &epoch.key);
        let key = key
            .into_iter()
            .find(|key| block.for_kid(key.kid()).is_some())
            .ok_or(Reason::Key)?;
        let secret = unwrap_secret(FAST, &verified, OpenWith::Key(key), None)?;
        let opener = Opener::new(FAST, verified, secret, share.map(|share| &share[..]))?;
        let leaf_list = self.reader.leaf_list().map_err(|error| container_error(error, path))?;
        let payload = opener.payload(&leaf_list)?;
        let layout = *payload.layout();
        let mut unpacker = Unpacker::new(opener.manifest(), &layout);
        let mut stored = Zeroizing::new(Vec::new());
        for index in 0..layout.segments() {
            let read = self.reader.read_segment(&layout, index, &mut stored);
            read.map_err(|error| container_error(error, path))?;
            let plaintext = payload.open_segment(index, &mut stored)?;
            unpacker
                .push(plaintext, |_, _| Ok::<(), Reason>(()))
                .map_err(|error| match error {
                    sealpost_sealed::UnpackError::Refused(reason) | sealpost_sealed::UnpackError::Sink(reason) => {
                        reason
                    }
                })?;
        }
        unpacker.finish()?;
        Ok(opener.manifest().clone())
    }
}

/// Reads a share from a file of 64 hex digits.
///
/// # Errors
/// [`Error::File`] or [`Error::Input`].
pub fn read_share(path: &Path) -> Result<Zeroizing<[u8; 32]>, Error> {
    let bytes = platform::read_limited(path, MAX_SHARE_FILE).map_err(|error| Error::file("read", path, error))?;
    let bytes = Zeroizing::new(bytes);
    let digits = std::str::from_utf8(&bytes).ok().map(str::trim);
    let share = digits.and_then(|digits| unhex_array(digits).ok());
    share.map(Zeroizing::new).ok_or_else(|| {
        Error::Input(format!(
            "{} does not hold a share: exactly 64 lower-case hex digits.",
            path.display()
        ))
    })
}

fn container_error(error: ContainerError, path: &Path) -> Error {
    match error {
        ContainerError::Refused(reason) => reason.into(),
        ContainerError::Io(error) => Error::file("read", path, error),
    }
}
