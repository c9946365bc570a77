//! What two people can compare: the fingerprint of an organisation and the safety number of two identities.

use crate::crypto::h;
use crate::id::{OrgId, PublicKey};

/// Id and fingerprint of the organisation whose root this is: `H("org", OR)`.
#[must_use]
pub fn org_id(root: &PublicKey) -> OrgId {
    OrgId::from_bytes(h("org", &[root.as_bytes()]))
}

/// Safety number of two identities: the first 200 bits of `H("safety", smaller IK || larger IK)` as 12 groups of five digits.
///
/// Both people compute the same number; reading it to each other shows that neither was given a false key.
#[must_use]
pub fn safety_number(a: &PublicKey, b: &PublicKey) -> String {
    let (low, high) = if a <= b { (a, b) } else { (b, a) };
    let hash = h("safety", &[low.as_bytes(), high.as_bytes()]);
    let groups: Vec<String> = decimal_groups(&hash);
    groups.join(" ")
}

/// The first 200 bits as one number; its twelve lowest groups of five decimal digits, highest first.
///
/// 200 bits are 60.2 decimal digits, so the number modulo 10^60 keeps all but a fraction of a bit.
fn decimal_groups(hash: &[u8; 32]) -> Vec<String> {
    let mut number: Vec<u8> = hash.iter().take(25).copied().collect();
    let mut groups: Vec<String> = (0..12)
        .map(|_| format!("{:05}", divide(&mut number, 100_000)))
        .collect();
    groups.reverse();
    groups
}

/// Divides the big-endian `number` by `divisor` in place and returns the remainder.
fn divide(number: &mut [u8], divisor: u32) -> u32 {
    let mut remainder = 0_u32;
    for byte in number {
        let value = remainder * 256 + u32::from(*byte);
        *byte = u8::try_from(value / divisor).unwrap_or(u8::MAX);
        remainder = value % divisor;
    }
    remainder
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn safety_number_is_symmetric_and_has_twelve_groups() {
        let a = PublicKey::from_bytes([1; 32]);
        let b = PublicKey::from_bytes([2; 32]);
        let number = safety_number(&a, &b);
        assert_eq!(number, safety_number(&b, &a));
        assert_eq!(number.split(' ').count(), 12);
        assert!(
            number
                .split(' ')
                .all(|g| g.len() == 5 && g.bytes().all(|c| c.is_ascii_digit()))
        );
        assert_ne!(number, safety_number(&a, &PublicKey::from_bytes([3; 32])));
    }

    #[test]
    fn division_is_exact() {
        let mut number = [1, 0, 0, 0];
        assert_eq!(divide(&mut number, 100_000), (1 << 24) % 100_000);
        assert_eq!(number, ((1_u32 << 24) / 100_000).to_be_bytes());
    }
}
