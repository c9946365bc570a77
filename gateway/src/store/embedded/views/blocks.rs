//! Sorted entries in blocks of some kilobytes. Pure.
//!
//! An entry alone would be far too small for sled: it rewrites a leaf of sixteen entries for every ten that change, and an
//! open takes as long as there are leaves. In blocks, a million transfers are some tens of thousands of entries.
//!
//! ```text
//! block = u16 length of the prefix || prefix || ( u16 length of the rest || u32 length of the value || rest || value )*
//! ```

/// Length above which a block is split.
pub(super) const MAX_LEN: usize = 8 * 1024;

/// An entry and its value; none where it is removed.
pub(in crate::store::embedded) type Change = (Vec<u8>, Option<Vec<u8>>);

/// A block that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    prefix: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Block<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (len, rest) = bytes.split_first_chunk()?;
        let (prefix, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
        Some(Self { prefix, rest })
    }

    /// The value of this name.
    pub(super) fn find(&self, name: &[u8]) -> Option<&'a [u8]> {
        let wanted = name.strip_prefix(self.prefix)?;
        self.entries().find(|(rest, _)| *rest == wanted).map(|(_, value)| value)
    }

    /// Names without the prefix, and values.
    fn entries(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let mut rest = self.rest;
        std::iter::from_fn(move || {
            let (name_len, tail) = rest.split_first_chunk()?;
            let (value_len, tail) = tail.split_first_chunk()?;
            let (name, tail) = tail.split_at_checked(usize::from(u16::from_be_bytes(*name_len)))?;
            let (value, tail) = tail.split_at_checked(usize::try_from(u32::from_be_bytes(*value_len)).ok()?)?;
            rest = tail;
            Some((name, value))
        })
    }

    /// Names and values, in order.
    pub(super) fn owned(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let whole = |name: &[u8]| [self.prefix, name].concat();
        self.entries()
            .map(|(name, value)| (whole(name), value.to_vec()))
            .collect()
    }
}

/// The entries of `before` with `changes` applied; both are in order.
pub(super) fn merge(before: Vec<(Vec<u8>, Vec<u8>)>, changes: Vec<Change>) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut merged = Vec::with_capacity(before.len() + changes.len());
    let mut before = before.into_iter().peekable();
    for (name, value) in changes {
        while let Some(entry) = before.next_if(|(other, _)| *other < name) {
            merged.push(entry);
        }
        let _ = before.next_if(|(other, _)| *other == name);
        merged.extend(value.map(|value| (name, value)));
    }
    merged.extend(before);
    merged
}

/// Entries in blocks that are short enough (or hold one entry), with the first name of each. At the end of a map blocks are
/// filled, because what comes next is added behind them; elsewhere they get equal shares.
pub(super) fn split(entries: &[(Vec<u8>, Vec<u8>)], is_last: bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let len_of = |(name, value): &(Vec<u8>, Vec<u8>)| 6 + name.len() + value.len();
    let total: usize = entries.iter().map(len_of).sum();
    let limit = if is_last || total <= MAX_LEN {
        MAX_LEN
    } else {
        total / total.div_ceil(MAX_LEN * 3 / 4).max(1)
    };
    let mut blocks = Vec::new();
    let mut rest = entries;
    while let Some((first, _)) = rest.first() {
        let (mut count, mut len) = (0, 0);
        for entry in rest {
            len += len_of(entry);
            if len > limit && count > 0 {
                break;
            }
            count += 1;
        }
        let (block, tail) = rest.split_at(count);
        blocks.push((first.clone(), encode(block)));
        rest = tail;
    }
    blocks
}

fn encode(entries: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let prefix = match (entries.first(), entries.last()) {
        (Some((first, _)), Some((last, _))) => common(first, last),
        _ => &[],
    };
    let mut bytes = Vec::with_capacity(MAX_LEN);
    bytes.extend_from_slice(&u16::try_from(prefix.len()).unwrap_or(0).to_be_bytes());
    bytes.extend_from_slice(prefix);
    for (name, value) in entries {
        let rest = name.get(prefix.len()..).unwrap_or_default();
        bytes.extend_from_slice(&u16::try_from(rest.len()).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend_from_slice(&u32::try_from(value.len()).unwrap_or(u32::MAX).to_be_bytes());
        bytes.extend_from_slice(rest);
        bytes.extend_from_slice(value);
    }
    bytes
}

fn common<'a>(a: &'a [u8], b: &[u8]) -> &'a [u8] {
    let len = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    a.get(..len).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn blocks_hold_what_a_map_would(
            before in proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 1..6), proptest::collection::vec(any::<u8>(), 0..3000), 0..20),
            changes in proptest::collection::btree_map(proptest::collection::vec(any::<u8>(), 1..6), proptest::option::of(proptest::collection::vec(any::<u8>(), 0..3000)), 0..20),
            is_last: bool,
        ) {
            let mut expected: BTreeMap<Vec<u8>, Vec<u8>> = before.clone();
            for (name, value) in &changes {
                match value {
                    Some(value) => expected.insert(name.clone(), value.clone()),
                    None => expected.remove(name),
                };
            }
            let merged = merge(before.into_iter().collect(), changes.into_iter().collect());
            let blocks = split(&merged, is_last);
            let mut found = BTreeMap::new();
            for (first, bytes) in &blocks {
                let block = Block::parse(bytes).unwrap();
                let entries = block.owned();
                prop_assert_eq!(&entries[0].0, first);
                prop_assert!(bytes.len() <= MAX_LEN + 16 || entries.len() == 1);
                for (name, value) in &entries {
                    prop_assert_eq!(block.find(name), Some(value.as_slice()));
                }
                found.extend(entries);
            }
            prop_assert_eq!(found, expected);
        }
    }
}
