//! Negative cases that no stored container holds, by number, and refusals of the sealer.

use sealpost_proto::crypto::SigningKey;
use sealpost_proto::key::EncryptionPublicKey;
use sealpost_proto::sealed::{
    Container, PayloadLayout, Reason, Role, STORED_SEGMENT_LEN, Seal, SealBody, container_head, container_tail,
};
use sealpost_proto::tree::{leaf_hash, tree_head};
use sealpost_sealed::{
    EncryptionKey, FAST, FileHasher, ManifestError, NameProblem, Recipient, SealError, Sealer, TransferDraft,
    TransferSecrets, seal_secret,
};

use crate::support::*;

/// The container with other stored segments, sealed again over them by the sender itself.
fn reseal(own: &Own, payload: &[u8], change: impl FnOnce(&mut SealBody)) -> Vec<u8> {
    let envelope = Container::parse(&own.bytes).unwrap().envelope().unwrap();
    let leaves: Vec<[u8; 32]> = payload.chunks(STORED_SEGMENT_LEN).map(leaf_hash).collect();
    let mut body = envelope.seal.body;
    body.segments = leaves.len() as u64;
    body.payload_len = payload.len() as u64;
    body.payload_root = tree_head(&leaves);
    change(&mut body);
    let seal: Seal = body.sign(&fixed_device());
    [
        container_head(&envelope.header, &envelope.block),
        payload.to_vec(),
        container_tail(&envelope.manifest_box, &seal),
    ]
    .concat()
}

#[test]
fn n37_full_size_last_segment() {
    for (_, provider) in providers() {
        let file = pattern(262_144);
        let own = seal_own(provider, &[("a", &file)], &[to(&recipient("R1"), 1)]);
        assert_eq!(
            own.sealer.layout().segments(),
            2,
            "a full segment and an empty last one"
        );
        let payload = Container::parse(&own.bytes).unwrap().payload().to_vec();
        let without_last = reseal(&own, &payload[..STORED_SEGMENT_LEN], |_| {});
        assert_eq!(open(provider, &without_last, &own.open), Err(Reason::Leaves));
    }
    assert_eq!(PayloadLayout::from_sealed(262_192, 1), Err(Reason::Leaves));
}

#[test]
fn n39_segments_of_two_files_of_one_sender_change_places() {
    for (_, provider) in providers() {
        let (a, b) = (pattern(262_144), vec![7; 262_144]);
        let own = seal_own(provider, &[("a", &a), ("b", &b)], &[to(&recipient("R1"), 1)]);
        let payload = Container::parse(&own.bytes).unwrap().payload().to_vec();
        let (first, rest) = payload.split_at(STORED_SEGMENT_LEN);
        let (second, last) = rest.split_at(STORED_SEGMENT_LEN);
        let swapped = reseal(&own, &[second, first, last].concat(), |_| {});
        assert_eq!(open(provider, &swapped, &own.open), Err(Reason::Segment));
        assert!(
            open(provider, &reseal(&own, &payload, |_| {}), &own.open).is_ok(),
            "the helper itself is sound"
        );
    }
}

#[test]
fn n59_more_files_than_allowed_are_not_sealed() {
    let names: Vec<String> = (0..65_537).map(|i| format!("{i}.txt")).collect();
    let files: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
    assert_eq!(plain_manifest(&files).check(), Err(ManifestError::TooManyFiles));
    assert_eq!(plain_manifest(&files[1..]).check(), Ok(0));
}

fn a_draft() -> TransferDraft {
    let own = seal_own(providers()[0].1, &[], &[to(&recipient("R1"), 1)]);
    let header = own.sealer.header();
    TransferDraft {
        transfer_id: header.transfer_id,
        audience: header.audience,
        sender_identity: header.sender_identity,
        sender_device: header.sender_device,
        created_at: header.created_at,
        expires_at: header.expires_at,
        no_forward: false,
    }
}

fn try_seal(draft: &TransferDraft, recipients: &[Recipient]) -> Result<(), SealError> {
    let secrets = TransferSecrets::generate(true, &mut rng());
    Sealer::new(FAST, draft, recipients, plain_manifest(&[]), secrets, &mut rng()).map(|_| ())
}

#[test]
fn the_sealer_refuses_what_a_reader_would() {
    let r1 = to(&recipient("R1"), 1);
    let format = Err(SealError::Refused(Reason::Format));
    let draft = a_draft();
    assert_eq!(try_seal(&draft, std::slice::from_ref(&r1)), Ok(()));
    assert_eq!(try_seal(&draft, &[]), format, "nobody");
    let twice = [r1.clone(), to(&recipient("R1"), 2)];
    assert_eq!(try_seal(&draft, &twice), format, "one key twice");
    assert_eq!(
        try_seal(&draft, &[to(&recipient("R1"), 6)]),
        format,
        "role 6 is for grants"
    );
    let mut long = draft;
    long.expires_at = long.created_at + 366 * 86_400 + 1;
    assert_eq!(try_seal(&long, &[r1]), format, "too long a life");
}

#[test]
fn the_seal_is_signed_by_the_headers_device_in_the_transfers_life_over_every_segment() {
    let own = seal_own(providers()[0].1, &[], &[to(&recipient("R1"), 1)]);
    let header = own.sealer.header();
    let leaves = [[0; 32]];
    let seal = |device: &SigningKey, leaves: &[[u8; 32]], at| own.sealer.seal(device, &[], leaves, at).map(|_| ());
    assert_eq!(seal(&fixed_device(), &leaves, header.created_at), Ok(()));
    assert_eq!(
        seal(&SigningKey::from_seed(&[1; 32]), &leaves, header.created_at),
        Err(SealError::Device)
    );
    assert_eq!(
        seal(&fixed_device(), &[], header.created_at),
        Err(SealError::Refused(Reason::Leaves))
    );
    let late = header.expires_at + 1;
    assert_eq!(
        seal(&fixed_device(), &leaves, late),
        Err(SealError::Refused(Reason::Seal))
    );
    let mut short = vec![0; 100];
    assert_eq!(
        own.sealer.seal_segment(0, &mut short, &mut rng()),
        Err(SealError::Buffer(0))
    );
}

#[test]
fn a_manifest_that_a_reader_would_refuse_is_not_sealed() {
    let seal = |mtime| {
        let mut manifest = plain_manifest(&[("a", 0)]);
        manifest.files[0].mtime = Some(mtime);
        let secrets = TransferSecrets::generate(true, &mut rng());
        let recipients = [to(&recipient("R1"), 1)];
        let sealer = Sealer::new(FAST, &a_draft(), &recipients, manifest, secrets, &mut rng()).unwrap();
        let digests = [FileHasher::new(false).finish()];
        sealer.seal_manifest(&digests, &mut rng()).map(|_| ())
    };
    assert_eq!(seal((1 << 53) - 1), Ok(()));
    assert_eq!(seal(1 << 53), Err(SealError::Manifest(ManifestError::Date)));
}

#[test]
fn a_draft_names_the_file_that_cannot_be_sent() {
    let problem = |index, problem| Err(ManifestError::Name { index, problem });
    assert_eq!(
        plain_manifest(&[("a", 1), ("b:c", 1)]).check(),
        problem(1, NameProblem::Character)
    );
    assert_eq!(
        plain_manifest(&[("A.txt", 1), ("a.TXT", 1)]).check(),
        problem(1, NameProblem::Duplicate)
    );
    assert_eq!(plain_manifest(&[("a", 1 << 40)]).check(), Err(ManifestError::TooLarge));
    let mut draft = plain_manifest(&[]);
    draft.note = Some("x".repeat(65_537));
    assert_eq!(draft.check(), Err(ManifestError::Text));
    draft.note = Some("\u{FFFF}".to_owned());
    assert_eq!(draft.check(), Err(ManifestError::Text));
    draft.note = None;
    draft.purpose.clear();
    assert_eq!(draft.check(), Err(ManifestError::Purpose));
}

#[test]
fn nothing_is_sealed_to_a_key_that_is_not_one_of_ml_kem() {
    let sound = recipient("R1");
    let mut bytes = *sound.public().as_bytes();
    bytes[..3].fill(0xff);
    let above_the_modulus = EncryptionPublicKey::from_bytes(bytes).unwrap();
    for (_, provider) in providers() {
        assert!(seal_secret(provider, &above_the_modulus, b"", b"secret", &mut rng()).is_err());
        assert!(seal_secret(provider, sound.public(), b"", b"secret", &mut rng()).is_ok());
    }
    let bad = Recipient::Key {
        key: above_the_modulus.clone(),
        role: Role::Recipient,
    };
    let refused = try_seal(&a_draft(), &[bad]);
    assert_eq!(refused, Err(SealError::Recipient(above_the_modulus.kid())));
    assert_ne!(EncryptionKey::generate(&mut rng()).unwrap().kid(), sound.kid());
}
