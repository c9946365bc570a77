//! What opens a link: spoken words, a secret in the link's fragment, or both (sealed-transfer.md, "Links").

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use sealpost_proto::crypto::kdf;
use sealpost_proto::id::LinkId;
use sealpost_proto::sealed::LinkKdf;
use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use crate::provider::CryptoFailure;
use crate::schedule::KeyAndIv;

/// What a person typed, as it goes into the key derivation: NFKC, lower case, split at everything but a-z, one space between.
#[must_use]
pub fn normalise_words(typed: &str) -> Zeroizing<String> {
    let folded = || typed.nfkc().flat_map(char::to_lowercase);
    // Room for all of it at once, and nothing in between: a string that grows leaves copies behind that nobody wipes.
    let mut words = Zeroizing::new(String::with_capacity(folded().count()));
    for c in folded() {
        if c.is_ascii_lowercase() {
            words.push(c);
        } else if !words.is_empty() && !words.ends_with(' ') {
            words.push(' ');
        }
    }
    if words.ends_with(' ') {
        words.pop();
    }
    words
}

/// Words, a link's secret, or both. Wiped when dropped, never shown.
#[derive(Clone)]
pub struct LinkKey {
    link_id: LinkId,
    words: Option<Zeroizing<String>>,
    secret: Option<Zeroizing<[u8; 32]>>,
}

impl LinkKey {
    /// The key of a link. None unless there are words or a secret.
    #[must_use]
    pub fn new(link_id: LinkId, words: Option<&str>, secret: Option<&[u8; 32]>) -> Option<Self> {
        let words = words.map(normalise_words).filter(|words| !words.is_empty());
        let secret = secret.map(|secret| Zeroizing::new(*secret));
        (words.is_some() || secret.is_some()).then_some(Self { link_id, words, secret })
    }

    /// Id of the link.
    #[must_use]
    pub fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// Whether words are part of the key.
    #[must_use]
    pub fn has_words(&self) -> bool {
        self.words.is_some()
    }

    /// `ls || pw`. Slow when there are words: Argon2id.
    ///
    /// # Errors
    /// [`CryptoFailure`] when `kdf` asks for words and there are none, or the other way round.
    pub(crate) fn key_material(&self, kdf: &LinkKdf) -> Result<LinkMaterial, CryptoFailure> {
        let pw = match (kdf, &self.words) {
            (LinkKdf::None, None) => Zeroizing::new([0; 32]),
            (LinkKdf::Argon2id { params, salt }, Some(words)) => argon2id(words, salt, params.m_kib(), params.t())?,
            _ => return Err(CryptoFailure),
        };
        let ls = self.secret.as_deref().unwrap_or(&[0; 32]);
        let mut ikm = Zeroizing::new([0; 64]);
        for (place, byte) in ikm.iter_mut().zip(ls.iter().chain(&*pw)) {
            *place = *byte;
        }
        Ok(LinkMaterial {
            ikm,
            link_id: self.link_id,
        })
    }

    /// What proves to the gateway that the words or the secret are known, without telling them.
    ///
    /// # Errors
    /// As for opening: [`CryptoFailure`] when `kdf` asks for words and there are none, or the other way round.
    pub fn auth(&self, kdf: &LinkKdf) -> Result<Zeroizing<[u8; 32]>, CryptoFailure> {
        Ok(self.key_material(kdf)?.auth())
    }

    /// The same, with the key under which a visitor's client keeps what it needs to go on after an interruption: Argon2id once.
    ///
    /// # Errors
    /// As [`LinkKey::auth`].
    pub fn keys(&self, kdf: &LinkKdf) -> Result<LinkKeys, CryptoFailure> {
        let material = self.key_material(kdf)?;
        Ok(LinkKeys {
            auth: material.auth(),
            state: material.state(),
        })
    }
}

/// What words and secret give beside the key of the stanza. Wiped when dropped, never shown.
pub struct LinkKeys {
    /// Proves to the gateway that they are known.
    pub auth: Zeroizing<[u8; 32]>,
    /// Seals a visitor's own state.
    pub state: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for LinkKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKeys").finish_non_exhaustive()
    }
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkKey")
            .field("link_id", &self.link_id)
            .finish_non_exhaustive()
    }
}

/// `ls || pw`, from which the link's keys follow.
pub(crate) struct LinkMaterial {
    ikm: Zeroizing<[u8; 64]>,
    link_id: LinkId,
}

impl LinkMaterial {
    pub(crate) fn wrap(&self, header_hash: &[u8; 32], wrap_salt: &[u8; 32]) -> KeyAndIv {
        let info: [&[u8]; 3] = [b"sealpost/v1/link-wrap\0", self.link_id.as_bytes(), wrap_salt];
        KeyAndIv::derive(&self.ikm[..], header_hash, &info)
    }

    fn auth(&self) -> Zeroizing<[u8; 32]> {
        kdf(&self.ikm[..], self.link_id.as_bytes(), &[b"sealpost/v1/link-auth\0"])
    }

    /// Never leaves the client, so it is no part of the format.
    fn state(&self) -> Zeroizing<[u8; 32]> {
        kdf(&self.ikm[..], self.link_id.as_bytes(), &[b"sealpost/v1/link-state\0"])
    }
}

fn argon2id(words: &str, salt: &[u8; 16], m_kib: u32, t: u8) -> Result<Zeroizing<[u8; 32]>, CryptoFailure> {
    let params = Params::new(m_kib, u32::from(t), 1, Some(32)).map_err(|_| CryptoFailure)?;
    let mut pw = Zeroizing::new([0; 32]);
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into(words.as_bytes(), salt, &mut *pw)
        .map_err(|_| CryptoFailure)?;
    Ok(pw)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The specification's own words, without a thought for what stays in memory.
    fn by_the_book(typed: &str) -> String {
        let lower = typed.nfkc().collect::<String>().to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_lowercase());
        words.filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn words_are_normalised_within_the_room_that_was_made() {
        let widest = "\u{fdfa}\u{33c2}\u{33af}\u{2177}".repeat(40);
        for typed in ["", " - ", "  Abacus, ZOOM\tİSTANBUL ΣΑΣ ﬃ ㏂㏂ ", &widest] {
            let words = normalise_words(typed);
            assert_eq!(*words, by_the_book(typed));
            let room = typed.nfkc().flat_map(char::to_lowercase).count();
            assert_eq!(
                words.capacity(),
                String::with_capacity(room).capacity(),
                "it grew: {typed:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn words_are_normalised_as_specified(typed in any::<String>(), word in "[a-zA-Zａ-ｚ ,.ΣKİ-]{0,40}") {
            prop_assert_eq!(&*normalise_words(&typed), &by_the_book(&typed));
            prop_assert_eq!(&*normalise_words(&word), &by_the_book(&word));
        }
    }
}
