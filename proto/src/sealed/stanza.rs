//! One stanza: the transfer secret wrapped for one key (type 1) or one link (type 2), or the hash that stands for one.

use super::wire::{Reader, ensure};
use super::{MAX_BLOCK_LEN, Reason};
use crate::crypto::sha256;
use crate::id::{Kid, LinkId};

const ELIDED: u16 = 0;
const HPKE: u16 = 1;
const LINK: u16 = 2;

const HPKE_LEN: usize = 1200;
const LINK_LEN: usize = 130;

/// Length of X-Wing's encapsulation.
const ENC_LEN: usize = 1120;

/// What the holder of a stanza is to the transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Role {
    /// Someone the transfer is for.
    Recipient = 1,
    /// The sender's own copy.
    SenderCopy = 2,
    /// The organisation's recovery key.
    Recovery = 3,
    /// A shared mailbox.
    Group = 4,
    /// A link or an invitation.
    Link = 5,
    /// Someone it was forwarded to; only in grants.
    Forwarded = 6,
}

impl Role {
    /// The role with this number.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn from_u8(number: u8) -> Result<Self, Reason> {
        [
            Self::Recipient,
            Self::SenderCopy,
            Self::Recovery,
            Self::Group,
            Self::Link,
            Self::Forwarded,
        ]
        .into_iter()
        .find(|role| role.as_u8() == number)
        .ok_or(Reason::Format)
    }

    /// Its number.
    #[must_use]
    pub const fn as_u8(self) -> u8 {
        self as u8
    }
}

/// The transfer secret, sealed with HPKE to an encryption key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HpkeStanza {
    /// 1 to 4 in a block, 6 in a grant.
    pub role: Role,
    /// Id of the encryption key.
    pub kid: Kid,
    /// X-Wing's encapsulation.
    pub enc: Box<[u8; ENC_LEN]>,
    /// The sealed secret.
    pub ct: [u8; 48],
}

/// Cost of Argon2id, within the bounds that every reader checks: 19 MiB to 1 GiB, 2 to 10 passes, one lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argon2Params {
    m_kib: u32,
    t: u8,
}

impl Argon2Params {
    /// The cost of new links: 64 MiB, 3 passes.
    pub const DEFAULT: Self = Self { m_kib: 65_536, t: 3 };

    /// Parameters within the bounds.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn new(m_kib: u32, t: u8) -> Result<Self, Reason> {
        ensure(
            (19_456..=1_048_576).contains(&m_kib) && (2..=10).contains(&t),
            Reason::Format,
        )?;
        Ok(Self { m_kib, t })
    }

    /// Memory in KiB.
    #[must_use]
    pub const fn m_kib(self) -> u32 {
        self.m_kib
    }

    /// Passes.
    #[must_use]
    pub const fn t(self) -> u8 {
        self.t
    }
}

/// How a link's words become a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkKdf {
    /// The link has no words.
    None,
    /// Argon2id over the words.
    Argon2id {
        /// Cost.
        params: Argon2Params,
        /// Salt, drawn by the sender's client.
        salt: [u8; 16],
    },
}

/// The transfer secret, wrapped under words, a link's secret, or both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkStanza {
    /// Id of the link.
    pub link_id: LinkId,
    /// How its words become a key.
    pub kdf: LinkKdf,
    /// Salt of the wrapping key.
    pub wrap_salt: [u8; 32],
    /// The wrapped secret.
    pub ct: [u8; 48],
}

/// A stanza.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stanza {
    /// Left out for this reader, or deleted: the hash of the stanza it stands for.
    Elided([u8; 32]),
    /// Type 1.
    Hpke(HpkeStanza),
    /// Type 2.
    Link(LinkStanza),
    /// A type that this version does not know: ignored, but hashed.
    Unknown {
        /// 3 or more.
        kind: u16,
        /// 1 to 5.
        role: Role,
        /// As it stands.
        body: Vec<u8>,
    },
}

impl Stanza {
    /// Parses the stanza of a grant: exactly `bytes`, type 1 with role 6 or type 2.
    ///
    /// # Errors
    /// [`Reason::Grant`].
    pub fn parse_granted(bytes: &[u8]) -> Result<Self, Reason> {
        let mut reader = Reader::new(bytes);
        let stanza = Self::read(&mut reader).map_err(|_| Reason::Grant)?;
        reader.end().map_err(|_| Reason::Grant)?;
        let is_grantable = match &stanza {
            Self::Hpke(hpke) => hpke.role == Role::Forwarded,
            Self::Link(_) => true,
            Self::Elided(_) | Self::Unknown { .. } => false,
        };
        ensure(is_grantable, Reason::Grant)?;
        Ok(stanza)
    }

    /// Takes one stanza; all rules but those about its place and about role 6, which depends on where it stands.
    pub(super) fn read(r: &mut Reader<'_>) -> Result<Self, Reason> {
        let kind = r.u16()?;
        let role = r.u8()?;
        ensure(r.u8()? == 0, Reason::Format)?;
        let len = usize::try_from(r.u32()?).map_err(|_| Reason::Format)?;
        ensure(len <= MAX_BLOCK_LEN, Reason::Format)?;
        let body = r.bytes(len)?;
        match kind {
            ELIDED => {
                ensure(role == 0, Reason::Format)?;
                Ok(Self::Elided(body.try_into().map_err(|_| Reason::Format)?))
            }
            HPKE => parse_hpke(role, body).map(Self::Hpke),
            LINK => parse_link(role, body).map(Self::Link),
            _ => Ok(Self::Unknown {
                kind,
                role: Role::from_u8(role)?,
                body: body.to_vec(),
            }),
        }
    }

    /// The bytes, with the 8-byte head.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Elided(hash) => with_head(ELIDED, 0, &[hash]),
            Self::Hpke(s) => with_head(HPKE, s.role.as_u8(), &[s.kid.as_bytes(), &s.enc[..], &s.ct]),
            Self::Link(s) => link_bytes(s),
            Self::Unknown { kind, role, body } => with_head(*kind, role.as_u8(), &[body]),
        }
    }

    /// What the stanza contributes to the block's hash: SHA-256 of its bytes, or the hash that an elided one carries.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        match self {
            Self::Elided(hash) => *hash,
            _ => sha256(&[&self.to_bytes()]),
        }
    }

    /// The stanza that stands for this one.
    #[must_use]
    pub fn elided(&self) -> Self {
        Self::Elided(self.hash())
    }

    /// Whether this is a hash that stands for another stanza.
    #[must_use]
    pub fn is_elided(&self) -> bool {
        matches!(self, Self::Elided(_))
    }

    /// Id of the key it is for, when it is of type 1.
    #[must_use]
    pub fn kid(&self) -> Option<&Kid> {
        match self {
            Self::Hpke(stanza) => Some(&stanza.kid),
            _ => None,
        }
    }

    /// Id of the link it is for, when it is of type 2.
    #[must_use]
    pub fn link_id(&self) -> Option<&LinkId> {
        match self {
            Self::Link(stanza) => Some(&stanza.link_id),
            _ => None,
        }
    }

    /// Its role; none when it is elided.
    #[must_use]
    pub fn role(&self) -> Option<Role> {
        match self {
            Self::Elided(_) => None,
            Self::Hpke(stanza) => Some(stanza.role),
            Self::Link(_) => Some(Role::Link),
            Self::Unknown { role, .. } => Some(*role),
        }
    }

    /// Its type, and the id that must ascend within that type. None for an elided one, which has no place of its own.
    pub(super) fn order_key(&self) -> Option<(u16, &[u8])> {
        match self {
            Self::Elided(_) => None,
            Self::Hpke(stanza) => Some((HPKE, stanza.kid.as_bytes())),
            Self::Link(stanza) => Some((LINK, stanza.link_id.as_bytes())),
            Self::Unknown { kind, .. } => Some((*kind, &[])),
        }
    }
}

fn parse_hpke(role: u8, body: &[u8]) -> Result<HpkeStanza, Reason> {
    ensure(body.len() == HPKE_LEN, Reason::Format)?;
    let role = Role::from_u8(role)?;
    ensure(role != Role::Link, Reason::Format)?;
    let mut r = Reader::new(body);
    Ok(HpkeStanza {
        role,
        kid: Kid::from_bytes(r.array()?),
        enc: Box::new(r.array()?),
        ct: r.array()?,
    })
}

fn parse_link(role: u8, body: &[u8]) -> Result<LinkStanza, Reason> {
    ensure(
        body.len() == LINK_LEN && Role::from_u8(role)? == Role::Link,
        Reason::Format,
    )?;
    let mut r = Reader::new(body);
    let link_id = LinkId::from_bytes(r.array()?);
    let kdf = r.u8()?;
    let (m_kib, t, p) = (r.u32()?, r.u8()?, r.u8()?);
    r.expect(&[0; 11])?;
    let salt = r.array()?;
    let kdf = match kdf {
        0 => {
            ensure((m_kib, t, p, salt) == (0, 0, 0, [0; 16]), Reason::Format)?;
            LinkKdf::None
        }
        1 => {
            ensure(p == 1, Reason::Format)?;
            LinkKdf::Argon2id {
                params: Argon2Params::new(m_kib, t)?,
                salt,
            }
        }
        _ => return Err(Reason::Format),
    };
    Ok(LinkStanza {
        link_id,
        kdf,
        wrap_salt: r.array()?,
        ct: r.array()?,
    })
}

fn link_bytes(stanza: &LinkStanza) -> Vec<u8> {
    let (kdf, m_kib, t, p, salt) = match stanza.kdf {
        LinkKdf::None => (0, 0, 0, 0, [0; 16]),
        LinkKdf::Argon2id { params, salt } => (1, params.m_kib, params.t, 1, salt),
    };
    let body: [&[u8]; 8] = [
        stanza.link_id.as_bytes(),
        &[kdf],
        &m_kib.to_be_bytes(),
        &[t, p],
        &[0; 11],
        &salt,
        &stanza.wrap_salt,
        &stanza.ct,
    ];
    with_head(LINK, Role::Link.as_u8(), &body)
}

fn with_head(kind: u16, role: u8, body: &[&[u8]]) -> Vec<u8> {
    let len: usize = body.iter().map(|field| field.len()).sum();
    // Bodies are parsed or made here and are at most 1 MiB long; a longer one would be refused by every reader.
    let len = u32::try_from(len).unwrap_or(u32::MAX);
    let kind = kind.to_be_bytes();
    let len = len.to_be_bytes();
    let head: [&[u8]; 3] = [&kind, &[role, 0], &len];
    [head.concat(), body.concat()].concat()
}
