//! The text of a link for someone without an account (sealed-transfer.md, "Links"): exactly these forms, one spelling each.
//!
//! `https://gw/l/<id>` is mailed and holds no secret (`#` or `%23` may stand for the last slash, as mail gateways rewrite it);
//! `https://gw/l#v1;id=<id>;s=<secret>;o=<organisation>` travels on a channel of the sender's own. Pure text: nothing is fetched.

use std::fmt;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::h;
use crate::encoding::{base64url, hex, unbase64url_array, unhex_array};
use crate::id::{Hash, LinkId};

/// Name of a link where its id must not stand, as in logs and paths: `H("link", link_id)`.
#[must_use]
pub fn link_hash(link: &LinkId) -> Hash {
    Hash::from_bytes(h("link", &[link.as_bytes()]))
}

/// A text that is not a link of v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("This is not a Sealpost link, or a part of it is missing: copy it again from the beginning to the end.")]
pub struct LinkError;

/// What the fragment of a link carries, and no server sees.
#[derive(Clone, PartialEq, Eq)]
pub struct LinkFragment {
    /// The link's secret, half of the key derivation.
    pub secret: Zeroizing<[u8; 32]>,
    /// First 16 bytes of the sender's organisation id.
    pub org: [u8; 16],
}

impl fmt::Debug for LinkFragment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LinkFragment")
            .field("org", &hex(&self.org))
            .finish_non_exhaustive()
    }
}

/// A link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    base: String,
    link_id: LinkId,
    fragment: Option<LinkFragment>,
}

impl Link {
    /// A link at the gateway whose address is `base` (`https://host`, optionally with a path, no slash at the end).
    ///
    /// # Errors
    /// [`LinkError`] when `base` is not such an address.
    pub fn new(base: &str, link_id: LinkId, fragment: Option<LinkFragment>) -> Result<Self, LinkError> {
        if !is_base(base) {
            return Err(LinkError);
        }
        Ok(Self {
            base: base.to_owned(),
            link_id,
            fragment,
        })
    }

    /// Parses the text of a link.
    ///
    /// # Errors
    /// [`LinkError`] for every other text.
    pub fn parse(text: &str) -> Result<Self, LinkError> {
        if let Some((page, fragment)) = text.split_once('#') {
            let base = page.strip_suffix("/l").ok_or(LinkError)?;
            let (link_id, fragment) = parse_fragment(fragment)?;
            return Self::new(base, link_id, fragment);
        }
        let (base, id) = text
            .rsplit_once("/l%23")
            .or_else(|| text.rsplit_once("/l/"))
            .ok_or(LinkError)?;
        Self::new(base, parse_id(id)?, None)
    }

    /// Address of the gateway, without a slash at the end.
    #[must_use]
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Id of the link.
    #[must_use]
    pub fn link_id(&self) -> LinkId {
        self.link_id
    }

    /// Secret and organisation, when the link carries them.
    #[must_use]
    pub fn fragment(&self) -> Option<&LinkFragment> {
        self.fragment.as_ref()
    }

    /// The text of the link. It holds the secret when the link has one: show it to its sender and nobody else.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let Self {
            base,
            link_id,
            fragment,
        } = self;
        Zeroizing::new(match fragment {
            None => format!("{base}/l/{link_id}"),
            Some(LinkFragment { secret, org }) => {
                format!("{base}/l#v1;id={link_id};s={};o={}", base64url(&secret[..]), hex(org))
            }
        })
    }
}

fn parse_fragment(text: &str) -> Result<(LinkId, Option<LinkFragment>), LinkError> {
    let Some(fields) = text.strip_prefix("v1;id=") else {
        return Ok((parse_id(text)?, None));
    };
    let (id, fields) = fields.split_once(";s=").ok_or(LinkError)?;
    let (secret, org) = fields.split_once(";o=").ok_or(LinkError)?;
    let fragment = LinkFragment {
        secret: Zeroizing::new(unbase64url_array(secret).map_err(|_| LinkError)?),
        org: unhex_array(org).map_err(|_| LinkError)?,
    };
    Ok((parse_id(id)?, Some(fragment)))
}

fn parse_id(text: &str) -> Result<LinkId, LinkError> {
    text.parse().map_err(|_| LinkError)
}

fn is_base(base: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'?' | b'#' | b'%' | b';' | b'\\' | b'@');
    match base.strip_prefix("https://") {
        Some(rest) => !rest.is_empty() && !rest.starts_with('/') && !rest.ends_with('/') && rest.bytes().all(allowed),
        None => false,
    }
}
