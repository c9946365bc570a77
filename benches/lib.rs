//! What the benches measure on: one sealed transfer of a single file, made as a client makes it; and ledgers with many.
//!
//! `cargo bench --package sealpost-benches` runs the benches; `cargo xtask check` only builds them. The programs of this package
//! are run by `cargo xtask bench`.

pub mod clinic;
pub mod home;
pub mod waits;

use std::error::Error;

use getrandom::SysRng;
use rand_core::{CryptoRng, UnwrapErr};
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::id::{PublicKey, TransferId};
use sealpost_proto::sealed::{Envelope, Role};
use sealpost_sealed::{
    Disclosure, EncryptionKey, FileDraft, FileHasher, ManifestDraft, OpenWith, Opener, Provider, Recipient, Sealer,
    TransferDraft, TransferSecrets, plaintext_mut, unwrap_secret,
};

/// Unix seconds at which the transfer is made and opened.
const NOW: u64 = 1_767_225_600;

/// A transfer, with its stored payload, ready to be sealed or opened again segment by segment.
#[derive(Debug)]
pub struct Transfer {
    /// The sender's side.
    pub sealer: Sealer,
    /// The recipient's side.
    pub opener: Opener,
    /// All stored segments.
    pub payload: Vec<u8>,
}

/// The system's randomness.
pub fn rng() -> impl CryptoRng {
    UnwrapErr(SysRng)
}

impl Transfer {
    /// Seals a file of `len` zero bytes for one recipient and opens its manifest.
    ///
    /// # Errors
    /// When sealing or opening fails.
    pub fn of_len(provider: &'static dyn Provider, len: u64) -> Result<Self, Box<dyn Error>> {
        let mut rng = rng();
        let (identity, device) = (SigningKey::from_seed(&[1; 32]), SigningKey::from_seed(&[2; 32]));
        let key = EncryptionKey::generate(&mut rng)?;
        let draft = draft(identity.public(), device.public());
        let recipient = Recipient::Key {
            key: key.public().clone(),
            role: Role::Recipient,
        };
        let secrets = TransferSecrets::generate(true, &mut rng);
        let sealer = Sealer::new(provider, &draft, &[recipient], manifest(len), secrets, &mut rng)?;

        let (payload, leaves) = seal_all(&sealer, &mut rng)?;
        let mut hasher = FileHasher::new(false);
        hasher.update(&vec![0; usize::try_from(len)?]);
        let manifest_box = sealer.seal_manifest(&[hasher.finish()], &mut rng)?;
        let seal = sealer.seal(&device, &manifest_box, &leaves, NOW)?;

        let (header, block) = (sealer.header().to_bytes(), sealer.block().to_bytes());
        let envelope = Envelope::parse(&header, &block, &manifest_box, &seal.to_bytes())?;
        let verified = envelope.verify(&draft.audience, NOW, |_| Some(identity.public()))?;
        let secret = unwrap_secret(provider, &verified, OpenWith::Key(&key), None)?;
        let opener = Opener::new(
            provider,
            verified,
            secret,
            sealer.secrets().share().map(<[u8; 32]>::as_slice),
        )?;
        Ok(Self {
            sealer,
            opener,
            payload,
        })
    }
}

fn draft(identity: PublicKey, device: PublicKey) -> TransferDraft {
    TransferDraft {
        transfer_id: TransferId::from_bytes([7; 16]),
        audience: [9; 32],
        sender_identity: Some(identity),
        sender_device: device,
        created_at: NOW,
        expires_at: NOW + 86_400,
        no_forward: false,
    }
}

fn manifest(len: u64) -> ManifestDraft {
    ManifestDraft {
        subject: None,
        note: None,
        patients: Vec::new(),
        purpose: "TREAT".to_owned(),
        disclosure: Disclosure {
            category: "treatment".to_owned(),
            basis: "164.506".to_owned(),
        },
        reply_to: None,
        files: vec![FileDraft {
            name: "image.dcm".to_owned(),
            mime: "application/dicom".to_owned(),
            len,
            mtime: None,
        }],
    }
}

type Sealed = (Vec<u8>, Vec<[u8; 32]>);

fn seal_all(sealer: &Sealer, rng: &mut impl CryptoRng) -> Result<Sealed, Box<dyn Error>> {
    let (mut payload, mut leaves) = (Vec::new(), Vec::new());
    for index in 0..sealer.layout().segments() {
        let len = sealer
            .layout()
            .stored_segment_len(index)
            .ok_or("a segment has a length")?;
        let mut stored = vec![0; len];
        plaintext_mut(&mut stored)
            .ok_or("a stored segment holds a plaintext")?
            .fill(0);
        leaves.push(sealer.seal_segment(index, &mut stored, rng)?);
        payload.extend_from_slice(&stored);
    }
    Ok((payload, leaves))
}
