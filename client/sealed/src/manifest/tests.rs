//! Manifests that no stored container holds: too large, too many, or wrong in a way that only a hand-written text can be.

use sealpost_proto::id::{PublicKey, TransferId};

use super::*;

fn header() -> Header {
    Header {
        transfer_id: TransferId::from_bytes([0; 16]),
        header_salt: [0; 32],
        created_at: 1000,
        expires_at: 2000,
        audience: [0; 32],
        sender_identity: None,
        sender_device: PublicKey::from_bytes([0; 32]),
        share_commit: None,
        no_forward: false,
        recovery_present: false,
        commitment: [0; 32],
    }
}

const DISCLOSURE: &str = r#"{"category":"c","basis":"b"}"#;

fn json(disclosure: &str, files: &str, more: &str) -> String {
    format!(
        r#"{{"v":1,"patients":[],"purpose":"TREAT","disclosure":{disclosure},"files":[{files}],"created":1000,"expires":2000{more}}}"#
    )
}

fn file(name: &str, off: u64, len: u64) -> String {
    let digest = "0".repeat(64);
    format!(r#"{{"name":"{name}","mime":"","off":{off},"len":{len},"blake3":"{digest}"}}"#)
}

fn accepts(text: &str) -> bool {
    Manifest::parse(text.as_bytes(), &header()).is_ok()
}

#[test]
fn n59_65_537_files() {
    let files: Vec<String> = (0..65_537).map(|i| file(&format!("f{i}"), 0, 0)).collect();
    assert!(accepts(&json(DISCLOSURE, &files[1..].join(","), "")));
    assert!(!accepts(&json(DISCLOSURE, &files.join(","), "")));
}

#[test]
fn n64_a_string_of_more_than_64_kib_and_arrays_too_deep() {
    let note = |len| format!(r#","note":"{}""#, "x".repeat(len));
    assert!(accepts(&json(DISCLOSURE, "", &note(65_536))));
    assert!(!accepts(&json(DISCLOSURE, "", &note(65_537))));
    assert!(!accepts(&json(DISCLOSURE, "", &note(1 << 20))));
    // 64 KiB count after unescaping: six characters of JSON for one byte here.
    let escaped = format!(r#","note":"{}""#, "\\u0041".repeat(65_536));
    assert!(accepts(&json(DISCLOSURE, "", &escaped)));
    let deep = format!(r#","reply_to":{}{}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert!(!accepts(&json(DISCLOSURE, "", &deep)));
}

#[test]
fn n58_the_end_of_the_files_stays_below_1_tib() {
    let limit = PADDED_LIMIT;
    assert!(accepts(&json(DISCLOSURE, &file("a", 0, limit - 1), "")));
    assert!(!accepts(&json(DISCLOSURE, &file("a", 0, limit), "")));
    let two = [file("a", 0, limit - 1), file("b", limit - 1, 1)].join(",");
    assert!(!accepts(&json(DISCLOSURE, &two, "")));
}

#[test]
fn an_object_is_not_an_array_of_its_values() {
    assert!(accepts(&json(DISCLOSURE, &file("a", 0, 1), "")));
    assert!(!accepts(&json(r#"["c","b"]"#, "", "")));
    assert!(!accepts(&json(
        DISCLOSURE,
        &format!(r#"["a","",0,1,"{}"]"#, "0".repeat(64)),
        ""
    )));
    assert!(!accepts(r#"[1,[],"TREAT",{"category":"c","basis":"b"},[],1000,2000]"#));
}

#[test]
fn every_kind_of_noncharacter_is_refused() {
    for bad in ["\u{FDD0}", "\u{FDEF}", "\u{FFFF}", "\u{1FFFE}", "\u{10FFFF}"] {
        assert!(
            !accepts(&json(DISCLOSURE, "", &format!(r#","note":"{bad}""#))),
            "{bad:?}"
        );
    }
    for good in ["\u{FDCF}", "\u{FDF0}", "\u{FFFD}", "\u{1FFFD}"] {
        assert!(
            accepts(&json(DISCLOSURE, "", &format!(r#","note":"{good}""#))),
            "{good:?}"
        );
    }
}

#[test]
fn negative_times_of_files_are_times_before_1970() {
    let with_mtime = |mtime: &str| file("a", 0, 1).replace(r#""off""#, &format!(r#""mtime":{mtime},"off""#));
    assert!(accepts(&json(DISCLOSURE, &with_mtime("-1"), "")));
    assert!(accepts(&json(DISCLOSURE, &with_mtime("-9007199254740991"), "")));
    assert!(!accepts(&json(DISCLOSURE, &with_mtime("-9007199254740992"), "")));
}
