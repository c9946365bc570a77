//! Chance that can be repeated: a small generator from a seed (SplitMix64). Never for secrets.

/// A seeded generator.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The generator of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for the `n`th part of the work.
    #[must_use]
    pub fn part(&self, n: u64) -> Self {
        let mut part = Self(self.0 ^ n.wrapping_mul(0xd134_2543_de82_ef95));
        part.draw();
        part
    }

    /// The next 64 bits.
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 if `end` is 0. The bias is below one in 2^32 for the ends used here.
    pub fn below(&mut self, end: u64) -> u64 {
        if end == 0 { 0 } else { self.draw() % end }
    }

    /// An index below `len`; 0 if `len` is 0.
    pub fn index(&mut self, len: usize) -> usize {
        usize::try_from(self.below(len as u64)).unwrap_or(0)
    }

    /// True in `percent` of a hundred cases.
    pub fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    /// `len` bytes.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let words = std::iter::repeat_with(|| self.draw().to_le_bytes());
        words.flatten().take(len).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_chance_again() {
        let draws = |seed| {
            let mut dice = Dice::new(seed);
            (dice.draw(), dice.below(1000), dice.bytes(11))
        };
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
        assert_ne!(Dice::new(7).part(1).draw(), Dice::new(7).part(2).draw());
    }

    #[test]
    fn it_reaches_every_number_below_the_end() {
        let mut dice = Dice::new(1);
        let seen: std::collections::BTreeSet<u64> = (0..1000).map(|_| dice.below(10)).collect();
        assert_eq!(seen.len(), 10);
        assert_eq!(dice.below(0), 0);
    }
}
