//! The ring: keys of days in fixed slots of one file outside the data folder, overwritten in place when they die.
//!
//! `slot(64) = u32 1 || u32 day || u32 generation || u32 0 || key(32) || first 16 bytes of SHA-256 of all before`. A slot whose
//! check does not hold was torn: an added key that nothing was wrapped under yet, or one that was being destroyed. Both are
//! zeroed at start.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use sealpost_proto::crypto::sha256;
use zeroize::Zeroizing;

use super::slots::Slots;
use super::wrap::DayKey;
use crate::random::Random;
use crate::store::embedded::journal::FileIo;
use crate::store::open::OpenError;
use crate::store::share::Day;

const MAGIC: &[u8; 16] = b"sealpost-ring\0\0\0";
const SLOT_LEN: usize = 64;
const HASHED_LEN: usize = 48;

/// Which key of a day: a later one replaces those before it.
pub(super) type Generation = u32;

/// The ring of day keys.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Slots<SLOT_LEN>,
    keys: BTreeMap<(Day, Generation), (u32, DayKey)>,
    random: Arc<dyn Random>,
}

impl Ring {
    /// Opens the ring in `folder`, or begins one.
    pub(super) fn open(folder: &Path, random: Arc<dyn Random>, io: &Arc<dyn FileIo>) -> Result<Self, OpenError> {
        let mut keys = BTreeMap::new();
        let slots = Slots::open(&folder.join("ring"), MAGIC, io, &mut |slot, bytes| {
            let Some((day, generation, key)) = decode(bytes) else {
                tracing::warn!(slot, "removing a torn key from the ring");
                return false;
            };
            keys.insert((day, generation), (slot, key));
            true
        })?;
        Ok(Self { slots, keys, random })
    }

    /// The newest key of a day.
    pub(super) fn newest(&self, day: Day) -> Option<(Generation, &DayKey)> {
        let (name, (_, key)) = self.of(day).next_back()?;
        Some((name.1, key))
    }

    /// A certain key of a day.
    pub(super) fn key(&self, day: Day, generation: Generation) -> Option<&DayKey> {
        self.keys.get(&(day, generation)).map(|(_, key)| key)
    }

    /// Days that have keys.
    pub(super) fn days(&self) -> Vec<Day> {
        let mut days: Vec<Day> = self.keys.keys().map(|(day, _)| *day).collect();
        days.dedup();
        days
    }

    /// Draws a key for a day and makes it durable.
    pub(super) fn add(&mut self, day: Day, generation: Generation) -> io::Result<()> {
        let key = DayKey::draw(&*self.random)?;
        let mut filled = self.slots.fill(&[&*encode(day, generation, &key)])?;
        let slot = filled.pop().ok_or(io::ErrorKind::NotFound)?;
        self.keys.insert((day, generation), (slot, key));
        Ok(())
    }

    /// Destroys the keys of a day below a generation: overwritten with random bytes, then with zeros, each synced.
    pub(super) fn destroy_below(&mut self, day: Day, generation: Generation) -> io::Result<()> {
        let dead: Vec<_> = self
            .of(day)
            .map(|(name, _)| *name)
            .filter(|name| name.1 < generation)
            .collect();
        self.destroy(&dead)
    }

    /// Destroys all keys of a day.
    pub(super) fn destroy_day(&mut self, day: Day) -> io::Result<()> {
        let dead: Vec<_> = self.of(day).map(|(name, _)| *name).collect();
        self.destroy(&dead)
    }

    fn destroy(&mut self, names: &[(Day, Generation)]) -> io::Result<()> {
        let slots: Vec<u32> = names
            .iter()
            .filter_map(|name| self.keys.get(name))
            .map(|(slot, _)| *slot)
            .collect();
        let mut noise = [0; SLOT_LEN];
        for slot in &slots {
            self.random.fill(&mut noise)?;
            self.slots.write(*slot, &noise)?;
        }
        self.slots.sync()?;
        self.slots.zero(&slots)?;
        for name in names {
            self.keys.remove(name);
        }
        Ok(())
    }

    fn of(&self, day: Day) -> impl DoubleEndedIterator<Item = (&(Day, Generation), &(u32, DayKey))> {
        self.keys.range((day, 0)..=(day, Generation::MAX))
    }
}

fn encode(day: Day, generation: Generation, key: &DayKey) -> Zeroizing<[u8; SLOT_LEN]> {
    let (day, generation) = (day.0.to_be_bytes(), generation.to_be_bytes());
    let used = 1_u32.to_be_bytes();
    let parts: [&[u8]; 5] = [&used, &day, &generation, &[0; 4], key.as_bytes()];
    let check = sha256(&parts);
    let mut slot = Zeroizing::new([0; SLOT_LEN]);
    let bytes = parts.into_iter().flatten().chain(&check);
    slot.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
    slot
}

fn decode(slot: &[u8; SLOT_LEN]) -> Option<(Day, Generation, DayKey)> {
    let (hashed, check) = slot.split_at(HASHED_LEN);
    let (words, key) = hashed.split_last_chunk::<32>()?;
    let ([used, day, generation, _zero], []) = words.as_chunks::<4>().0.split_first_chunk::<4>()? else {
        return None;
    };
    let is_whole = sha256(&[hashed]).starts_with(check) && u32::from_be_bytes(*used) == 1;
    is_whole.then(|| {
        let day = Day(u32::from_be_bytes(*day));
        (day, u32::from_be_bytes(*generation), DayKey::from_bytes(key))
    })
}
