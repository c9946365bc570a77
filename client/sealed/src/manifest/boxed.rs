//! The box around a manifest: `salt(32) || AES-256-GCM(u32 len || JSON || zeros) || tag(16)`, padded to a multiple of 4 KiB.

use rand_core::CryptoRng;
use sealpost_proto::sealed::{BOX_UNIT, Header, MAX_MANIFEST_LEN, Reason, SEGMENT_OVERHEAD, is_box_len};
use zeroize::Zeroizing;

use super::{Manifest, ManifestError};
use crate::provider::Provider;
use crate::schedule::PayloadKeys;
use crate::sealer::SealError;
use crate::segment::{open_in_place, plaintext_mut, seal_in_place};

const LEN_WORD: usize = 4;

pub(crate) fn seal_box(
    provider: &dyn Provider,
    keys: &PayloadKeys,
    manifest: &Manifest,
    header: &Header,
    rng: &mut (impl CryptoRng + ?Sized),
) -> Result<Vec<u8>, SealError> {
    let json = Zeroizing::new(serde_json::to_vec(manifest).map_err(|_| ManifestError::Text)?);
    let padded_len = (json.len() + LEN_WORD).next_multiple_of(BOX_UNIT);
    let len_word = u32::try_from(json.len()).map_err(|_| ManifestError::ManifestTooLarge)?;
    if padded_len > MAX_MANIFEST_LEN {
        return Err(ManifestError::ManifestTooLarge.into());
    }
    // The reader's own rules decide what may be sealed; dates are all that a checked draft can still get wrong.
    Manifest::parse(&json, header).map_err(|_| ManifestError::Date)?;
    // Zeros from the start: what no other byte takes is the padding.
    let mut stored = vec![0; padded_len + SEGMENT_OVERHEAD];
    let plaintext = plaintext_mut(&mut stored).unwrap_or_default();
    for (place, byte) in plaintext.iter_mut().zip(len_word.to_be_bytes().iter().chain(&*json)) {
        *place = *byte;
    }
    seal_in_place(provider, &mut stored, |salt| keys.manifest_box(salt), rng)?;
    Ok(stored)
}

pub(crate) fn open_box(
    provider: &dyn Provider,
    keys: &PayloadKeys,
    manifest_box: &[u8],
    header: &Header,
) -> Result<Manifest, Reason> {
    if !is_box_len(manifest_box.len()) {
        return Err(Reason::Manifest);
    }
    let mut stored = Zeroizing::new(manifest_box.to_vec());
    let plaintext = open_in_place(provider, &mut stored, |salt| keys.manifest_box(salt), Reason::Manifest)?;
    let (len, rest) = plaintext.split_first_chunk::<LEN_WORD>().ok_or(Reason::Manifest)?;
    let len = usize::try_from(u32::from_be_bytes(*len)).map_err(|_| Reason::Manifest)?;
    let (json, padding) = rest.split_at_checked(len).ok_or(Reason::Manifest)?;
    if padding.iter().any(|byte| *byte != 0) {
        return Err(Reason::Manifest);
    }
    Manifest::parse(json, header)
}
