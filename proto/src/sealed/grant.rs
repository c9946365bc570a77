//! A grant: a stanza added after sealing, signed by someone who could open the transfer.

use super::header::join;
use super::wire::{Reader, ensure};
use super::{GRANT_LEN, Header, Reason, Stanza};
use crate::crypto::{SigningKey, verify};
use crate::id::PublicKey;

const MAGIC: &[u8; 8] = b"SPGRANT1";
const DOMAIN: &[u8] = b"sealpost/v1/grant\0";

/// What a grant is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A recipient forwards the transfer.
    Forward = 1,
    /// The same person's new key, after rotation.
    Rewrap = 2,
    /// A link added after sealing.
    Link = 3,
    /// A first-time recipient who has just enrolled.
    Enrolment = 4,
}

impl Purpose {
    fn from_u8(number: u8) -> Result<Self, Reason> {
        [Self::Forward, Self::Rewrap, Self::Link, Self::Enrolment]
            .into_iter()
            .find(|purpose| *purpose as u8 == number)
            .ok_or(Reason::Grant)
    }
}

/// What the granter decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GrantTerms {
    /// Who grants.
    pub granter_identity: PublicKey,
    /// Unix seconds.
    pub time: u64,
    /// What for.
    pub purpose: Purpose,
}

/// A grant (sealed-transfer.md, "Grants").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grant {
    /// `HH` of the transfer.
    pub header_hash: [u8; 32],
    /// SHA-256 of the stanza with its head.
    pub stanza_hash: [u8; 32],
    /// Who grants.
    pub granter_identity: PublicKey,
    /// The key that signs.
    pub granter_device: PublicKey,
    /// Unix seconds.
    pub time: u64,
    /// What for.
    pub purpose: Purpose,
    /// Ed25519 over the domain label and the bytes before it.
    pub signature: [u8; 64],
}

impl Grant {
    /// Signs a grant of `stanza`.
    ///
    /// # Errors
    /// [`Reason::Grant`] when the rules do not allow it: the stanza does not fit the purpose, the transfer is not to be
    /// forwarded, or the time lies outside its life.
    pub fn sign(header: &Header, stanza: &Stanza, terms: GrantTerms, device: &SigningKey) -> Result<Self, Reason> {
        let mut grant = Self {
            header_hash: header.hash(),
            stanza_hash: stanza.hash(),
            granter_identity: terms.granter_identity,
            granter_device: device.public(),
            time: terms.time,
            purpose: terms.purpose,
            signature: [0; 64],
        };
        grant.check_rules(header, stanza)?;
        grant.signature = device.sign(&grant.signed_bytes());
        Ok(grant)
    }

    /// Parses exactly 209 bytes.
    ///
    /// # Errors
    /// [`Reason::Grant`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        Self::read(bytes).map_err(|_| Reason::Grant)
    }

    fn read(bytes: &[u8]) -> Result<Self, Reason> {
        ensure(bytes.len() == GRANT_LEN, Reason::Grant)?;
        let mut r = Reader::new(bytes);
        r.expect(MAGIC)?;
        Ok(Self {
            header_hash: r.array()?,
            stanza_hash: r.array()?,
            granter_identity: PublicKey::from_bytes(r.array()?),
            granter_device: PublicKey::from_bytes(r.array()?),
            time: r.u64()?,
            purpose: Purpose::from_u8(r.u8()?)?,
            signature: r.array()?,
        })
    }

    /// The 209 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; GRANT_LEN] {
        join(&[&self.unsigned_bytes(), &self.signature])
    }

    fn unsigned_bytes(&self) -> [u8; GRANT_LEN - 64] {
        join(&[
            MAGIC,
            &self.header_hash,
            &self.stanza_hash,
            self.granter_identity.as_bytes(),
            self.granter_device.as_bytes(),
            &self.time.to_be_bytes(),
            &[self.purpose as u8],
        ])
    }

    fn signed_bytes(&self) -> Vec<u8> {
        [DOMAIN, &self.unsigned_bytes()].concat()
    }

    /// Everything about the grant that can be checked without opening its stanza: signature, header, stanza, purpose, time,
    /// and the granter, for whom `identity_of` names the identity that the directory gives to a device.
    ///
    /// # Errors
    /// [`Reason::Grant`].
    pub fn verify(
        &self,
        header: &Header,
        stanza: &Stanza,
        identity_of: impl FnOnce(&PublicKey) -> Option<PublicKey>,
    ) -> Result<VerifiedGrant, Reason> {
        verify(&self.granter_device, &self.signed_bytes(), &self.signature).map_err(|_| Reason::Grant)?;
        let is_about_these = self.header_hash == header.hash() && self.stanza_hash == stanza.hash();
        ensure(is_about_these, Reason::Grant)?;
        self.check_rules(header, stanza)?;
        let identity = identity_of(&self.granter_device);
        ensure(identity == Some(self.granter_identity), Reason::Grant)?;
        Ok(VerifiedGrant {
            grant: *self,
            stanza: stanza.clone(),
        })
    }

    fn check_rules(&self, header: &Header, stanza: &Stanza) -> Result<(), Reason> {
        Stanza::parse_granted(&stanza.to_bytes())?;
        let is_link = stanza.link_id().is_some();
        ensure(is_link == (self.purpose == Purpose::Link), Reason::Grant)?;
        ensure(!(header.no_forward && self.purpose == Purpose::Forward), Reason::Grant)?;
        ensure(
            (header.created_at..=header.expires_at).contains(&self.time),
            Reason::Grant,
        )
    }
}

/// A grant that passed every check, and the stanza it carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedGrant {
    grant: Grant,
    stanza: Stanza,
}

impl VerifiedGrant {
    /// The grant.
    #[must_use]
    pub fn grant(&self) -> &Grant {
        &self.grant
    }

    /// The stanza.
    #[must_use]
    pub fn stanza(&self) -> &Stanza {
        &self.stanza
    }
}
