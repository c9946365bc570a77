//! Links for people without an account, on the sender's side: drawing them, and ending or re-arming them later.
//!
//! Words and secret are told once, by the command that made the link. Until the transfer is sealed they lie in its sealed state, so
//! that an interrupted send can still tell them; afterwards nowhere.

use std::fmt;

use sealpost_proto::api::NewLink;
use sealpost_proto::crypto::sha256;
use sealpost_proto::enrolment::GatewayAddress;
use sealpost_proto::id::{Hash, LinkId, OrgId};
use sealpost_proto::link::{Link, LinkFragment};
use sealpost_proto::sealed::{Block, Stanza};
use sealpost_sealed::LinkKey;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use crate::env::Env;
use crate::error::Error;
use crate::records::{KeptSecret, SentLink};
use crate::words;

/// Openings of a link, if nobody says otherwise.
pub const DEFAULT_OPENINGS: u32 = 5;

/// Spoken words: wiped when dropped, never shown by `Debug`.
#[derive(Clone)]
pub struct Words(Zeroizing<String>);

impl Words {
    /// The words, one space between.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Words(..)")
    }
}

impl Serialize for Words {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Words {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|words| Self(Zeroizing::new(words)))
    }
}

/// A link that was drawn for a transfer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DrawnLink {
    id: LinkId,
    words: Words,
    secret: Option<KeptSecret>,
    openings: u32,
}

impl DrawnLink {
    /// Draws a link with so many words. With a secret its text is itself half of the key.
    #[must_use]
    pub fn draw(words: usize, with_secret: bool, openings: u32, env: &Env) -> Self {
        Self {
            id: LinkId::from_bytes(env.draw()),
            words: Words(words::draw(words, env)),
            secret: with_secret.then(|| KeptSecret::new(&Zeroizing::new(env.draw()))),
            openings,
        }
    }

    /// Its words.
    #[must_use]
    pub fn words(&self) -> &str {
        self.words.as_str()
    }

    /// Whether its text holds a secret.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.secret.is_some()
    }

    /// How often it may be opened.
    #[must_use]
    pub fn openings(&self) -> u32 {
        self.openings
    }

    /// Its name where the id must not stand.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sealpost_proto::link::link_hash(&self.id)
    }

    /// Its text.
    ///
    /// # Errors
    /// [`Error::Internal`] if the gateway's address cannot stand in a link.
    pub fn text(&self, at: &GatewayAddress, org: &OrgId) -> Result<Zeroizing<String>, Error> {
        let half = org.as_bytes().first_chunk().copied().unwrap_or_default();
        let fragment = self.secret.as_ref().map(|secret| LinkFragment {
            secret: Zeroizing::new(*secret.as_bytes()),
            org: half,
        });
        Ok(link_at(at, self.id, fragment)?.to_text())
    }

    /// What opens its stanza.
    pub(crate) fn key(&self) -> Result<LinkKey, Error> {
        let secret = self.secret.as_ref().map(KeptSecret::as_bytes);
        LinkKey::new(self.id, Some(self.words()), secret).ok_or(Error::Internal("a link"))
    }

    /// What the gateway gets to know of it. Slow: Argon2id.
    pub(crate) fn registration(&self, block: &Block) -> Result<NewLink, Error> {
        let Some(Stanza::Link(stanza)) = block.for_link(&self.id) else {
            return Err(Error::Internal("a link"));
        };
        let auth = self.key()?.auth(&stanza.kdf).map_err(|_| Error::Internal("a link"))?;
        Ok(NewLink {
            link: self.id,
            auth_sha256: Hash::from_bytes(sha256(&[&auth[..]])),
            openings: self.openings,
        })
    }

    /// What is remembered of it.
    pub(crate) fn to_record(&self) -> SentLink {
        SentLink {
            link: self.id,
            has_secret: self.has_secret(),
            verified: None,
            is_burned: false,
        }
    }
}

impl SentLink {
    /// Its name where the id must not stand.
    #[must_use]
    pub fn hash(&self) -> Hash {
        sealpost_proto::link::link_hash(&self.link)
    }

    /// Its text; none if a secret belongs to it, which is not kept.
    #[must_use]
    pub fn text(&self, at: &GatewayAddress) -> Option<String> {
        if self.has_secret {
            return None;
        }
        link_at(at, self.link, None).ok().map(|link| link.to_text().to_string())
    }
}

fn link_at(at: &GatewayAddress, id: LinkId, fragment: Option<LinkFragment>) -> Result<Link, Error> {
    Link::new(&at.url, id, fragment).map_err(|_| Error::Internal("the gateway's address"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::account;

    #[test]
    fn a_link_reads_back_and_shows_its_secrets_to_nobody() {
        let (env, account) = (Env::system(), account());
        let plain = DrawnLink::draw(5, false, 5, &env);
        let text = plain.text(&account.at, &account.org).unwrap();
        let read = Link::parse(&text).unwrap();
        assert_eq!((read.link_id(), read.fragment().is_none()), (plain.id, true));
        assert_eq!(plain.to_record().text(&account.at).as_deref(), Some(text.as_str()));

        let secret = DrawnLink::draw(6, true, 1, &env);
        let text = secret.text(&account.at, &account.org).unwrap();
        let read = Link::parse(&text).unwrap();
        let fragment = read.fragment().unwrap();
        assert_eq!(fragment.secret[..], secret.secret.as_ref().unwrap().as_bytes()[..]);
        assert_eq!(fragment.org[..], account.org.as_bytes()[..16]);
        assert_eq!(secret.to_record().text(&account.at), None);
        let shown = format!("{secret:?}");
        assert!(!shown.contains(secret.words()) && !shown.contains(text.split("s=").nth(1).unwrap()));
        let kept = serde_json::to_string(&secret).unwrap();
        let back: DrawnLink = serde_json::from_str(&kept).unwrap();
        assert_eq!(*back.text(&account.at, &account.org).unwrap(), *text);
        assert_eq!(back.words(), secret.words());
    }
}
