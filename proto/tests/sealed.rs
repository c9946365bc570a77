//! Layout, parsing and verification of sealed transfers against the known answers that need no content key.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test fails by panicking; clippy.toml's leave does not reach helper functions"
)]

use std::sync::LazyLock;

use proptest::prelude::*;
use sealpost_proto::crypto::{SigningKey, h};
use sealpost_proto::encoding::{hex, unhex, unhex_array};
use sealpost_proto::id::Kid;
use sealpost_proto::link::{Link, LinkFragment};
use sealpost_proto::sealed::{
    Block, Container, ContainerMap, Envelope, Grant, Header, LeafList, MAX_BLOCK_LEN, PayloadLayout, Reason, SEAL_LEN,
    Seal, Sender, Stanza, is_box_len, padme,
};
use sealpost_proto::tree::{Tree, tree_head};
use serde_json::Value;
use zeroize::Zeroizing;

static VECTORS: LazyLock<Value> =
    LazyLock::new(|| serde_json::from_str(include_str!("../vectors/sealed-v1.json")).unwrap());

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn bytes(value: &Value) -> Vec<u8> {
    unhex(text(value)).unwrap()
}

fn container(name: &str) -> Vec<u8> {
    let entry = list(&VECTORS["containers"]).iter().find(|c| c["name"] == name).unwrap();
    bytes(&entry["hex"])
}

fn envelope(name: &str) -> Envelope {
    Container::parse(&container(name)).unwrap().envelope().unwrap()
}

#[test]
fn blocks_get_the_verdicts_of_gateway_and_reader() {
    for entry in list(&VECTORS["blocks"]) {
        let parsed = Block::parse(&bytes(&entry["block"]));
        let as_sealed = parsed.clone().and_then(|block| block.check_as_sealed());
        assert_eq!(
            parsed.is_ok(),
            entry["as_read"] == "accept",
            "{} as read",
            entry["name"]
        );
        assert_eq!(
            as_sealed.is_ok(),
            entry["as_sealed"] == "accept",
            "{} as sealed",
            entry["name"]
        );
        let Ok(block) = parsed else {
            continue;
        };
        assert_eq!(hex(&block.to_bytes()), entry["block"]);
        assert_eq!(hex(&block.hash()), entry["stanzas_hash"]);
    }
}

#[test]
fn eliding_keeps_the_hash_and_shows_one_stanza() {
    let block = envelope("bytes-16384").block;
    for stanza in block.stanzas() {
        let elided = block.elide(|other| other == stanza);
        assert_eq!(elided.hash(), block.hash());
        assert_eq!(elided.stanzas().iter().filter(|s| !s.is_elided()).count(), 1);
        assert_eq!(Block::parse(&elided.to_bytes()).unwrap(), elided);
        if let Some(kid) = stanza.kid() {
            assert_eq!(block.elide_all_but(kid), elided);
            assert_eq!(elided.for_kid(kid), Some(stanza));
        }
    }
    let stranger = Kid::from_bytes([0; 32]);
    assert!(block.elide_all_but(&stranger).stanzas().iter().all(Stanza::is_elided));
}

#[test]
fn a_block_is_as_long_as_it_may_be_and_no_longer() {
    let unknown = |body: Vec<u8>| Stanza::Unknown {
        kind: 3,
        role: sealpost_proto::sealed::Role::Recipient,
        body,
    };
    let room = MAX_BLOCK_LEN - 4 - 8;
    assert!(Block::seal(vec![unknown(vec![0; room])]).is_ok());
    assert_eq!(Block::seal(vec![unknown(vec![0; room + 1])]), Err(Reason::Format));
    assert!(Block::seal(vec![unknown(Vec::new()); 256]).is_ok());
    assert_eq!(Block::seal(vec![unknown(Vec::new()); 257]), Err(Reason::Format));
    assert_eq!(Block::seal(Vec::new()), Err(Reason::Format));
}

#[test]
fn padding_and_segment_counts_as_written() {
    for case in list(&VECTORS["padme"]["total_P_n"]) {
        let [total, padded, n] = [0, 1, 2].map(|i| case[i].as_u64().unwrap());
        let layout = PayloadLayout::for_total(total).unwrap();
        assert_eq!(
            (padme(total), layout.padded_len(), layout.segments()),
            (Some(padded), padded, n),
            "{total} bytes"
        );
        assert_eq!(PayloadLayout::from_sealed(layout.stored_len(), n), Ok(layout));
    }
    assert_eq!(padme((1 << 40) - 1), None, "rounds up to 1 TiB");
    assert_eq!(padme(1 << 40), None);
    assert_eq!(padme(u64::MAX), None);
}

#[test]
fn merkle_heads_over_leaves_and_over_parts() {
    for case in list(&VECTORS["merkle"]["heads"]) {
        let n = case["n"].as_u64().unwrap();
        let leaves: Vec<[u8; 32]> = (0..n).map(|i| h("vector", &[b"leaf\0\0", &i.to_be_bytes()])).collect();
        assert_eq!(hex(&tree_head(&leaves)), case["head"], "{n} leaves");
        let parts: Vec<[u8; 32]> = leaves.chunks(32).map(tree_head).collect();
        let written: Vec<[u8; 32]> = list(&case["part_roots"])
            .iter()
            .map(|root| unhex_array(text(root)).unwrap())
            .collect();
        assert_eq!(parts, written);
        let mut tree = Tree::new();
        for (part, chunk) in parts.iter().zip(leaves.chunks(32)) {
            if chunk.len() == 32 {
                assert!(tree.push_subtree(*part, 5));
            } else {
                chunk.iter().for_each(|leaf| tree.push(*leaf));
            }
        }
        assert_eq!(hex(&tree.head()), case["head"]);
    }
}

#[test]
fn link_texts_are_read_as_written() {
    for case in list(&VECTORS["link_text"]["cases"]) {
        let parsed = Link::parse(text(&case[0]));
        let expected = &case[1];
        if expected == "reject" {
            assert!(parsed.is_err(), "{}", case[0]);
            continue;
        }
        let link = parsed.unwrap();
        assert_eq!(link.link_id().to_string(), text(&expected["link_id"]));
        assert_eq!(
            link.fragment().map(|f| hex(&f.secret[..])).as_deref(),
            expected["secret"].as_str()
        );
        assert_eq!(
            link.fragment().map(|f| hex(&f.org)).as_deref(),
            expected["org"].as_str()
        );
        assert_eq!(Link::parse(&link.to_text()).unwrap(), link);
    }
}

#[test]
fn links_are_written_as_read_and_hide_their_secret() {
    let fragment = LinkFragment {
        secret: Zeroizing::new([0x33; 32]),
        org: [0x50; 16],
    };
    let id = unhex_array("707172737475767778797a7b7c7d7e7f").unwrap();
    let id = sealpost_proto::id::LinkId::from_bytes(id);
    let link = Link::new("https://gw.example.org/sealpost", id, Some(fragment)).unwrap();
    assert_eq!(
        *link.to_text(),
        "https://gw.example.org/sealpost/l#v1;id=707172737475767778797a7b7c7d7e7f;\
         s=MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM;o=50505050505050505050505050505050"
    );
    assert!(!format!("{link:?}").contains("51"), "{link:?}");
    for base in [
        "http://gw",
        "https://",
        "https:///x",
        "https://gw/",
        "https://gw?x",
        "https://a@gw",
        "gw",
    ] {
        assert!(Link::new(base, id, None).is_err(), "{base}");
    }
}

#[test]
fn grants_parse_to_the_bytes_they_came_from() {
    for entry in list(&VECTORS["grants"]) {
        let raw = bytes(&entry["grant"]);
        let Ok(grant) = Grant::parse(&raw) else {
            assert!(text(&entry["name"]).starts_with("purpose-"), "{}", entry["name"]);
            continue;
        };
        assert_eq!(grant.to_bytes().to_vec(), raw);
        assert_eq!(Grant::parse(&raw[1..]), Err(Reason::Grant));
        assert_eq!(Grant::parse(&[raw, vec![0]].concat()), Err(Reason::Grant));
    }
}

#[test]
fn pieces_are_written_as_they_were_read() {
    for name in ["bytes-0", "bytes-1", "bytes-19", "bytes-16384", "anon-empty-file"] {
        let whole = container(name);
        let envelope = envelope(name);
        assert_eq!(envelope.header.to_bytes()[..], whole[..248]);
        assert_eq!(Header::parse(&whole[..248]), Ok(envelope.header.clone()));
        assert_eq!(envelope.seal.to_bytes()[..], whole[whole.len() - SEAL_LEN..]);
        assert!(is_box_len(envelope.manifest_box.len()));
    }
}

#[test]
fn an_anonymous_sender_is_not_looked_up() {
    let envelope = envelope("anon-empty-file");
    assert_eq!(
        envelope.check_sender(|_| panic!("nobody to look up")),
        Ok(Sender::Anonymous)
    );
}

#[test]
fn the_lengths_of_a_container_are_checked_before_they_are_used() {
    let whole = container("bytes-19");
    let head: &[u8; ContainerMap::HEAD_LEN] = whole.first_chunk().unwrap();
    let device = SigningKey::from_seed(&[1; 32]);
    let seal = envelope("bytes-19").seal;
    let with_len = |payload_len| {
        let mut body = seal.body;
        body.payload_len = payload_len;
        body.sign(&device)
    };
    assert!(ContainerMap::new(whole.len() as u64, head, &seal).is_ok());
    for payload_len in [u64::MAX, u64::MAX - 1500, 1 << 40, 0] {
        let map = ContainerMap::new(whole.len() as u64, head, &with_len(payload_len));
        // With no payload the rest would be a box, which the four bytes before it then contradict.
        assert_eq!(map.is_err(), payload_len != 0, "{payload_len}");
    }
    let mut long_block = *head;
    long_block[248..].copy_from_slice(&(u32::try_from(MAX_BLOCK_LEN).unwrap() + 1).to_be_bytes());
    assert_eq!(ContainerMap::new(u64::MAX, &long_block, &seal), Err(Reason::Format));
    assert_eq!(
        ContainerMap::new(u64::MAX, head, &seal),
        Err(Reason::Format),
        "a box of more than 16 MiB"
    );
}

#[test]
fn seals_of_impossible_payloads_have_no_layout() {
    for (len, n) in [
        (0, 0),
        (0, 1),
        (47, 1),
        (48, 0),
        (262_192, 1),
        (262_193, 2),
        (262_239, 2),
        (u64::MAX, 1 << 42),
    ] {
        assert_eq!(
            PayloadLayout::from_sealed(len, n),
            Err(Reason::Leaves),
            "{len} bytes in {n} segments"
        );
    }
    assert!(
        PayloadLayout::from_sealed(262_240, 2).is_ok(),
        "a full segment and an empty one"
    );
}

#[test]
fn a_leaf_list_must_have_the_right_length_and_root() {
    let whole = container("bytes-19");
    let parsed = Container::parse(&whole).unwrap();
    let seal: Seal = parsed.envelope().unwrap().seal;
    let leaves = LeafList::of_payload(parsed.payload(), &seal).unwrap();
    assert_eq!(LeafList::parse(leaves.as_bytes(), &seal), Ok(leaves.clone()));
    assert_eq!(LeafList::parse(&[], &seal), Err(Reason::Leaves));
    assert_eq!(leaves.check_segment(0, parsed.payload()), Ok(()));
    assert_eq!(leaves.check_segment(1, parsed.payload()), Err(Reason::Segment));
    assert_eq!(leaves.check_segment(u64::MAX, &[]), Err(Reason::Segment));
}

proptest! {
    #[test]
    fn padme_is_monotone_idempotent_and_never_less(a in 0..1_u64 << 39, b in 0..1_u64 << 39) {
        let (low, high) = (a.min(b), a.max(b));
        let (padded_low, padded_high) = (padme(low).unwrap(), padme(high).unwrap());
        prop_assert!(padded_low <= padded_high);
        prop_assert!(padded_low >= low);
        prop_assert_eq!(padme(padded_low), Some(padded_low));
        // At most 1/16 of the result is padding above the floor.
        prop_assert!(padded_high - high.max(16_384) <= high.max(16_384) / 15);
    }

    #[test]
    fn segments_and_parts_cover_the_payload_once(total in 0..1_u64 << 30) {
        let layout = PayloadLayout::for_total(total).unwrap();
        let mut end = 0;
        for part in 0..layout.parts() {
            let range = layout.part_range(part).unwrap();
            prop_assert_eq!(range.start, end);
            prop_assert!(range.end > range.start);
            end = range.end;
        }
        prop_assert_eq!(end, layout.stored_len());
        prop_assert_eq!(layout.part_range(layout.parts()), None);
        let last = layout.segments() - 1;
        prop_assert_eq!(layout.stored_range(last).unwrap().end, layout.stored_len());
        prop_assert!(layout.segment_len(last).unwrap() < 262_144);
        prop_assert_eq!(layout.segment_len(layout.segments()), None);
    }

    #[test]
    fn no_parser_panics(raw in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = Header::parse(&raw);
        let _ = Block::parse(&raw);
        let _ = Seal::parse(&raw);
        let _ = Grant::parse(&raw);
        let _ = Stanza::parse_granted(&raw);
        let _ = Container::parse(&raw).and_then(|c| c.envelope());
        let _ = Link::parse(&String::from_utf8_lossy(&raw));
    }
}
