//! Mutated containers of the known answers: those that stay valid, and those that must be refused, by number.

use std::collections::BTreeSet;

use sealpost_proto::sealed::Reason;
use serde_json::Value;

use crate::support::*;

fn mutated(entry: &Value) -> Vec<u8> {
    if let Some(file) = entry["file"].as_str() {
        return std::fs::read(vectors_path(file)).unwrap();
    }
    let piece = |piece: &Value| match piece {
        Value::String(_) => unhex(piece),
        _ => {
            let bound = |i: usize| usize::try_from(piece[i].as_u64().unwrap()).unwrap();
            container(text(&piece[0]))[bound(1)..bound(2)].to_vec()
        }
    };
    list(&entry["pieces"]).iter().flat_map(piece).collect()
}

/// Our reason for the reference's code.
fn reason(code: &str) -> Reason {
    match code {
        "AUDIENCE" => Reason::Audience,
        "EXPIRED" | "CREATED_FUTURE" => Reason::Expired,
        "SEAL_SIGNATURE" | "SEAL_HEADER" | "SEALED_AT" => Reason::Seal,
        "SENDER_CHAIN" => Reason::Sender,
        "SEAL_STANZAS" => Reason::Stanzas,
        "NOT_RECIPIENT" | "ENC_SMALL_ORDER" | "HPKE_OPEN" | "LINK_OPEN" => Reason::Key,
        "SHARE_COMMIT" | "SHARE_MISSING" => Reason::Share,
        "COMMITMENT" => Reason::Commitment,
        "PADDED_LENGTH" | "SEAL_COUNT" | "LEAF_LIST_LENGTH" | "PAYLOAD_ROOT" => Reason::Leaves,
        "SEGMENT_OPEN" | "SEGMENT_LEAF" => Reason::Segment,
        "PADDING" => Reason::Padding,
        "FILE_BLAKE3" | "FILE_SHA256" => Reason::Digest,
        "SEAL_BOX" | "BOX_LENGTH" | "BOX_INNER_LENGTH" | "BOX_PADDING" => Reason::Manifest,
        code if ["JSON_", "SCHEMA_", "NAME_", "FILES_"]
            .iter()
            .any(|p| code.starts_with(p)) =>
        {
            Reason::Manifest
        }
        code if code.starts_with("GRANT_") => Reason::Grant,
        _ => Reason::Format,
    }
}

#[test]
fn positives_open() {
    let positives = list(&VECTORS["positives"]);
    assert_eq!(positives.len(), 26);
    for (provider_name, provider) in providers() {
        for entry in positives {
            let verdict = open(provider, &mutated(entry), &Open::of(entry));
            assert!(
                verdict.is_ok(),
                "{provider_name}: {} ({}): {verdict:?}",
                entry["name"],
                entry["description"]
            );
        }
    }
}

/// Every negative of the known answers whose name starts with one of `prefixes`, with both providers.
fn refuse(prefixes: &[&str]) {
    let numbered = |entry: &&Value| {
        let name = text(&entry["name"]);
        let family = name.split('-').next().unwrap();
        prefixes.contains(&family)
    };
    let entries: Vec<&Value> = list(&VECTORS["negatives"]).iter().filter(numbered).collect();
    for prefix in prefixes {
        let has = |entry: &&Value| text(&entry["name"]).split('-').next() == Some(prefix);
        assert!(entries.iter().any(has), "{prefix} has no entry");
    }
    for (provider_name, provider) in providers() {
        for entry in &entries {
            let what = format!("{provider_name}: {} ({})", entry["name"], entry["description"]);
            let verdict = open(provider, &mutated(entry), &Open::of(entry));
            println!("{what}: {verdict:?}");
            assert_eq!(verdict.map(|_| ()), Err(reason(text(&entry["code"]))), "{what}");
        }
    }
}

macro_rules! by_number {
    ($($name:ident: $($prefix:literal),+;)*) => {
        $(
            #[test]
            fn $name() {
                refuse(&[$($prefix),+]);
            }
        )*

        const TESTED: &[&str] = &[$($($prefix),+),*];
    };
}

by_number! {
    n01_to_n06_header_fields: "N01", "N02", "N03", "N04", "N05", "N06";
    n07_header_length: "N07";
    n08_n09_lifetime: "N08", "N09";
    n10_expired_and_created_in_the_future: "N10", "created";
    n11_audience: "N11";
    n12_n13_share_flag: "N12", "N13";
    n14_n15_share: "N14", "N15";
    n16_commitment: "N16";
    n17_to_n19_stanza_count: "N17", "N18", "N19";
    n20_n21_stanza_order: "N20", "N21";
    n22_n23_stanza_length_and_role: "N22", "N23";
    n24_x25519_part: "N24";
    n25_ml_kem_part: "N25";
    n26_n27_stanza_moved: "N26", "N27";
    n28_n29_secret: "N28", "N29";
    n30_n31_link_parameters: "N30", "N31";
    n32_to_n35_segments_moved: "N32", "N33", "N34", "N35";
    n36_last_flag: "N36";
    n38_short_middle_segment: "N38";
    n40_splice: "N40";
    n41_to_n43_stored_segment: "N41", "N42", "N43";
    n44_to_n46_leaf_list: "N44", "N45", "N46";
    n47_n48_padding: "N47", "N48";
    n49_fellow_recipient: "N49";
    n50_manifest_keys: "N50";
    n51_to_n54_names: "N51", "N52", "N53", "N54", "name";
    n55_names_equal_in_lower_case: "N55";
    n56_to_n58_layout: "N56", "N57", "N58";
    n60_n61_box_length: "N60", "N61";
    n62_digests: "N62";
    n63_dates: "N63";
    n64_depth: "N64";
    n65_numbers: "N65";
    n66_strings: "N66";
    n67_n68_sender: "N67", "N68";
    n69_thief: "N69";
    n70_n71_strict_signatures: "N70", "N71";
    n72_domain: "N72";
    n73_anonymous: "N73";
    elided_stanzas: "elide";
    seal_and_container: "seal", "sealed", "cut", "tail", "block", "box";
    recovery_flag: "b3";
    links: "link";
    not_mine: "not";
}

#[test]
fn every_entry_and_every_number_is_tested() {
    let negatives = list(&VECTORS["negatives"]);
    assert_eq!(negatives.len(), 231);
    let families: BTreeSet<&str> = negatives
        .iter()
        .map(|n| text(&n["name"]).split('-').next().unwrap())
        .collect();
    let tested: BTreeSet<&str> = TESTED.iter().copied().collect();
    assert_eq!(families, tested);
    // What no container can hold stands in `cases.rs`, and in the tests of statements (N74 to N77).
    let by_code = [37, 39, 59];
    for number in (1..=73).filter(|n| !by_code.contains(n)) {
        assert!(tested.contains(format!("N{number:02}").as_str()), "N{number:02}");
    }
}
