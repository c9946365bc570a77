//! The stanza block: who can open the transfer, and what of that a caller gets to see.

use super::wire::{Reader, ensure};
use super::{Header, MAX_BLOCK_LEN, MAX_STANZAS, Reason, Role, Stanza};
use crate::crypto::h;
use crate::id::{Kid, LinkId};

/// A stanza block whose stanzas are each valid and in order (sealed-transfer.md, "Stanza block").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    stanzas: Vec<Stanza>,
}

impl Block {
    /// The block of these stanzas, as a sender makes it: sorted, none elided, no two for the same key or link.
    ///
    /// # Errors
    /// [`Reason::Format`] for too many or too long stanzas, two for the same key or link, or one that only a grant may carry.
    pub fn seal(mut stanzas: Vec<Stanza>) -> Result<Self, Reason> {
        stanzas.sort_by(|a, b| a.order_key().cmp(&b.order_key()));
        let block = Self { stanzas };
        let parsed = Self::parse(&block.to_bytes())?;
        parsed.check_as_sealed()?;
        Ok(parsed)
    }

    /// Parses a block as a reader does: elided stanzas are allowed.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Reason> {
        ensure(bytes.len() <= MAX_BLOCK_LEN, Reason::Format)?;
        let mut r = Reader::new(bytes);
        let count = usize::from(r.u16()?);
        ensure((1..=MAX_STANZAS).contains(&count) && r.u16()? == 0, Reason::Format)?;
        let mut stanzas = Vec::with_capacity(count);
        for _ in 0..count {
            let stanza = Stanza::read(&mut r)?;
            ensure(stanza.role() != Some(Role::Forwarded), Reason::Format)?;
            stanzas.push(stanza);
        }
        r.end()?;
        let block = Self { stanzas };
        ensure(block.is_ordered(), Reason::Format)?;
        Ok(block)
    }

    /// Types never descend; within the known types ids ascend strictly. Elided stanzas are passed over.
    fn is_ordered(&self) -> bool {
        let keys: Vec<(u16, &[u8])> = self.stanzas.iter().filter_map(Stanza::order_key).collect();
        keys.is_sorted_by(|a, b| if a.1.is_empty() { a.0 <= b.0 } else { a < b })
    }

    /// The further rule of a gateway at seal: nothing is elided yet.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn check_as_sealed(&self) -> Result<(), Reason> {
        ensure(!self.has_elided(), Reason::Format)
    }

    /// Whether the header's `RECOVERY_PRESENT` agrees with what is visible here: a visible recovery stanza needs the flag, and
    /// the flag needs one unless something is elided.
    ///
    /// # Errors
    /// [`Reason::Format`].
    pub fn check_recovery(&self, header: &Header) -> Result<(), Reason> {
        let is_visible = self.stanzas.iter().any(|s| s.role() == Some(Role::Recovery));
        let agrees = match header.recovery_present {
            true => is_visible || self.has_elided(),
            false => !is_visible,
        };
        ensure(agrees, Reason::Format)
    }

    fn has_elided(&self) -> bool {
        self.stanzas.iter().any(Stanza::is_elided)
    }

    /// The stanzas, in order.
    #[must_use]
    pub fn stanzas(&self) -> &[Stanza] {
        &self.stanzas
    }

    /// The visible stanza for a key.
    #[must_use]
    pub fn for_kid(&self, kid: &Kid) -> Option<&Stanza> {
        self.stanzas.iter().find(|s| s.kid() == Some(kid))
    }

    /// The visible stanza for a link.
    #[must_use]
    pub fn for_link(&self, link_id: &LinkId) -> Option<&Stanza> {
        self.stanzas.iter().find(|s| s.link_id() == Some(link_id))
    }

    /// The block with every stanza elided for which `keep` says no; its hash stays the same.
    #[must_use]
    pub fn elide(&self, keep: impl Fn(&Stanza) -> bool) -> Self {
        let elide = |s: &Stanza| if keep(s) { s.clone() } else { s.elided() };
        Self {
            stanzas: self.stanzas.iter().map(elide).collect(),
        }
    }

    /// The block as the holder of `kid` gets it: everyone else's stanzas elided.
    #[must_use]
    pub fn elide_all_but(&self, kid: &Kid) -> Self {
        self.elide(|s| s.kid() == Some(kid))
    }

    /// The bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let stanzas: Vec<Vec<u8>> = self.stanzas.iter().map(Stanza::to_bytes).collect();
        let count = self.count().to_be_bytes();
        [&count[..], &[0, 0], &stanzas.concat()].concat()
    }

    /// `SH = H("stanzas", u16 count || SHA-256 of each stanza)`; the same whatever is elided.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        let hashes: Vec<[u8; 32]> = self.stanzas.iter().map(Stanza::hash).collect();
        h("stanzas", &[&self.count().to_be_bytes(), hashes.as_flattened()])
    }

    fn count(&self) -> u16 {
        // At most 256 once parsed; a longer list, before it is checked, becomes a count that parsing refuses.
        u16::try_from(self.stanzas.len()).unwrap_or(u16::MAX)
    }
}
