//! Taking a transfer up again from what was kept: the same transfer, with nothing drawn but new salts.

use sealpost_proto::sealed::{Block, Header, container_head, container_tail};
use sealpost_sealed::{
    FAST, FileHasher, ManifestDraft, SealError, Sealer, TransferSecret, TransferSecrets, plaintext_mut, resume_hash,
};

use crate::support::*;

/// What a sender keeps, through the bytes that it is kept as.
struct Kept {
    header: Header,
    block: Block,
    manifest: ManifestDraft,
    secrets: TransferSecrets,
}

fn kept(sealer: &Sealer) -> Kept {
    let json = serde_json::to_vec(sealer.manifest()).unwrap();
    let secret = TransferSecret::from_bytes(sealer.secrets().secret().as_bytes());
    Kept {
        header: Header::parse(&sealer.header().to_bytes()).unwrap(),
        block: Block::parse(&sealer.block().to_bytes()).unwrap(),
        manifest: serde_json::from_slice(&json).unwrap(),
        secrets: TransferSecrets::from_parts(secret, sealer.secrets().share()),
    }
}

fn resume(kept: Kept) -> Result<Sealer, SealError> {
    Sealer::resume(FAST, kept.header, kept.block, kept.manifest, kept.secrets)
}

#[test]
fn old_and_new_segments_make_one_transfer() {
    let content = pattern(3 * 262_144 + 5);
    let own = seal_own(FAST, &[("a.bin", &content)], &[to(&recipient("R1"), 1)]);
    let sealer = resume(kept(&own.sealer)).unwrap();
    assert_eq!(sealer.header(), own.sealer.header());
    assert_eq!(sealer.resume_key(), own.sealer.resume_key());
    let layout = *sealer.layout();
    let head_len = container_head(sealer.header(), sealer.block()).len();
    let mut payload = own.bytes[head_len..][..usize::try_from(layout.stored_len()).unwrap()].to_vec();
    // Segment 1 is sealed again, as after a crash; the others stay as they were stored.
    let range = layout.stored_range(1).unwrap();
    let segment = &mut payload[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
    let before = segment.to_vec();
    plaintext_mut(segment)
        .unwrap()
        .copy_from_slice(&content[262_144..2 * 262_144]);
    sealer.seal_segment(1, segment, &mut rng()).unwrap();
    assert_ne!(segment[..32], before[..32], "a new salt");
    assert_ne!(segment[32..], before[32..], "so a new key");

    let mut hasher = FileHasher::new(true);
    hasher.update(&content);
    let manifest_box = sealer.seal_manifest(&[hasher.finish()], &mut rng()).unwrap();
    let leaves: Vec<[u8; 32]> = (0..layout.segments())
        .map(|i| {
            let range = layout.stored_range(i).unwrap();
            let stored = &payload[usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()];
            sealpost_proto::tree::leaf_hash(stored)
        })
        .collect();
    let sealed_at = VECTORS["fixed"]["sealed_at"].as_u64().unwrap();
    let seal = sealer.seal(&fixed_device(), &manifest_box, &leaves, sealed_at).unwrap();
    let bytes = [
        container_head(sealer.header(), sealer.block()),
        payload,
        container_tail(&manifest_box, &seal),
    ]
    .concat();
    assert!(open(FAST, &bytes, &own.open).unwrap() == [content.as_slice()]);
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let content = pattern(10);
    let (one, other) = (
        seal_own(FAST, &[("a", &content)], &[to(&recipient("R1"), 1)]),
        seal_own(FAST, &[("a", &content)], &[to(&recipient("R1"), 1)]),
    );
    let with = |change: &dyn Fn(&mut Kept)| {
        let mut kept = kept(&one.sealer);
        change(&mut kept);
        resume(kept).map(drop)
    };
    assert_eq!(with(&|_| ()), Ok(()));
    assert_eq!(
        with(&|k| k.header = other.sealer.header().clone()),
        Err(SealError::Kept)
    );
    assert_eq!(with(&|k| k.header.expires_at += 1), Err(SealError::Kept));
    assert_eq!(with(&|k| k.header.commitment[0] ^= 1), Err(SealError::Kept));
    assert_eq!(with(&|k| k.header.share_commit = None), Err(SealError::Kept));
    let secret = || TransferSecret::from_bytes(one.sealer.secrets().secret().as_bytes());
    assert_eq!(
        with(&|k| k.secrets = TransferSecrets::from_parts(secret(), None)),
        Err(SealError::Kept)
    );
    assert_eq!(
        with(&|k| k.secrets = TransferSecrets::from_parts(secret(), Some(&[7; 32]))),
        Err(SealError::Kept)
    );
    assert!(with(&|k| k.manifest.purpose.clear()).is_err());
}

#[test]
fn the_hash_tells_whether_a_segment_is_the_same() {
    let own = seal_own(FAST, &[("a", b"same")], &[to(&recipient("R1"), 1)]);
    let key = own.sealer.resume_key();
    assert_eq!(resume_hash(&key, b"same"), resume_hash(&key, b"same"));
    assert_ne!(resume_hash(&key, b"same"), resume_hash(&key, b"sane"));
    let other = seal_own(FAST, &[("a", b"same")], &[to(&recipient("R1"), 1)]);
    assert_ne!(
        resume_hash(&key, b"same"),
        resume_hash(&other.sealer.resume_key(), b"same"),
        "nobody can compare two transfers by it"
    );
}
