//! Sealing for the tests: known answers made again from their inputs, and containers of one's own.

use sealpost_proto::id::TransferId;
use sealpost_proto::sealed::{Header, Role, container_head, container_tail};
use sealpost_sealed::{
    Disclosure, EncryptionKey, FAST, FileDraft, FileHasher, ManifestDraft, Provider, Recipient, Sealer, TransferDraft,
    TransferSecret, TransferSecrets, plaintext_mut,
};
use serde_json::Value;

use crate::support::*;

/// A sealer that arrives at the given header, from the entry's secrets. Its stanzas are its own.
pub(crate) fn sealer_like(header: &Header, entry: &Value, total: u64) -> Sealer {
    let share: Option<[u8; 32]> = entry["share"].is_string().then(|| unhex_n(&entry["share"]));
    let secret = TransferSecret::from_bytes(&unhex_n(&entry["TS"]));
    let draft = TransferDraft {
        transfer_id: header.transfer_id,
        audience: header.audience,
        sender_identity: header.sender_identity,
        sender_device: header.sender_device,
        created_at: header.created_at,
        expires_at: header.expires_at,
        no_forward: header.no_forward,
    };
    let mut recipients = vec![to(&recipient("R1"), 1)];
    if header.recovery_present {
        recipients.push(to(&recipient("R3"), 3));
    }
    let mut rng = FixedRng::new("sealer_like").then(&header.header_salt);
    let secrets = TransferSecrets::from_parts(secret, share.as_ref());
    let sealer = Sealer::new(
        FAST,
        &draft,
        &recipients,
        plain_manifest(&[("file", total)]),
        secrets,
        &mut rng,
    )
    .unwrap();
    assert_eq!(sealer.header(), header, "header and commitment");
    sealer
}

pub(crate) fn to(key: &EncryptionKey, role: u8) -> Recipient {
    Recipient::Key {
        key: key.public().clone(),
        role: Role::from_u8(role).unwrap(),
    }
}

/// Seals all of `files` with the salts that `salt_of` gives; returns the leaves.
pub(crate) fn seal_payload(
    sealer: &Sealer,
    files: &[u8],
    salt_of: impl Fn(u64) -> [u8; 32],
    stored: &mut Vec<u8>,
) -> Vec<[u8; 32]> {
    let layout = *sealer.layout();
    let mut stream = files.to_vec();
    stream.resize(usize::try_from(layout.padded_len()).unwrap(), 0);
    let mut rest = stream.as_slice();
    let mut leaves = Vec::new();
    for i in 0..layout.segments() {
        let mut buffer = vec![0; layout.stored_segment_len(i).unwrap()];
        let (now, later) = rest.split_at(layout.segment_len(i).unwrap());
        plaintext_mut(&mut buffer).unwrap().copy_from_slice(now);
        rest = later;
        let mut rng = FixedRng::new("unused").then(&salt_of(i));
        leaves.push(sealer.seal_segment(i, &mut buffer, &mut rng).unwrap());
        stored.extend_from_slice(&buffer);
    }
    leaves
}

pub(crate) fn plain_manifest(files: &[(&str, u64)]) -> ManifestDraft {
    let files = files.iter().map(|(name, len)| FileDraft {
        name: (*name).to_owned(),
        mime: "application/octet-stream".to_owned(),
        len: *len,
        mtime: None,
    });
    ManifestDraft {
        subject: None,
        note: None,
        patients: Vec::new(),
        purpose: "TREAT".to_owned(),
        disclosure: Disclosure {
            category: "treatment".to_owned(),
            basis: "164.506".to_owned(),
        },
        reply_to: None,
        files: files.collect(),
    }
}
/// A container of one's own, its keys, and what opens it.
pub(crate) struct Own {
    pub(crate) sealer: Sealer,
    pub(crate) bytes: Vec<u8>,
    pub(crate) open: Open,
}

/// Seals `files` for R1 from the fixed sender.
pub(crate) fn seal_own(provider: &'static dyn Provider, files: &[(&str, &[u8])], recipients: &[Recipient]) -> Own {
    seal_own_with(provider, files, recipients, None, &mut rng())
}

/// As [`seal_own`]; with `name`, segment salts follow the rule of the known answers.
pub(crate) fn seal_own_with(
    provider: &'static dyn Provider,
    files: &[(&str, &[u8])],
    recipients: &[Recipient],
    name: Option<&str>,
    rng: &mut impl rand_core::CryptoRng,
) -> Own {
    let fixed = &VECTORS["fixed"];
    let mut transfer_id = [0; 16];
    rng.fill_bytes(&mut transfer_id);
    let draft = TransferDraft {
        transfer_id: TransferId::from_bytes(transfer_id),
        audience: unhex_n(&fixed["audience"]),
        sender_identity: Some(text(&fixed["ik"]).parse().unwrap()),
        sender_device: fixed_device().public(),
        created_at: fixed["created_at"].as_u64().unwrap(),
        expires_at: fixed["expires_at"].as_u64().unwrap(),
        no_forward: false,
    };
    let lens: Vec<(&str, u64)> = files.iter().map(|(name, bytes)| (*name, bytes.len() as u64)).collect();
    let secrets = TransferSecrets::generate(true, rng);
    let sealer = Sealer::new(provider, &draft, recipients, plain_manifest(&lens), secrets, rng).unwrap();
    let stream: Vec<u8> = files.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
    let mut payload = Vec::new();
    let salts: Vec<[u8; 32]> = (0..sealer.layout().segments())
        .map(|i| match name {
            Some(name) => salt(name, "segment_salt", i),
            None => {
                let mut drawn = [0; 32];
                rng.fill_bytes(&mut drawn);
                drawn
            }
        })
        .collect();
    let leaves = seal_payload(&sealer, &stream, |i| salts[usize::try_from(i).unwrap()], &mut payload);
    let digests: Vec<_> = files
        .iter()
        .map(|(_, bytes)| {
            let mut hasher = FileHasher::new(true);
            hasher.update(bytes);
            hasher.finish()
        })
        .collect();
    let manifest_box = sealer.seal_manifest(&digests, rng).unwrap();
    let sealed_at = fixed["sealed_at"].as_u64().unwrap();
    let seal = sealer.seal(&fixed_device(), &manifest_box, &leaves, sealed_at).unwrap();
    let mut open = Open::defaults("bytes-19");
    open.share = sealer.secrets().share().map(|share| share.to_vec());
    let bytes = [
        container_head(sealer.header(), sealer.block()),
        payload,
        container_tail(&manifest_box, &seal),
    ]
    .concat();
    Own { sealer, bytes, open }
}
