//! The two-share key schedule (sealed-transfer.md, "Key schedule"): from transfer secret and gateway share to every content key.

use std::fmt;

use rand_core::CryptoRng;
use sealpost_proto::crypto::{constant_time_eq, kdf};
use sealpost_proto::sealed::{Header, Reason, share_commit};
use zeroize::Zeroizing;

/// The transfer secret (TS): the only thing that stanzas carry. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct TransferSecret(Zeroizing<[u8; 32]>);

impl TransferSecret {
    /// The secret made of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// The bytes, for a state file that is itself sealed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for TransferSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TransferSecret(..)")
    }
}

/// Everything secret about a transfer: the transfer secret, and the gateway's share when there is one. All content keys follow
/// from these two and the header, so this is what a resumable sender keeps, sealed.
#[derive(Clone)]
pub struct TransferSecrets {
    secret: TransferSecret,
    share: Option<Zeroizing<[u8; 32]>>,
}

impl TransferSecrets {
    /// New secrets; with a gateway share unless the transfer is to open without a gateway.
    #[must_use]
    pub fn generate(with_share: bool, rng: &mut (impl CryptoRng + ?Sized)) -> Self {
        let mut draw = || {
            let mut bytes = Zeroizing::new([0; 32]);
            rng.fill_bytes(&mut *bytes);
            bytes
        };
        Self {
            secret: TransferSecret(draw()),
            share: with_share.then(draw),
        }
    }

    /// Secrets that were kept.
    #[must_use]
    pub fn from_parts(secret: TransferSecret, share: Option<&[u8; 32]>) -> Self {
        Self {
            secret,
            share: share.map(|share| Zeroizing::new(*share)),
        }
    }

    /// Joins the two shares of a transfer that is being opened.
    ///
    /// # Errors
    /// [`Reason::Share`] when the header commits to a share and this is not it.
    pub(crate) fn join(header: &Header, secret: TransferSecret, share: Option<&[u8]>) -> Result<Self, Reason> {
        let Some(commit) = header.share_commit else {
            return Ok(Self { secret, share: None });
        };
        let share: &[u8; 32] = share.and_then(|s| s.try_into().ok()).ok_or(Reason::Share)?;
        if !constant_time_eq(&share_commit(share), &commit) {
            return Err(Reason::Share);
        }
        Ok(Self::from_parts(secret, Some(share)))
    }

    /// The transfer secret.
    #[must_use]
    pub fn secret(&self) -> &TransferSecret {
        &self.secret
    }

    /// The gateway's share (G).
    #[must_use]
    pub fn share(&self) -> Option<&[u8; 32]> {
        self.share.as_deref()
    }

    /// `TS || G`; 32 zero bytes stand for an absent share.
    fn key_material(&self) -> Zeroizing<[u8; 64]> {
        let share = self.share().unwrap_or(&[0; 32]);
        let mut ikm = Zeroizing::new([0; 64]);
        for (place, byte) in ikm.iter_mut().zip(self.secret.0.iter().chain(share)) {
            *place = *byte;
        }
        ikm
    }

    /// The header's commitment to these secrets; it covers the 216 bytes before itself.
    pub(crate) fn commitment(&self, header: &Header) -> [u8; 32] {
        *kdf(
            &self.key_material()[..],
            &header.prefix_hash(),
            &[b"sealpost/v1/commit\0"],
        )
    }

    /// The keys that follow, once the header is complete.
    pub(crate) fn payload_keys(&self, header: &Header) -> PayloadKeys {
        let header_hash = header.hash();
        let derive = |info: &[u8]| kdf(&self.key_material()[..], &header_hash, &[info]);
        PayloadKeys {
            payload: derive(b"sealpost/v1/payload\0"),
            manifest: derive(b"sealpost/v1/manifest\0"),
            header_hash,
        }
    }
}

impl fmt::Debug for TransferSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TransferSecrets").finish_non_exhaustive()
    }
}

/// A key and the IV with which it is used, once.
pub(crate) struct KeyAndIv {
    key: Zeroizing<[u8; 32]>,
    iv: [u8; 12],
}

impl KeyAndIv {
    /// `k(32) || iv(12)`.
    pub(crate) fn derive(ikm: &[u8], salt: &[u8], info: &[&[u8]]) -> Self {
        let bytes = kdf::<44>(ikm, salt, info);
        let mut key = Zeroizing::new([0; 32]);
        let mut iv = [0; 12];
        for (place, byte) in key.iter_mut().chain(&mut iv).zip(&*bytes) {
            *place = *byte;
        }
        Self { key, iv }
    }

    pub(crate) fn key(&self) -> &[u8; 32] {
        &self.key
    }

    pub(crate) fn iv(&self) -> &[u8; 12] {
        &self.iv
    }
}

/// PS and MS with the header hash they are bound to.
#[derive(Clone)]
pub(crate) struct PayloadKeys {
    payload: Zeroizing<[u8; 32]>,
    manifest: Zeroizing<[u8; 32]>,
    header_hash: [u8; 32],
}

impl PayloadKeys {
    pub(crate) fn segment(&self, salt: &[u8; 32], index: u64, is_last: bool) -> KeyAndIv {
        let info: [&[u8]; 4] = [
            b"sealpost/v1/segment\0",
            salt,
            &index.to_be_bytes(),
            &[u8::from(is_last)],
        ];
        KeyAndIv::derive(&self.payload[..], &self.header_hash, &info)
    }

    pub(crate) fn manifest_box(&self, salt: &[u8; 32]) -> KeyAndIv {
        let info: [&[u8]; 2] = [b"sealpost/v1/manifest-box\0", salt];
        KeyAndIv::derive(&self.manifest[..], &self.header_hash, &info)
    }

    /// Key of the hashes by which a resuming sender knows that a file has not changed.
    pub(crate) fn resume(&self) -> Zeroizing<[u8; 32]> {
        kdf(&self.payload[..], &self.header_hash, &[b"sealpost/v1/resume\0"])
    }
}

impl fmt::Debug for PayloadKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PayloadKeys").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rand_core::Rng;
    use sealpost_proto::encoding::{hex, unhex, unhex_array};
    use sealpost_proto::sealed::Container;
    use serde_json::Value;

    use super::*;
    use crate::provider::PORTABLE;
    use crate::segment::open_in_place;

    fn vectors() -> Value {
        serde_json::from_str(include_str!("../../../proto/vectors/sealed-v1.json")).unwrap()
    }

    fn secrets(container: &Value) -> TransferSecrets {
        let text = |key: &str| container[key].as_str();
        let share = text("share").map(|share| unhex_array(share).unwrap());
        let secret = TransferSecret::from_bytes(&unhex_array(text("TS").unwrap()).unwrap());
        TransferSecrets::from_parts(secret, share.as_ref())
    }

    fn header(container: &Value) -> Option<Header> {
        let bytes = unhex(container["hex"].as_str()?).unwrap();
        Some(Container::parse(&bytes).unwrap().envelope().unwrap().header)
    }

    #[test]
    fn commitment_and_keys_of_every_container() {
        for container in vectors()["containers"].as_array().unwrap() {
            let Some(header) = header(container) else {
                continue;
            };
            let secrets = secrets(container);
            let keys = secrets.payload_keys(&header);
            assert_eq!(hex(&secrets.commitment(&header)), container["keys"]["C"]);
            assert_eq!(hex(&keys.payload[..]), container["keys"]["PS"]);
            assert_eq!(hex(&keys.manifest[..]), container["keys"]["MS"]);
        }
    }

    #[test]
    fn intermediates_of_the_main_example() {
        let vectors = vectors();
        let steps = &vectors["intermediates"][0];
        let container = &vectors["containers"][2];
        let header = header(container).unwrap();
        let keys = secrets(container).payload_keys(&header);
        assert_eq!(hex(&header.prefix()), steps["header_prefix_216"]);
        assert_eq!(hex(&keys.resume()[..]), steps["resume_key"]);
        let salt = |value: &Value| unhex_array(value.as_str().unwrap()).unwrap();
        let segment = keys.segment(&salt(&steps["segment_0"]["salt"]), 0, true);
        assert_eq!(hex(segment.key()), steps["segment_0"]["key"]);
        assert_eq!(hex(segment.iv()), steps["segment_0"]["iv"]);
        let manifest = keys.manifest_box(&salt(&steps["box_salt"]));
        assert_eq!(hex(manifest.key()), steps["box_key"]);
        assert_eq!(hex(manifest.iv()), steps["box_iv"]);
    }

    #[test]
    fn resume_hash_of_the_main_example() {
        let vectors = vectors();
        let container = &vectors["containers"][2];
        let key = secrets(container).payload_keys(&header(container).unwrap()).resume();
        // Segment 0 of the example: decrypted here, since its text is written down nowhere else.
        let bytes = unhex(container["hex"].as_str().unwrap()).unwrap();
        let mut stored = Container::parse(&bytes).unwrap().payload().to_vec();
        let keys = secrets(container).payload_keys(&header(container).unwrap());
        let derive = |salt: &[u8; 32]| keys.segment(salt, 0, true);
        let plaintext = open_in_place(PORTABLE, &mut stored, derive, Reason::Segment).unwrap();
        let hash = crate::segment::resume_hash(&key, plaintext);
        assert_eq!(hex(&hash), vectors["intermediates"][0]["resume_hash_0"]);
    }

    #[test]
    fn segment_keys_of_two_segments() {
        let vectors = vectors();
        let steps = &vectors["intermediates"][1];
        let array = |value: &Value| unhex_array::<32>(value.as_str().unwrap()).unwrap();
        let keys = PayloadKeys {
            payload: Zeroizing::new(array(&steps["PS"])),
            manifest: Zeroizing::new([0; 32]),
            header_hash: array(&steps["HH"]),
        };
        for segment in steps["segments"].as_array().unwrap() {
            let index = segment["i"].as_u64().unwrap();
            let derived = keys.segment(&array(&segment["salt"]), index, segment["last"] == 1);
            assert_eq!(hex(derived.key()), segment["key"]);
            assert_eq!(hex(derived.iv()), segment["iv"]);
        }
    }

    #[test]
    fn no_two_sealings_of_any_segment_share_key_and_iv() {
        let container = &vectors()["containers"][2];
        let keys = secrets(container).payload_keys(&header(container).unwrap());
        let mut rng = rand_core::UnwrapErr(getrandom::SysRng);
        let mut seen = HashSet::new();
        for index in 0..20 {
            for _ in 0..20 {
                let mut salt = [0; 32];
                rng.fill_bytes(&mut salt);
                for is_last in [false, true] {
                    let derived = keys.segment(&salt, index, is_last);
                    assert!(seen.insert((*derived.key(), *derived.iv())));
                }
            }
        }
    }
}
