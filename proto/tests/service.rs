//! Service accounts: `service` statements against `vectors/service-v1.json`, which an independent implementation made, what a
//! directory makes of them, and their one spelling under any change.

#![cfg(test)]

use proptest::prelude::*;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::encoding::unhex_array;
use sealpost_proto::id::{Label, OrgId};
use sealpost_proto::key::service::{Network, Networks, Scope, Scopes};
use sealpost_proto::key::{
    Body, Directory, DirectoryError, ServiceLimits, SignedStatement, Statement, StatementError, StatementType, Validity,
};
use serde_json::Value;

const NOW: u64 = 1_767_226_000;

struct World {
    keys: Value,
    service: Value,
}

fn world() -> World {
    World {
        keys: serde_json::from_str(include_str!("../vectors/keys-v1.json")).unwrap(),
        service: serde_json::from_str(include_str!("../vectors/service-v1.json")).unwrap(),
    }
}

impl World {
    /// The directory before the first `service` statement.
    fn directory(&self) -> Directory {
        let mut directory = Directory::new(self.keys["org"].as_str().unwrap().parse().unwrap());
        let before = usize::try_from(self.service["before"].as_u64().unwrap()).unwrap();
        for entry in &self.keys["statements"].as_array().unwrap()[..before] {
            directory.apply(&note(entry).unwrap()).unwrap();
        }
        directory
    }

    fn key(&self, name: &str) -> SigningKey {
        let seed = self.keys["keys"][format!("{name}_seed")].as_str().unwrap();
        SigningKey::from_seed(&unhex_array(seed).unwrap())
    }

    fn label(&self) -> Label {
        self.service["label"].as_str().unwrap().parse().unwrap()
    }

    fn chain(&self) -> Vec<SignedStatement> {
        let chain = self.service["chain"].as_array().unwrap();
        chain.iter().map(|entry| note(entry).unwrap()).collect()
    }

    /// The next statement of a chain in `directory`, signed.
    fn next(&self, directory: &Directory, label: Label, body: Body, role: &str, key: &SigningKey) -> SignedStatement {
        let kind = match body {
            Body::Service(_) => StatementType::Service,
            _ => StatementType::Registrar,
        };
        let last = directory.last(Some(label), kind);
        let statement = Statement {
            org: directory.org(),
            label: Some(label),
            seq: last.map_or(1, |(seq, _)| seq + 1),
            prev: last.map(|(_, hash)| hash),
            body,
        };
        let mut note = statement.note().unwrap();
        note.sign_as(role, key);
        note.try_into().unwrap()
    }
}

fn note(entry: &Value) -> Result<SignedStatement, StatementError> {
    entry["note"].as_str().unwrap().parse()
}

fn limits(scopes: &str, networks: &str) -> ServiceLimits {
    ServiceLimits {
        scopes: scopes.parse().unwrap(),
        networks: networks.parse().unwrap(),
        valid: Validity {
            not_before: NOW,
            not_after: NOW + 1000,
        },
    }
}

#[test]
fn the_chain_is_read_written_and_taken_and_its_last_limits_hold() {
    let world = world();
    let mut directory = world.directory();
    assert_eq!(directory.service(&world.label()), None);
    for (signed, entry) in world.chain().iter().zip(world.service["chain"].as_array().unwrap()) {
        assert_eq!(signed.to_string(), entry["note"].as_str().unwrap());
        assert_eq!(signed.statement().note().unwrap().text(), signed.note().text());
        assert_eq!(signed.hash().to_string(), entry["hash"].as_str().unwrap());
        assert_eq!(signed.leaf(), entry["leaf"].as_str().unwrap());
        directory.apply(signed).unwrap();
        let Body::Service(limits) = &signed.statement().body else {
            panic!("another type")
        };
        assert_eq!(directory.service(&world.label()), Some(limits));
    }
    assert!(
        directory.member(&world.label()).is_none(),
        "limits make nobody a member"
    );
}

#[test]
fn what_is_not_in_form_is_refused() {
    for entry in world().service["refused"].as_array().unwrap() {
        assert_eq!(note(entry), Err(StatementError::Form), "{}", entry["why"]);
    }
}

#[test]
fn nobody_is_a_registrar_and_a_service_account() {
    let world = world();
    let mut directory = world.directory();
    let signed = note(&world.service["registrar"]).unwrap();
    assert_eq!(directory.apply(&signed), Err(DirectoryError::Role));

    directory.apply(&world.chain()[0]).unwrap();
    let fresh = SigningKey::from_seed(&[97; 32]);
    let registrar = |label| {
        let valid = limits("send", "any").valid;
        let body = Body::Registrar {
            key: fresh.public(),
            valid,
        };
        world.next(&directory, label, body, "or", &world.key("root"))
    };
    let mut tried = directory.clone();
    assert_eq!(tried.apply(&registrar(world.label())), Err(DirectoryError::Role));
    assert_eq!(tried.apply(&registrar(Label::from_bytes([5; 32]))), Ok(()));
}

#[test]
fn limits_need_a_registrar_who_may_sign_then() {
    let world = world();
    let directory = world.directory();
    let signed_by = |role: &str, key: &str, limits: ServiceLimits| {
        let body = Body::Service(limits);
        let signed = world.next(&directory, world.label(), body, role, &world.key(key));
        directory.clone().apply(&signed)
    };
    assert_eq!(signed_by("rk", "registrar", limits("send", "any")), Ok(()));
    for (role, key) in [
        ("or", "root"),
        ("ik", "identity"),
        ("rk", "identity"),
        ("ik", "registrar"),
    ] {
        let refused = signed_by(role, key, limits("send", "any"));
        assert_eq!(refused, Err(DirectoryError::Signature), "{role} {key}");
    }
    let mut early = limits("send", "any");
    early.valid.not_before = 1;
    assert_eq!(signed_by("rk", "registrar", early), Err(DirectoryError::Signature));
}

#[test]
fn an_account_is_sent_to_only_while_it_may_receive() {
    let world = world();
    let directory = world.directory();
    let person: Label = world.keys["label"].as_str().unwrap().parse().unwrap();
    assert!(directory.recipient(&person, NOW).is_some(), "who is no service account");
    // A second person, so that the label is no registrar's.
    let chained = |limits: ServiceLimits| {
        let mut directory = directory.clone();
        let robot = SigningKey::from_seed(&[91; 32]);
        let Body::Member { encryption, .. } = note(&world.keys["statements"][2]).unwrap().statement().body.clone()
        else {
            panic!("another type")
        };
        let mut key = *encryption.as_bytes();
        key[0] ^= 1;
        let member = Statement {
            org: directory.org(),
            label: Some(world.label()),
            seq: 1,
            prev: None,
            body: Body::Member {
                identity: robot.public(),
                epoch: 1,
                encryption: sealpost_proto::key::EncryptionPublicKey::from_bytes(key).unwrap(),
                valid: Validity {
                    not_before: NOW - 10,
                    not_after: NOW + 10_000,
                },
                bundle: None,
            },
        };
        let mut member = member.note().unwrap();
        member.sign_as("ik", &robot);
        member.sign_as("rk", &world.key("registrar"));
        let body = Body::Service(limits);
        let service = world.next(&directory, world.label(), body, "rk", &world.key("registrar"));
        directory.apply(&service).unwrap();
        directory.apply(&member.try_into().unwrap()).unwrap();
        directory
    };
    let may = chained(limits("receive", "10.0.0.0/8"));
    assert!(may.recipient(&world.label(), NOW).is_some());
    assert!(may.recipient(&world.label(), NOW - 1).is_none(), "before its time");
    assert!(may.recipient(&world.label(), NOW + 1001).is_none(), "after its time");
    let may_not = chained(limits("send link", "any"));
    assert!(may_not.recipient(&world.label(), NOW).is_none());
    assert!(may_not.current(&world.label(), NOW).is_some(), "its keys are good");
    assert!(
        may_not.member(&world.label()).is_some(),
        "it is a person of the directory all the same"
    );
}

fn any_network() -> impl Strategy<Value = Network> {
    let v4 = (any::<[u8; 4]>(), 0u8..=32).prop_map(|(a, len)| format!("{}/{len}", std::net::Ipv4Addr::from(a)));
    let v6 = (any::<[u8; 16]>(), 0u8..=128).prop_map(|(a, len)| format!("{}/{len}", std::net::Ipv6Addr::from(a)));
    prop_oneof![v4, v6].prop_filter_map("an IPv4 address in IPv6 form", |text| Network::enclosing(&text).ok())
}

fn any_limits() -> impl Strategy<Value = ServiceLimits> {
    let scopes = proptest::sample::subsequence(Scope::ALL.to_vec(), 1..=3).prop_map(|s| Scopes::new(s).unwrap());
    let networks = prop_oneof![
        Just(Networks::Any),
        proptest::collection::vec(any_network(), 1..5).prop_filter_map("doubled", |n| Networks::only(n).ok()),
    ];
    let valid = (0..1u64 << 40, 0..1u64 << 40).prop_map(|(from, len)| Validity {
        not_before: from,
        not_after: from + len,
    });
    (scopes, networks, valid).prop_map(|(scopes, networks, valid)| ServiceLimits {
        scopes,
        networks,
        valid,
    })
}

fn statement(limits: ServiceLimits) -> Statement {
    Statement {
        org: OrgId::from_bytes([1; 32]),
        label: Some(Label::from_bytes([2; 32])),
        seq: 1,
        prev: None,
        body: Body::Service(limits),
    }
}

fn signed(statement: &Statement) -> SignedStatement {
    let mut note = statement.note().unwrap();
    note.sign_as("rk", &SigningKey::from_seed(&[3; 32]));
    note.try_into().unwrap()
}

proptest! {
    #[test]
    fn what_is_written_is_read(limits in any_limits()) {
        let signed = signed(&statement(limits.clone()));
        let read: SignedStatement = signed.to_string().parse().unwrap();
        prop_assert_eq!(&read.statement().body, &Body::Service(limits));
        prop_assert_eq!(read.to_string(), signed.to_string());
    }

    /// Whatever is changed in the text, it is another statement or none, and the signature does not hold for it.
    #[test]
    fn every_altered_line_is_refused(limits in any_limits(), at in any::<prop::sample::Index>(), byte in 0x20u8..0x7f) {
        let good = signed(&statement(limits));
        let text = good.note().text().to_owned();
        let at = at.index(text.len());
        prop_assume!(text.as_bytes()[at] != byte);
        let mut altered = good.to_string().into_bytes();
        altered[at] = byte;
        let Ok(read) = String::from_utf8(altered).unwrap().parse::<SignedStatement>() else { return Ok(()) };
        prop_assert_ne!(read.statement(), good.statement(), "two spellings of one statement");
        let key = SigningKey::from_seed(&[3; 32]).public();
        prop_assert!(read.note().verify_as("rk", &key).is_err());
    }

    #[test]
    fn lines_left_out_doubled_or_swapped_are_refused(limits in any_limits(), which in 0usize..3, how in 0usize..3) {
        let good = signed(&statement(limits));
        let (text, signatures) = good.to_string().split_once("\n\n").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let at = lines.len() - 3 + which;
        match how {
            0 => { lines.remove(at); }
            1 => lines.insert(at, lines[at].clone()),
            _ => lines.swap(at, at - 1),
        }
        let altered = format!("{}\n\n{signatures}", lines.join("\n"));
        prop_assert_eq!(altered.parse::<SignedStatement>().err(), Some(StatementError::Form));
    }
}
