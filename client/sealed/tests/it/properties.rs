//! What holds for every input: what was sealed opens, keys never repeat, segments are independent.

use std::collections::HashSet;

use proptest::prelude::*;
use sealpost_proto::sealed::{Container, STORED_SEGMENT_LEN};
use sealpost_sealed::{OpenWith, Opener, plaintext_mut, unwrap_secret};

use crate::support::*;

fn round_trip(len: usize) {
    let content = pattern(len as u64);
    for (_, provider) in providers() {
        let own = seal_own(provider, &[("a.bin", &content)], &[to(&recipient("R1"), 1)]);
        for (_, other) in providers() {
            assert!(
                open(other, &own.bytes, &own.open).unwrap() == [content.as_slice()],
                "{len} bytes"
            );
        }
    }
}

#[test]
fn what_was_sealed_opens_at_every_edge() {
    for len in [0, 1, 16_383, 16_384, 16_385, 262_143, 262_144, 262_145] {
        round_trip(len);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn what_was_sealed_opens(sizes in prop::collection::vec(0..200_000_usize, 0..6)) {
        let contents: Vec<Vec<u8>> = sizes.iter().map(|len| pattern(*len as u64)).collect();
        let names: Vec<String> = (0..sizes.len()).map(|i| format!("{i}.bin")).collect();
        let files: Vec<(&str, &[u8])> = names.iter().zip(&contents).map(|(n, c)| (n.as_str(), c.as_slice())).collect();
        let own = seal_own(providers()[0].1, &files, &[to(&recipient("R1"), 1), to(&recipient("R2"), 2)]);
        prop_assert!(open(providers()[1].1, &own.bytes, &own.open).unwrap() == contents);
    }
}

#[test]
fn sealing_a_segment_again_never_repeats_salt_or_ciphertext() {
    let own = seal_own(providers()[0].1, &[("a", b"same")], &[to(&recipient("R1"), 1)]);
    let mut salts = HashSet::new();
    let mut ciphertexts = HashSet::new();
    for _ in 0..200 {
        let mut stored = vec![0; own.sealer.layout().stored_segment_len(0).unwrap()];
        plaintext_mut(&mut stored).unwrap()[..4].copy_from_slice(b"same");
        own.sealer.seal_segment(0, &mut stored, &mut rng()).unwrap();
        assert!(salts.insert(stored[..32].to_vec()));
        assert!(ciphertexts.insert(stored[32..48].to_vec()));
    }
}

#[test]
fn segments_open_in_any_order_and_in_parallel() {
    let content = pattern(3 * 262_144 + 5);
    let own = seal_own(providers()[0].1, &[("a", &content)], &[to(&recipient("R1"), 1)]);
    let container = Container::parse(&own.bytes).unwrap();
    let envelope = container.envelope().unwrap();
    let identity_of = |dk: &_| own.open.trusted.get(dk).copied();
    let verified = envelope.verify(&own.open.audience, own.open.now, identity_of).unwrap();
    let key = recipient("R1");
    let secret = unwrap_secret(providers()[0].1, &verified, OpenWith::Key(&key), None).unwrap();
    let opener = Opener::new(providers()[0].1, verified, secret, own.open.share.as_deref()).unwrap();
    let payload = opener.payload_at_hand(container.payload()).unwrap();
    let mut stored = container.payload().to_vec();
    std::thread::scope(|scope| {
        for (i, segment) in stored.chunks_mut(STORED_SEGMENT_LEN).enumerate().rev() {
            let (payload, content) = (&payload, &content);
            scope.spawn(move || {
                let plaintext = payload.open_segment(i as u64, segment).unwrap();
                let start = i * 262_144;
                let end = (start + plaintext.len()).min(content.len());
                assert!(plaintext[..end - start] == content[start..end]);
            });
        }
    });
    assert!(payload.open_segment(4, &mut [0; 48]).is_err(), "beyond the last");
}
