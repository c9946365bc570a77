//! Statements, their log, receipts, enrolment and signed requests against `vectors/keys-v1.json`, which an independent
//! implementation made, and the negative cases N74 to N76.

#![cfg(test)]

use sealpost_proto::crypto::{self, SigningKey};
use sealpost_proto::encoding::{hex, unhex_array};
use sealpost_proto::enrolment::{EnrolmentString, Secret, SetupString};
use sealpost_proto::http_signature::{self, ReceivedSignature, Request};
use sealpost_proto::id::{Address, GatewayId, Hash, InviteId, Label, PublicKey};
use sealpost_proto::key::fingerprint::{org_id, safety_number};
use sealpost_proto::key::note::Note;
use sealpost_proto::key::{
    Body, Directory, DirectoryError, EncryptionPublicKey, RevokedKey, SignedStatement, Statement, StatementType,
    Validity,
};
use sealpost_proto::log::Checkpoint;
use sealpost_proto::receipt::{Kind, SignedReceipt};
use sealpost_proto::tree::{Tree, leaf_hash};
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../vectors/keys-v1.json")).unwrap()
}

fn text<'a>(value: &'a Value, path: &str) -> &'a str {
    value
        .pointer(path)
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("{path} is missing"))
}

fn bytes<const N: usize>(value: &Value, path: &str) -> [u8; N] {
    unhex_array(text(value, path)).unwrap()
}

fn signing_key(vectors: &Value, name: &str) -> SigningKey {
    SigningKey::from_seed(&bytes(vectors, &format!("/keys/{name}_seed")))
}

fn statements(vectors: &Value) -> Vec<SignedStatement> {
    let list = vectors["statements"].as_array().unwrap();
    list.iter().map(|entry| text(entry, "/note").parse().unwrap()).collect()
}

fn directory(vectors: &Value) -> Directory {
    Directory::new(org_id(&signing_key(vectors, "root").public()))
}

#[test]
fn ids_of_keys_and_people() {
    let v = vectors();
    for name in ["root", "registrar", "identity", "device", "log"] {
        assert_eq!(
            hex(signing_key(&v, name).public().as_bytes()),
            text(&v, &format!("/keys/{name}")),
            "{name}"
        );
    }
    let gateway: GatewayId = text(&v, "/gateway").parse().unwrap();
    assert_eq!(hex(&gateway.audience()), text(&v, "/audience"));
    let address: Address = text(&v, "/address").parse().unwrap();
    assert_eq!(
        address.label(&bytes(&v, "/enrolment/directory_key")).to_string(),
        text(&v, "/label")
    );
    assert_eq!(org_id(&signing_key(&v, "root").public()).to_string(), text(&v, "/org"));
    assert_eq!(crypto::kid(&bytes(&v, "/keys/ek")).to_string(), text(&v, "/keys/kid"));
    let number = safety_number(
        &signing_key(&v, "identity").public(),
        &signing_key(&v, "device").public(),
    );
    assert_eq!(number, text(&v, "/safety_number"));
}

#[test]
fn statements_read_write_and_chain() {
    let v = vectors();
    let mut directory = directory(&v);
    let mut tree = Tree::new();
    for (index, signed) in statements(&v).iter().enumerate() {
        let entry = &v["statements"][index];
        assert_eq!(hex(&tree.head()), v["directory_heads"][index].as_str().unwrap());
        assert_eq!(signed.to_string(), text(entry, "/note"));
        assert_eq!(
            signed.statement().note().unwrap().text(),
            signed.note().text(),
            "the text is written as it was read"
        );
        assert_eq!(signed.hash().to_string(), text(entry, "/hash"));
        assert_eq!(signed.leaf(), text(entry, "/leaf"));
        directory
            .apply(signed)
            .unwrap_or_else(|error| panic!("statement {index}: {error}"));
        tree.push(leaf_hash(signed.leaf().as_bytes()));
    }
    assert_eq!(directory.org_name(), "Riverside Clinic");
    let label: Label = text(&v, "/label").parse().unwrap();
    let member = directory.recipient(&label, 1_767_226_000).unwrap();
    assert_eq!(
        (member.epoch, member.encryption.kid().to_string()),
        (2, text(&v, "/keys/kid").to_owned())
    );
    assert!(
        directory.recipient(&label, 1_798_761_601).is_none(),
        "past its validity"
    );
    assert!(directory.is_registrar(&label, 1_767_226_000));

    let origin = text(&v, "/gateway").to_owned() + "/directory";
    let checkpoint = Checkpoint::verify(text(&v, "/checkpoint"), &origin, &signing_key(&v, "log").public()).unwrap();
    assert_eq!(
        (checkpoint.size, checkpoint.root),
        (tree.size(), Hash::from_bytes(tree.head()))
    );
}

#[test]
fn a_revocation_counts_from_where_it_stands() {
    let v = vectors();
    let mut directory = directory(&v);
    for signed in statements(&v) {
        directory.apply(&signed).unwrap();
    }
    let device = signing_key(&v, "device").public();
    let now = 1_767_226_000;
    assert_eq!(
        directory.device(&device, now),
        None,
        "N67: a device revoked in the directory is not believed"
    );
    assert!(
        directory.device_below(&device, now, 5).is_some(),
        "a seal accepted below the revocation stays good"
    );
    assert!(directory.device_below(&device, now, 6).is_none());
    let identity = signing_key(&v, "identity").public();
    assert_eq!(directory.device_below(&device, now, 5).unwrap().identity, identity);
    assert_eq!(
        directory.device_below(&identity, now, 5),
        None,
        "N68: a key that is no device"
    );
}

/// A second statement by the same people, for the negative cases.
fn member(v: &Value, seq: u64, prev: Option<Hash>) -> Statement {
    Statement {
        org: directory(v).org(),
        label: Some(text(v, "/label").parse().unwrap()),
        seq,
        prev,
        body: Body::Member {
            identity: signing_key(v, "identity").public(),
            epoch: 3,
            encryption: EncryptionPublicKey::from_bytes(bytes(v, "/keys/dek")).unwrap(),
            valid: Validity {
                not_before: 1_767_225_600,
                not_after: 1_798_761_600,
            },
            bundle: None,
        },
    }
}

fn signed(v: &Value, statement: &Statement, signers: &[(&str, &str)]) -> SignedStatement {
    let mut note = statement.note().unwrap();
    for (role, key) in signers {
        note.sign_as(role, &signing_key(v, key));
    }
    note.try_into().unwrap()
}

const BOTH: &[(&str, &str)] = &[("rk", "registrar"), ("ik", "identity")];

/// The directory after the four first statements, and the hash of the member statement in it.
fn founded(v: &Value) -> (Directory, Hash) {
    let mut directory = directory(v);
    let statements = statements(v);
    for signed in &statements[..4] {
        directory.apply(signed).unwrap();
    }
    (directory, statements[2].hash())
}

#[test]
fn n74_a_gap_in_the_numbers_is_refused() {
    let v = vectors();
    let (mut directory, last) = founded(&v);
    let gap = signed(&v, &member(&v, 3, Some(last)), BOTH);
    assert_eq!(directory.apply(&gap), Err(DirectoryError::Chain));
    let next = signed(&v, &member(&v, 2, Some(last)), BOTH);
    assert_eq!(directory.apply(&next), Ok(()), "the same with the right number");
}

#[test]
fn n75_a_second_statement_of_the_same_number_is_refused() {
    let v = vectors();
    let (mut directory, last) = founded(&v);
    directory.apply(&signed(&v, &member(&v, 2, Some(last)), BOTH)).unwrap();
    let size = directory.size();
    let fork = signed(&v, &member(&v, 2, Some(last)), BOTH);
    assert_eq!(directory.apply(&fork), Err(DirectoryError::Chain));
    let elsewhere = signed(&v, &member(&v, 3, Some(last)), BOTH);
    assert_eq!(
        directory.apply(&elsewhere),
        Err(DirectoryError::Chain),
        "prev of another statement"
    );
    assert_eq!(directory.size(), size, "a refused statement changes nothing");
}

#[test]
fn n76_a_member_without_the_registrar_or_the_identity_is_refused() {
    let v = vectors();
    for signers in [
        &BOTH[1..],
        &BOTH[..1],
        &[],
        &[("rk", "device"), ("ik", "identity")],
        &[("ik", "registrar"), ("ik", "identity")],
    ] {
        let (mut directory, last) = founded(&v);
        let lacking = signed(&v, &member(&v, 2, Some(last)), signers);
        assert_eq!(directory.apply(&lacking), Err(DirectoryError::Signature), "{signers:?}");
    }
}

#[test]
fn a_new_identity_needs_the_old_one() {
    let v = vectors();
    let (mut directory, last) = founded(&v);
    let mut takeover = member(&v, 2, Some(last));
    let fresh = SigningKey::from_seed(&[99; 32]);
    if let Body::Member { identity, .. } = &mut takeover.body {
        *identity = fresh.public();
    }
    let mut note = takeover.note().unwrap();
    note.sign_as("rk", &signing_key(&v, "registrar"));
    note.sign_as("ik", &fresh);
    let without = SignedStatement::try_from(note.clone()).unwrap();
    assert_eq!(directory.apply(&without), Err(DirectoryError::Signature));
    note.sign_as("ik", &signing_key(&v, "identity"));
    directory.apply(&SignedStatement::try_from(note).unwrap()).unwrap();
    let device = signing_key(&v, "device").public();
    assert_eq!(
        directory.device(&device, 1_767_226_000),
        None,
        "devices of the old identity end with it"
    );
}

#[test]
fn nobody_announces_another_ones_keys() {
    let v = vectors();
    let (mut directory, _) = founded(&v);
    let mut other = member(&v, 1, None);
    other.label = Some(Label::from_bytes([7; 32]));
    assert_eq!(
        directory.apply(&signed(&v, &other, BOTH)),
        Err(DirectoryError::Key),
        "identity of another label"
    );
    let fresh = SigningKey::from_seed(&[99; 32]);
    if let Body::Member {
        identity, encryption, ..
    } = &mut other.body
    {
        *identity = fresh.public();
        *encryption = EncryptionPublicKey::from_bytes(bytes(&v, "/keys/ek")).unwrap();
    }
    let mut note = other.note().unwrap();
    note.sign_as("rk", &signing_key(&v, "registrar"));
    note.sign_as("ik", &fresh);
    assert_eq!(
        directory.apply(&note.try_into().unwrap()),
        Err(DirectoryError::Key),
        "encryption key of another label"
    );
}

#[test]
fn revocations_need_their_signers() {
    let v = vectors();
    let (directory, _) = founded(&v);
    let revoke = |key: RevokedKey| Statement {
        body: Body::Revoke {
            key,
            time: 1_767_300_000,
        },
        ..member(&v, 1, None)
    };
    let device = RevokedKey::Device(signing_key(&v, "device").public());
    let identity = RevokedKey::Identity(signing_key(&v, "identity").public());
    let registrar = RevokedKey::Registrar(signing_key(&v, "registrar").public());
    let cases = [
        (device, ("ik", "identity"), true),
        (device, ("rk", "registrar"), true),
        (device, ("or", "root"), true),
        (device, ("dk", "device"), false),
        (identity, ("ik", "identity"), true),
        (identity, ("rk", "registrar"), true),
        (identity, ("dk", "device"), false),
        (registrar, ("or", "root"), true),
        (registrar, ("rk", "registrar"), true),
        (registrar, ("ik", "identity"), false),
    ];
    for (key, signer, accepted) in cases {
        let signed = signed(&v, &revoke(key), &[signer]);
        assert_eq!(
            directory.clone().apply(&signed).is_ok(),
            accepted,
            "{key:?} by {signer:?}"
        );
    }
}

#[test]
fn statements_of_another_organisation_or_root_are_refused() {
    let v = vectors();
    let mut other = Directory::new(org_id(&signing_key(&v, "device").public()));
    assert_eq!(other.apply(&statements(&v)[0]), Err(DirectoryError::Organisation));
    let (mut directory, _) = founded(&v);
    let mut registrar = member(
        &v,
        2,
        directory
            .last(Some(text(&v, "/label").parse().unwrap()), StatementType::Registrar)
            .map(|c| c.1),
    );
    registrar.body = Body::Registrar {
        key: SigningKey::from_seed(&[98; 32]).public(),
        valid: Validity {
            not_before: 1,
            not_after: 2,
        },
    };
    assert_eq!(
        directory.apply(&signed(&v, &registrar, &[("rk", "registrar")])),
        Err(DirectoryError::Signature)
    );
    assert_eq!(directory.apply(&signed(&v, &registrar, &[("or", "root")])), Ok(()));
}

#[test]
fn statement_texts_have_one_spelling() {
    let v = vectors();
    let good = text(&v, "/statements/4/note");
    assert!(good.parse::<SignedStatement>().is_ok());
    let key = text(&v, "/statements/4/note")
        .split("ik ")
        .nth(1)
        .unwrap()
        .split('\n')
        .next()
        .unwrap()
        .to_owned();
    for bad in [
        good.replace("seq 2", "seq 02"),
        good.replace("seq 2", "seq 0"),
        good.replace("seq 2", "seq 1"),
        good.replace("/member", "/admin"),
        good.replace("/v1/", "/v2/"),
        good.replace("bundle 7", "bundle -7"),
        good.replace("bundle 7", "bundle 7\nbundle 8"),
        good.replace("bundle 7", "more 7"),
        good.replace("ek 647a 2", "ek 0020 2"),
        good.replace("ek 647a 2", "ek 647a 0"),
        good.replace("valid 1767225600 1798761600", "valid 1798761600 1767225600"),
        good.replace(&format!("ik {key}\n"), &format!("ik {key}\nik {key}\n")),
        good.replace(&format!("ik {key}\n"), ""),
    ] {
        assert_ne!(bad, good, "the case changes nothing");
        assert!(bad.parse::<SignedStatement>().is_err(), "{bad}");
    }
}

#[test]
fn a_small_order_encryption_key_is_refused() {
    let v = vectors();
    let mut ek: [u8; 1216] = bytes(&v, "/keys/ek");
    ek[1184..].fill(0);
    assert!(EncryptionPublicKey::from_bytes(ek).is_err());
}

#[test]
fn receipts_read_and_verify() {
    let v = vectors();
    let gateway: GatewayId = text(&v, "/gateway").parse().unwrap();
    for entry in v["receipts"].as_array().unwrap() {
        let receipt: SignedReceipt = text(entry, "/note").parse().unwrap();
        assert_eq!(receipt.to_string(), text(entry, "/note"));
        assert_eq!(receipt.text_hash().to_string(), text(entry, "/text_sha256"));
        receipt
            .verify_gateway(&gateway, &signing_key(&v, "log").public())
            .unwrap();
        let by_person = matches!(receipt.receipt().kind, Kind::Verified(_) | Kind::Rejected(..));
        assert_eq!(receipt.verify_recipient().is_ok(), by_person);
        assert_eq!(receipt.receipt().note().unwrap().text(), receipt.note().text());
    }
}

#[test]
fn a_receipt_signed_as_something_else_does_not_verify() {
    let v = vectors();
    let note = Note::parse(text(&v, "/receipts/1/note")).unwrap();
    let mut forged = Note::new(note.text().to_owned()).unwrap();
    forged.sign_as("ik", &signing_key(&v, "device"));
    assert!(SignedReceipt::try_from(forged).unwrap().verify_recipient().is_err());
}

#[test]
fn enrolment_and_setup_strings() {
    let v = vectors();
    let parsed: EnrolmentString = text(&v, "/enrolment/enrolment_string").parse().unwrap();
    assert_eq!(*parsed.to_text(), text(&v, "/enrolment/enrolment_string"));
    assert_eq!(parsed.at.pin, bytes(&v, "/enrolment/pin"));
    let setup: SetupString = text(&v, "/enrolment/setup_string").parse().unwrap();
    assert_eq!(*setup.to_text(), text(&v, "/enrolment/setup_string"));
    assert_eq!(setup.at, parsed.at);

    let secret = Secret::from_bytes(bytes(&v, "/enrolment/secret"));
    let invite = InviteId::from_bytes(bytes(&v, "/enrolment/invite"));
    assert_eq!(
        *secret.setup_auth(&parsed.at.gateway),
        bytes(&v, "/enrolment/setup_auth")
    );
    let auth = secret.invite_auth(&invite);
    assert_eq!(*auth, bytes(&v, "/enrolment/invite_auth"));
    assert_eq!(crypto::sha256(&[&*auth]), bytes(&v, "/enrolment/invite_auth_sha256"));
    let public = |name| signing_key(&v, name).public();
    let ek = EncryptionPublicKey::from_bytes(bytes(&v, "/keys/ek")).unwrap();
    let label: Label = text(&v, "/label").parse().unwrap();
    let mac = secret.invite_mac(&invite, &label, &public("identity"), &ek, &public("device"));
    assert_eq!(mac, bytes(&v, "/enrolment/mac"));
}

#[test]
fn signed_requests() {
    let v = vectors();
    let device = signing_key(&v, "device");
    for entry in v["requests"].as_array().unwrap() {
        let header = |name: &str| entry["headers"].get(name).and_then(Value::as_str);
        let request = Request {
            method: text(entry, "/method"),
            authority: text(entry, "/authority"),
            path: text(entry, "/path"),
            query: text(entry, "/query"),
            seen: header("sealpost-seen"),
            content_digest: header("content-digest"),
            content_length: header("content-length"),
            idempotency_key: header("idempotency-key"),
            part_root: header("sealpost-part-root"),
        };
        let made = http_signature::sign(&request, &device, 1_767_226_000, bytes(entry, "/nonce")).unwrap();
        assert_eq!(made.input, text(entry, "/signature_input"));
        assert_eq!(made.signature, text(entry, "/signature"));
        let received = ReceivedSignature::parse(&made.input, &made.signature).unwrap();
        assert_eq!(received.verify(&request).unwrap(), text(entry, "/base"));
        assert_eq!(received.params().key, PublicKey::from_bytes(bytes(&v, "/keys/device")));
    }
}
