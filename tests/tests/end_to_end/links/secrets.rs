//! What of a link lies at the gateway: hashes, and its id in the envelope that the sender signed; no words, no secret, no proof.

use std::fs;
use std::path::Path;

use sealpost_proto::id::LinkId;
use sealpost_proto::sealed::{Argon2Params, LinkKdf};
use sealpost_sealed::LinkKey;
use sealpost_tests::disk;
use sealpost_tests::samples;
use sealpost_tests::search::{Finding, Needles};

use crate::support::links::{Made, Visitor, send_link};
use crate::support::{World, files_below};

const ID: &str = "the link's id";
/// Where the salt stands in a link's stanza, counted from the id (sealed-transfer.md, type 2).
const SALT: usize = 34;

#[test]
fn the_gateway_holds_neither_words_nor_secrets_nor_proofs() {
    let world = World::logging("trace");
    let desk = world.desk();
    let files = samples::referral("Ann Example");
    let paths: Vec<_> = files.iter().map(|file| world.file(&file.name, &file.bytes)).collect();
    let paths: Vec<&Path> = paths.iter().map(AsRef::as_ref).collect();
    let all = [
        send_link(&desk, &paths, &[]),
        send_link(&desk, &paths, &["--link-secret"]),
    ];
    let visitor = Visitor::new(&world, "patient");
    let mut needles = disk::needles(&files);
    for made in &all {
        let outcome = visitor.open(made, &made.words);
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        needles = with_link(needles, made).contents("the proof", &proof(&world, made));
    }
    let control = needles.search(&[&world.folder.path().join("guests"), &world.folder.path().join("files")]);
    let control = control.expect("a search").findings;
    for what in ["the words", "the secret's text"] {
        let is_found = control.iter().any(|finding| finding.what == what);
        assert!(is_found, "the search does not find {what} where they are");
    }
    let log = world.folder.path().join("log");
    fs::create_dir_all(&log).expect("a folder");
    fs::write(log.join("log"), world.gateway.log()).expect("the log");
    let report = needles.search(&[world.gateway.data(), &world.gateway.ring(), &log]);
    let report = report.expect("a search");
    let (ids, others): (Vec<_>, Vec<_>) = report.findings.iter().partition(|finding| is_id_in_envelope(finding));
    assert!(others.is_empty(), "{others:?}");
    assert!(!ids.is_empty(), "the search does not find the id where it is");
    assert!(report.files > 5 && report.bytes > 300_000, "{} files", report.files);
}

/// The link's id stands in the stanza, which the sender signed; elsewhere its hash.
fn is_id_in_envelope(finding: &Finding) -> bool {
    finding.what == ID && finding.file.to_string_lossy().contains("envelope")
}

fn id_of(made: &Made) -> Vec<u8> {
    data_encoding::HEXLOWER.decode(made.id().as_bytes()).expect("an id")
}

/// All of a link that its sender was told.
fn with_link(needles: Needles, made: &Made) -> Needles {
    let needles = needles
        .contents("the words", made.words.as_bytes())
        .contents(ID, &id_of(made))
        .text("the link's id in digits", made.id());
    let Some(digits) = made.secret() else {
        return needles;
    };
    needles
        .contents("the secret", &secret_of(digits))
        .text("the secret's text", digits)
}

fn secret_of(digits: &str) -> Vec<u8> {
    data_encoding::BASE64URL_NOPAD
        .decode(digits.as_bytes())
        .expect("a secret")
}

/// What the visitor's client sends: derived from words and secret under the salt that the stored envelope holds.
fn proof(world: &World, made: &Made) -> Vec<u8> {
    let id = id_of(made);
    let files = files_below(&world.gateway.data().join("blobs"));
    let salts = files.iter().filter_map(|(_, bytes)| {
        let at = bytes.windows(id.len()).position(|window| window == id)?;
        bytes.get(at + SALT..at + SALT + 16)
    });
    let salts: Vec<&[u8]> = salts.collect();
    assert_eq!(salts.len(), 1, "one stanza has this id");
    let kdf = LinkKdf::Argon2id {
        params: Argon2Params::DEFAULT,
        salt: salts[0].try_into().expect("16 bytes"),
    };
    let secret: Option<[u8; 32]> = made.secret().map(|s| secret_of(s).try_into().expect("32 bytes"));
    let id = LinkId::from_bytes(id.try_into().expect("16 bytes"));
    let key = LinkKey::new(id, Some(&made.words), secret.as_ref()).expect("a link");
    let proof = key.auth(&kdf).expect("a proof");
    proof.to_vec()
}
