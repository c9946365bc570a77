//! Any one bit flipped anywhere in a container is refused.

use std::thread;

use proptest::prelude::*;

use crate::support::*;

const NAME: &str = "bytes-19";

fn flipped(bit: usize) -> Vec<u8> {
    let mut bytes = container(NAME).to_vec();
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// Flips each bit of the given bytes in turn, on two threads.
fn sweep(bytes: std::ops::Range<usize>) {
    let inputs = Open::defaults(NAME);
    let half = |parity: usize| {
        let bits = (bytes.start * 8..bytes.end * 8).filter(move |bit| bit % 2 == parity);
        for bit in bits {
            let verdict = open(providers()[0].1, &flipped(bit), &inputs);
            assert!(verdict.is_err(), "bit {bit}");
        }
    };
    thread::scope(|scope| {
        scope.spawn(|| half(0));
        scope.spawn(|| half(1));
    });
}

#[test]
fn every_bit_of_the_header() {
    sweep(0..248);
}

#[test]
fn every_bit_of_the_stanza_block() {
    sweep(248..1464);
}

#[test]
fn every_bit_of_the_seal() {
    let len = container(NAME).len();
    sweep(len - 224..len);
}

#[test]
fn one_bit_of_every_byte_of_the_manifest_box() {
    let start = container(NAME).len() - 224 - 4148;
    let inputs = Open::defaults(NAME);
    for byte in (start..start + 4148).step_by(7) {
        let bit = byte * 8 + byte % 8;
        assert!(open(providers()[0].1, &flipped(bit), &inputs).is_err(), "bit {bit}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_bit_anywhere(bit in 0..container(NAME).len() * 8) {
        let inputs = Open::defaults(NAME);
        for (_, provider) in providers() {
            prop_assert!(open(provider, &flipped(bit), &inputs).is_err());
        }
    }
}
