//! A transfer, from announced to shredded: what it is and what follows from that. Commands on it are decided elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use sealpost_proto::api::{LinkSummary, OPENING_LIFETIME, RecipientState, TransferState, UNSEALED_LIFETIME};
use sealpost_proto::id::{Hash, Label, OpeningId, PublicKey, TransferId};
use sealpost_proto::sealed::STORED_SEGMENT_LEN;
use serde::{Deserialize, Serialize};

use super::Change;
use super::link::{Link, Tries};
use super::sealed::{Progress, Recipient, Sealed};

/// Time for which the ciphertext stays after its share was destroyed, in seconds: downloads that run may end.
pub const CIPHERTEXT_GRACE: u64 = 48 * 3_600;

/// Ended openings of one device that are remembered; older ones are in the journal alone.
const ENDED_OPENINGS: usize = 16;

/// Keys of days are replaced at multiples of this, in seconds: once for all shares that were destroyed in between.
pub const KEY_REPLACEMENT: u64 = 6 * 3_600;

/// A part that is durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPart {
    /// Stored bytes.
    pub len: u64,
    /// Subtree root over its segments.
    pub root: Hash,
}

impl StoredPart {
    /// Segments in it.
    #[must_use]
    pub fn segments(&self) -> u64 {
        self.len.div_ceil(STORED_SEGMENT_LEN as u64)
    }
}

/// A transfer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Its id.
    pub id: TransferId,
    /// Its sender.
    pub sender: Label,
    /// Announced stored bytes.
    pub bytes: u64,
    /// When it was announced, unix seconds; for one that came whole, when it was sealed.
    pub announced_at: u64,
    /// Parts that are durable. Empty for a transfer that came whole: its part is in the envelope.
    pub parts: BTreeMap<u32, StoredPart>,
    /// Parts that another took the place of; their bytes go once the transfer is sealed or abandoned.
    pub superseded: BTreeSet<(u32, Hash)>,
    /// It was not sealed in time and is being removed.
    pub is_abandoned: bool,
    /// What was sealed.
    pub sealed: Option<Sealed>,
    /// How far its recipients have come, of those who did anything.
    pub progress: BTreeMap<Label, Progress>,
    /// Its links, by the hash of their ids.
    pub links: BTreeMap<Hash, Link>,
    /// Openings by id.
    pub openings: BTreeMap<OpeningId, Opening>,
    /// Since when its share is missing (unix seconds), as after a restore: nothing is released until its sender re-arms it.
    pub held_at: Option<u64>,
    /// Set when the share has to be destroyed.
    pub shredded: Option<Shredded>,
}

/// Who made an opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Opener {
    /// A person of the directory.
    Member(Label),
    /// Somebody with a link, by the hash of its id.
    Link(Hash),
}

/// An opening: a device's right to ask for the share again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Opening {
    /// Whose.
    pub opener: Opener,
    /// The device that it is bound to.
    pub device: PublicKey,
    /// When it was made, unix seconds.
    pub at: u64,
    /// Whether it counts against the recipient's limit.
    pub is_counted: bool,
    /// When it was verified, unix seconds.
    pub verified_at: Option<u64>,
    /// Its last receipt with both signatures.
    pub receipt: Option<String>,
}

impl Opening {
    fn new(opener: Opener, device: PublicKey, at: u64, is_counted: bool) -> Self {
        Self {
            opener,
            device,
            at,
            is_counted,
            verified_at: None,
            receipt: None,
        }
    }

    /// Until when it may be repeated, unix seconds.
    #[must_use]
    pub fn expires_at(&self) -> u64 {
        Self::expiry(self.at)
    }

    /// Until when an opening made at `at` may be repeated, unix seconds.
    #[must_use]
    pub fn expiry(at: u64) -> u64 {
        at.saturating_add(OPENING_LIFETIME)
    }

    /// Whether its device may repeat it at `now`.
    #[must_use]
    pub fn is_live(&self, now: u64) -> bool {
        self.verified_at.is_none() && now < self.expires_at()
    }

    /// When it ends or ended.
    fn ends_at(&self) -> u64 {
        self.verified_at.unwrap_or_else(|| self.expires_at())
    }
}

/// Why a share was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ShredCause {
    /// The transfer expired.
    Expired,
    /// The sender revoked it.
    Revoked,
    /// All openings that the sender allowed are used.
    Used,
}

impl ShredCause {
    /// The word in the leaf.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Used => "used",
        }
    }
}

/// How far the end of a transfer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shredded {
    /// Why.
    pub cause: ShredCause,
    /// When it was decided, unix seconds; from here on nothing is released.
    pub at: u64,
    /// When the row was gone, unix seconds.
    pub destroyed_at: Option<u64>,
    /// Whether the day's key was replaced since, so that no copy of the row opens either.
    pub is_key_replaced: bool,
    /// Whether parts and envelope are gone as well.
    pub is_swept: bool,
}

impl Shredded {
    fn new(cause: ShredCause, at: u64) -> Self {
        Self {
            cause,
            at,
            destroyed_at: None,
            // At expiry the key goes with its day.
            is_key_replaced: cause == ShredCause::Expired,
            is_swept: false,
        }
    }

    /// When its next step is due; none after the last.
    fn due_at(&self) -> Option<u64> {
        match self.destroyed_at {
            None => Some(0),
            Some(at) if !self.is_key_replaced => Some((at / KEY_REPLACEMENT + 1) * KEY_REPLACEMENT),
            Some(at) => (!self.is_swept).then_some(at + CIPHERTEXT_GRACE),
        }
    }
}

impl Transfer {
    /// A transfer that was announced.
    #[must_use]
    pub fn announced(id: TransferId, sender: Label, bytes: u64, at: u64) -> Self {
        Self {
            id,
            sender,
            bytes,
            announced_at: at,
            parts: BTreeMap::new(),
            superseded: BTreeSet::new(),
            is_abandoned: false,
            sealed: None,
            progress: BTreeMap::new(),
            links: BTreeMap::new(),
            openings: BTreeMap::new(),
            held_at: None,
            shredded: None,
        }
    }

    /// Whether this person sent it or may open it.
    #[must_use]
    pub fn is_party(&self, label: &Label) -> bool {
        self.sender == *label || self.recipient(label).is_some()
    }

    /// Whether another part took the place of this one, whose bytes are still to be removed.
    #[must_use]
    pub fn is_superseded(&self, number: u32, root: &Hash) -> bool {
        self.superseded.contains(&(number, *root))
    }

    /// Whom this recipient's stanza is for, once it is sealed.
    #[must_use]
    pub fn recipient(&self, label: &Label) -> Option<&Recipient> {
        self.sealed.as_ref()?.recipients.iter().find(|r| r.label == *label)
    }

    /// Whether this device of this opener has an opening of it that is live at `now` (unix seconds), as reading the stored bytes
    /// needs.
    #[must_use]
    pub fn is_open_to(&self, opener: &Opener, device: &PublicKey, now: u64) -> bool {
        let is_own = |o: &Opening| o.opener == *opener && o.device == *device;
        self.openings.values().any(|o| is_own(o) && o.is_live(now))
    }

    /// Who made the openings of this device; none if it has none.
    #[must_use]
    pub fn opener_of(&self, device: &PublicKey) -> Option<Opener> {
        let mut own = self.openings.values().filter(|o| o.device == *device);
        own.next().map(|opening| opening.opener)
    }

    /// Whether its share has to be destroyed and was not yet.
    #[must_use]
    pub fn awaits_destruction(&self) -> bool {
        self.shredded.is_some_and(|shredded| shredded.destroyed_at.is_none())
    }

    /// How many live openings this device has of it at `now` (unix seconds).
    #[must_use]
    pub fn live_openings(&self, device: &PublicKey, now: u64) -> usize {
        let own = self.openings.values().filter(|o| o.device == *device);
        own.filter(|o| o.is_live(now)).count()
    }

    /// Where it stands at `now` (unix seconds). Nothing is released unless it is available.
    #[must_use]
    pub fn state(&self, now: u64) -> TransferState {
        match (self.shredded.map(|s| s.cause), self.end_time()) {
            (Some(ShredCause::Revoked), _) => TransferState::Revoked,
            (Some(ShredCause::Used), _) => TransferState::Used,
            (Some(ShredCause::Expired), _) => TransferState::Expired,
            (None, Some((at, cause))) if now >= at && cause == ShredCause::Used => TransferState::Used,
            (None, Some((at, _))) if now >= at => TransferState::Expired,
            (None, _) if self.held_at.is_some() => TransferState::Held,
            (None, _) => TransferState::Available,
        }
    }

    /// When its share is due to be destroyed, and why: at expiry, or when the last allowed opening has ended.
    #[must_use]
    pub fn end_time(&self) -> Option<(u64, ShredCause)> {
        let sealed = self.sealed.as_ref()?;
        let expiry = (sealed.expires_at, ShredCause::Expired);
        match self.used_up_at() {
            Some(at) if at < sealed.expires_at => Some((at, ShredCause::Used)),
            _ => Some(expiry),
        }
    }

    /// When the last of all allowed openings ends or ended; none while one is left to be made.
    fn used_up_at(&self) -> Option<u64> {
        let sealed = self.sealed.as_ref()?;
        let is_left = |r: &Recipient| {
            sealed
                .openings
                .is_none_or(|allowed| self.openings_used(&r.label) < allowed)
        };
        if sealed.recipients.iter().any(is_left) || self.links.values().any(Link::is_left) {
            return None;
        }
        self.openings
            .values()
            .filter(|o| o.is_counted)
            .map(Opening::ends_at)
            .max()
    }

    /// Openings that count against this recipient's limit.
    #[must_use]
    pub fn openings_used(&self, label: &Label) -> u32 {
        self.progress.get(label).map_or(0, |p| p.openings_used)
    }

    /// When the sweep has work on it next (unix seconds); none when it is done with it.
    #[must_use]
    pub fn due_at(&self) -> Option<u64> {
        match &self.shredded {
            Some(shredded) => shredded.due_at(),
            None if self.is_abandoned => Some(0),
            None if self.sealed.is_some() && !self.superseded.is_empty() => Some(0),
            None if self.sealed.is_none() => Some(self.announced_at + UNSEALED_LIFETIME),
            None => self.end_time().map(|(at, _)| at),
        }
    }

    /// Recipients as `viewer` sees them: the sender all, a recipient that person alone.
    #[must_use]
    pub fn recipient_states(&self, viewer: &Label) -> Vec<RecipientState> {
        let recipients = self.sealed.iter().flat_map(|sealed| &sealed.recipients);
        recipients
            .filter(|r| self.sender == *viewer || r.label == *viewer)
            .map(|r| self.recipient_state(r))
            .collect()
    }

    /// Links as `viewer` sees them: the sender all, others none.
    #[must_use]
    pub fn link_summaries(&self, viewer: &Label) -> Vec<LinkSummary> {
        let links = self.links.values().filter(|_| self.sender == *viewer);
        links.map(Link::summary).collect()
    }

    fn recipient_state(&self, recipient: &Recipient) -> RecipientState {
        let progress = self.progress.get(&recipient.label).cloned().unwrap_or_default();
        RecipientState {
            label: recipient.label,
            kid: recipient.kid,
            openings_used: progress.openings_used,
            opened_at: progress.opened_at,
            receipt: progress.receipt,
        }
    }

    /// Takes what was sealed.
    pub(super) fn seal(&mut self, sealed: Sealed) {
        let links = sealed.links.iter().map(|terms| (terms.link, Link::new(terms.clone())));
        self.links = links.collect();
        self.sealed = Some(sealed);
    }

    /// Applies a change to a transfer that exists; `false` if it is no change of one.
    pub(super) fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::PartStored { number, len, root, .. } => {
                let part = StoredPart { len: *len, root: *root };
                let before = self.parts.insert(*number, part);
                self.superseded.extend(before.map(|before| (*number, before.root)));
                self.superseded.remove(&(*number, *root));
            }
            Change::PartsTidied { .. } => self.superseded.clear(),
            Change::KeyReplaced { .. } => {
                if let Some(shredded) = self.shredded.as_mut() {
                    shredded.is_key_replaced = true;
                }
            }
            Change::TransferOpened {
                opening,
                label,
                device,
                at,
                counted,
                ..
            } => self.open(*opening, Opening::new(Opener::Member(*label), *device, *at, *counted)),
            Change::LinkRedeemed {
                link,
                opening,
                device,
                at,
                ..
            } if self.links.contains_key(link) => {
                self.open(*opening, Opening::new(Opener::Link(*link), *device, *at, true));
            }
            Change::LinkFailed { link, at, .. } => return self.change_link(link, |link| link.tries.fail(*at)),
            Change::LinkRearmed { link, .. } => return self.change_link(link, |link| link.tries = Tries::default()),
            Change::LinkBurned { link, .. } => return self.change_link(link, |link| link.is_burned = true),
            Change::TransferHeld { at, .. } => {
                self.held_at.get_or_insert(*at);
            }
            Change::TransferRearmed { .. } => self.held_at = None,
            Change::ReceiptTaken {
                opening,
                verified,
                at,
                receipt,
                ..
            } => self.take_receipt(opening, *verified, *at, receipt),
            Change::TransferShredded { cause, at, .. } => {
                self.shredded.get_or_insert(Shredded::new(*cause, *at));
            }
            Change::ShareDestroyed { at, .. } => {
                if let Some(shredded) = self.shredded.as_mut() {
                    shredded.destroyed_at.get_or_insert(*at);
                }
            }
            Change::CiphertextSwept { .. } => {
                if let Some(shredded) = self.shredded.as_mut() {
                    shredded.is_swept = true;
                }
            }
            Change::TransferAbandoned { .. } => self.is_abandoned = true,
            // It was released again within an opening, which stays as it is.
            Change::TransferReopened { .. } => {}
            _ => return false,
        }
        true
    }

    fn open(&mut self, id: OpeningId, opening: Opening) {
        match opening.opener {
            Opener::Member(label) if self.recipient(&label).is_some() => {
                let progress = self.progress.entry(label).or_default();
                progress.opened_at.get_or_insert(opening.at);
                progress.openings_used += u32::from(opening.is_counted);
            }
            // The sender's own copy is not counted.
            Opener::Member(_) => {}
            Opener::Link(link) => {
                self.change_link(&link, |link| {
                    link.opened_at.get_or_insert(opening.at);
                    link.openings_used += 1;
                    link.tries = Tries::default();
                });
            }
        }
        self.forget_ended(&opening.device, opening.at);
        self.openings.insert(id, opening);
    }

    /// Forgets all but the last ended openings of a device that makes a new one. What is forgotten ended before the new one
    /// will, so the time at which the last allowed opening ends stays the same.
    fn forget_ended(&mut self, device: &PublicKey, now: u64) {
        let own = self.openings.iter().filter(|(_, o)| o.device == *device);
        let ended = own.filter(|(_, o)| !o.is_live(now));
        let mut ended: Vec<(u64, OpeningId)> = ended.map(|(id, o)| (o.ends_at(), *id)).collect();
        ended.sort_unstable();
        let many = ended.len().saturating_sub(ENDED_OPENINGS);
        for (_, id) in ended.into_iter().take(many) {
            self.openings.remove(&id);
        }
    }

    /// A *verified* receipt ends the opening and is never replaced; a *rejected* one does neither.
    fn take_receipt(&mut self, id: &OpeningId, verified: bool, at: u64, receipt: &str) {
        let Some(opening) = self.openings.get_mut(id) else {
            return;
        };
        opening.receipt = Some(receipt.to_owned());
        if verified {
            opening.verified_at.get_or_insert(at);
        }
        let (kept, is_verified) = match opening.opener {
            Opener::Member(label) if self.progress.contains_key(&label) => {
                let progress = self.progress.entry(label).or_default();
                (&mut progress.receipt, &mut progress.is_verified)
            }
            Opener::Member(_) => return,
            Opener::Link(link) => match self.links.get_mut(&link) {
                Some(link) => (&mut link.receipt, &mut link.is_verified),
                None => return,
            },
        };
        if !*is_verified {
            *kept = Some(receipt.to_owned());
            *is_verified = verified;
        }
    }

    fn change_link(&mut self, link: &Hash, change: impl FnOnce(&mut Link)) -> bool {
        self.links.get_mut(link).map(change).is_some()
    }
}
