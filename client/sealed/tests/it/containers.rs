//! Every container of the known answers, with both providers, for everyone who can open it; and made again from its inputs.

use sealpost_proto::crypto::sha256;
use sealpost_proto::sealed::{Container, Header, LeafList, box_hash};
use sealpost_sealed::{ContainerReader, EncryptionKey, FileHasher, LinkKey};

use crate::support::*;

#[test]
fn containers_have_the_written_length_and_hash() {
    for entry in list(&VECTORS["containers"]) {
        let bytes = container(text(&entry["name"]));
        assert_eq!(
            bytes.len() as u64,
            entry["length"].as_u64().unwrap(),
            "{}",
            entry["name"]
        );
        assert_eq!(hex(&sha256(&[bytes])), entry["sha256"], "{}", entry["name"]);
    }
}

#[test]
fn recipients_have_the_written_keys() {
    for entry in list(&VECTORS["recipients"]) {
        let key = EncryptionKey::from_seed(&unhex_n(&entry["xwing_seed"])).unwrap();
        assert_eq!(hex(&sha256(&[key.public().as_bytes()])), entry["pk_sha256"]);
        assert_eq!(key.kid().to_string(), text(&entry["kid"]));
    }
}

#[test]
fn containers_open_for_everyone_they_are_for() {
    for (provider_name, provider) in providers() {
        for entry in list(&VECTORS["containers"]) {
            let name = text(&entry["name"]);
            for with in list(&entry["open_with"]) {
                let mut inputs = Open::defaults(name);
                inputs.with = match with["recipient"].as_str() {
                    Some(recipient_name) => Key::Recipient(recipient(recipient_name)),
                    None => Key::Link(link_key(with, None)),
                };
                let files = open(provider, container(name), &inputs)
                    .unwrap_or_else(|reason| panic!("{provider_name}: {name} with {with}: {reason}"));
                check_files(entry, &files);
            }
        }
    }
}

fn check_files(entry: &serde_json::Value, files: &[Vec<u8>]) {
    let expected = list(&entry["files"]);
    assert_eq!(files.len(), expected.len());
    for (file, expected) in files.iter().zip(expected) {
        let mut hasher = FileHasher::new(true);
        hasher.update(file);
        let digests = hasher.finish();
        assert_eq!(file.len() as u64, expected["len"].as_u64().unwrap());
        assert_eq!(digests.blake3.to_string(), text(&expected["blake3"]));
        assert_eq!(digests.sha256.unwrap().to_string(), text(&expected["sha256"]));
    }
}

#[test]
fn envelopes_have_the_written_hashes_and_leaves() {
    for entry in list(&VECTORS["containers"]) {
        let parsed = Container::parse(container(text(&entry["name"]))).unwrap();
        let envelope = parsed.envelope().unwrap();
        assert_eq!(hex(&envelope.header.prefix_hash()), entry["keys"]["HP"]);
        assert_eq!(hex(&envelope.header.hash()), entry["keys"]["HH"]);
        assert_eq!(hex(&envelope.block.hash()), entry["stanzas_hash"]);
        assert_eq!(hex(&box_hash(&envelope.manifest_box)), entry["box_hash"]);
        let body = &envelope.seal.body;
        assert_eq!(hex(&body.to_bytes()), entry["seal_body"]);
        assert_eq!(hex(&envelope.seal.signature), entry["signature"]);
        assert_eq!(hex(&body.payload_root), entry["payload_root"]);
        assert_eq!(body.segments, entry["n"].as_u64().unwrap());
        assert_eq!(body.payload_len, entry["payload_len"].as_u64().unwrap());
        let leaves = LeafList::of_payload(parsed.payload(), &envelope.seal).unwrap();
        let expected: Vec<u8> = list(&entry["leaves"]).iter().flat_map(unhex).collect();
        assert_eq!(leaves.as_bytes(), expected);
        assert_eq!(hex(&sha256(&[leaves.as_bytes()])), entry["leaf_list_sha256"]);
    }
}

#[test]
fn sealing_again_from_the_inputs_gives_the_same_header_and_segments() {
    for entry in list(&VECTORS["containers"]) {
        let name = text(&entry["name"]);
        let parsed = Container::parse(container(name)).unwrap();
        let header: Header = parsed.envelope().unwrap().header;
        let files = open(providers()[1].1, container(name), &Open::defaults(name))
            .unwrap()
            .concat();
        let sealer = sealer_like(&header, entry, files.len() as u64);
        let salts: Vec<[u8; 32]> = parsed
            .payload()
            .chunks(262_192)
            .map(|s| *s.first_chunk().unwrap())
            .collect();
        let mut stored = Vec::new();
        let leaves = seal_payload(&sealer, &files, |i| salts[usize::try_from(i).unwrap()], &mut stored);
        assert!(stored == parsed.payload(), "{name}: stored segments differ");
        assert_eq!(hex(&sealer.layout().root(&leaves).unwrap()), entry["payload_root"]);
    }
}

#[test]
fn a_reader_that_seeks_gets_the_same_pieces() {
    for name in ["bytes-0", "bytes-19", "bytes-300000", "bytes-8388613"] {
        let bytes = container(name);
        let whole = Container::parse(bytes).unwrap();
        let mut reader = ContainerReader::new(std::io::Cursor::new(bytes)).unwrap();
        assert_eq!(*reader.envelope(), whole.envelope().unwrap());
        let seal = reader.envelope().seal;
        let leaves = reader.leaf_list().unwrap();
        assert_eq!(leaves, LeafList::of_payload(whole.payload(), &seal).unwrap().as_bytes());
        let layout = seal.body.layout().unwrap();
        let mut buffer = Vec::new();
        let mut payload = Vec::new();
        for i in 0..layout.segments() {
            reader.read_segment(&layout, i, &mut buffer).unwrap();
            payload.extend_from_slice(&buffer);
        }
        assert!(payload == whole.payload());
        assert!(reader.read_segment(&layout, layout.segments(), &mut buffer).is_err());
    }
    for cut in [0, 1, 223, 224, 475, 22_267] {
        assert!(
            ContainerReader::new(std::io::Cursor::new(&container("bytes-19")[..cut])).is_err(),
            "{cut} bytes"
        );
    }
}

#[test]
fn debug_shows_no_secret() {
    let own = seal_own(providers()[0].1, &[("Doe, Jane.txt", b"x")], &[to(&recipient("R1"), 1)]);
    let key = recipient("R1");
    let link = LinkKey::new(
        sealpost_proto::id::LinkId::from_bytes([1; 16]),
        Some("abacus walnut"),
        None,
    )
    .unwrap();
    let shown = format!("{:?} {:?} {:?}", own.sealer, key, link);
    let secrets = own.sealer.secrets();
    for secret in [
        &hex(secrets.secret().as_bytes()),
        &hex(secrets.share().unwrap()),
        &hex(key.seed()),
    ] {
        assert!(!shown.contains(secret.as_str()));
    }
    for word in [
        "Doe",
        "Jane",
        "abacus",
        &format!("{:?}", key.seed()),
        &format!("{:?}", secrets.secret().as_bytes()),
    ] {
        assert!(!shown.contains(word), "{word}");
    }
}
