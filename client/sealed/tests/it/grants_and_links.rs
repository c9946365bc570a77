//! Grants, links, spoken words and blocks of the known answers, and grants of our own.

use sealpost_proto::crypto::{SigningKey, sha256};
use sealpost_proto::id::{LinkId, PublicKey};
use sealpost_proto::sealed::{
    Argon2Params, Container, GrantTerms, LinkKdf, Purpose, Reason, Stanza, container_head, container_tail,
};
use sealpost_sealed::{LinkKey, OpenWith, Recipient, SealError, make_grant, normalise_words, unwrap_secret};
use serde_json::Value;

use crate::support::*;

/// The container with another block in it.
fn with_block(name: &str, block: &[u8]) -> Vec<u8> {
    let parsed = Container::parse(container(name)).unwrap();
    let envelope = parsed.envelope().unwrap();
    let block_len = u32::try_from(block.len()).unwrap().to_be_bytes();
    [
        &envelope.header.to_bytes()[..],
        &block_len,
        block,
        parsed.payload(),
        &container_tail(&envelope.manifest_box, &envelope.seal),
    ]
    .concat()
}

#[test]
fn grants_get_the_written_verdict() {
    for (provider_name, provider) in providers() {
        for entry in list(&VECTORS["grants"]) {
            let name = text(&entry["container"]);
            let bytes = with_block(name, &unhex(&entry["block"]));
            let stanza = unhex(&entry["stanza"]);
            assert_eq!(hex(&sha256(&[&stanza])), entry["stanza_sha256"]);
            let mut inputs = Open::defaults(name);
            inputs.with = granted_key(entry, &stanza);
            inputs.grant = Some((unhex(&entry["grant"]), stanza));
            let verdict = open(provider, &bytes, &inputs).map(|_| ());
            let expected = match entry["code"].as_str() {
                None => Ok(()),
                Some("LINK_OPEN") => Err(Reason::Key),
                Some(code) => {
                    assert!(code.starts_with("GRANT_"));
                    Err(Reason::Grant)
                }
            };
            assert_eq!(
                verdict, expected,
                "{provider_name}: {} ({})",
                entry["name"], entry["description"]
            );
        }
    }
}

fn granted_key(entry: &Value, stanza: &[u8]) -> Key {
    match entry["open"]["recipient"].as_str() {
        Some(name) => Key::Recipient(recipient(name)),
        None => {
            let parsed = Stanza::parse_granted(stanza).unwrap();
            Key::Link(link_key(&entry["open"]["link"], parsed.link_id().copied()))
        }
    }
}

#[test]
fn words_become_the_written_bytes() {
    for case in list(&VECTORS["words"]["cases"]) {
        assert_eq!(hex(normalise_words(text(&case[0])).as_bytes()), case[1], "{}", case[0]);
    }
}

#[test]
fn links_prove_and_open_as_written() {
    for entry in list(&VECTORS["links"]) {
        let Stanza::Link(stanza) = Stanza::parse_granted(&unhex(&entry["stanza"])).unwrap() else {
            panic!("not a link stanza");
        };
        if stanza.kdf != LinkKdf::None {
            let params = Argon2Params::new(65_536, 3).unwrap();
            let salt = unhex_n(&entry["salt"]);
            assert_eq!(stanza.kdf, LinkKdf::Argon2id { params, salt });
        }
        let key = link_key(entry, None);
        let auth = key.auth(&stanza.kdf).unwrap();
        assert_eq!(hex(&auth[..]), entry["auth"]);
        assert_eq!(hex(&sha256(&[&auth[..]])), entry["auth_sha256"]);
    }
}

#[test]
fn a_link_key_needs_words_or_a_secret_and_takes_no_other_kdf() {
    let id = LinkId::from_bytes([7; 16]);
    assert!(LinkKey::new(id, None, None).is_none());
    assert!(LinkKey::new(id, Some(" 12 - "), None).is_none());
    let with_words = LinkKey::new(id, Some("abacus"), None).unwrap();
    assert!(with_words.auth(&LinkKdf::None).is_err(), "words must not be left out");
}

fn terms(purpose: Purpose) -> GrantTerms {
    GrantTerms {
        granter_identity: text(&VECTORS["fixed"]["ik"]).parse().unwrap(),
        time: VECTORS["open_defaults"]["now"].as_u64().unwrap(),
        purpose,
    }
}

#[test]
fn a_forwarded_transfer_opens_for_the_new_recipient_alone() {
    for (_, provider) in providers() {
        let own = seal_own(provider, &[("a.txt", b"content")], &[to(&recipient("R1"), 1)]);
        let parsed = Container::parse(&own.bytes).unwrap();
        let envelope = parsed.envelope().unwrap();
        let identity_of = |dk: &PublicKey| own.open.trusted.get(dk).copied();
        let verified = envelope
            .clone()
            .verify(&own.open.audience, own.open.now, identity_of)
            .unwrap();
        let holder = recipient("R1");
        let secret = unwrap_secret(provider, &verified, OpenWith::Key(&holder), None).unwrap();
        let (grant, stanza) = make_grant(
            provider,
            &envelope.header,
            &secret,
            &to(&recipient("R2"), 1),
            terms(Purpose::Forward),
            &fixed_device(),
            &mut rng(),
        )
        .unwrap();
        // What the gateway hands to the new recipient: everyone's stanza elided, and the grant.
        let block = envelope.block.elide(|_| false);
        let bytes = [
            container_head(&envelope.header, &block),
            parsed.payload().to_vec(),
            container_tail(&envelope.manifest_box, &envelope.seal),
        ]
        .concat();
        let mut inputs = own.open.clone();
        inputs.grant = Some((grant.to_bytes().to_vec(), stanza.to_bytes()));
        inputs.with = Key::Recipient(recipient("R2"));
        assert_eq!(open(provider, &bytes, &inputs).unwrap(), [b"content"]);
        inputs.with = Key::Recipient(recipient("R3"));
        assert_eq!(open(provider, &bytes, &inputs), Err(Reason::Key));
        // A grant of one transfer does not open another.
        inputs.with = Key::Recipient(recipient("R2"));
        assert_eq!(open(provider, container("bytes-19"), &inputs), Err(Reason::Grant));
    }
}

#[test]
fn a_link_that_was_granted_opens_with_its_words() {
    let (_, provider) = providers()[0];
    let own = seal_own(provider, &[("a.txt", b"content")], &[to(&recipient("R1"), 1)]);
    let key = LinkKey::new(
        LinkId::from_bytes([9; 16]),
        Some("abacus crouton unlit velvet walnut"),
        None,
    )
    .unwrap();
    let (grant, stanza) = make_grant(
        provider,
        own.sealer.header(),
        own.sealer.secrets().secret(),
        &Recipient::Link { key: key.clone() },
        terms(Purpose::Link),
        &fixed_device(),
        &mut rng(),
    )
    .unwrap();
    let mut inputs = own.open.clone();
    inputs.grant = Some((grant.to_bytes().to_vec(), stanza.to_bytes()));
    inputs.with = Key::Link(key);
    assert_eq!(open(provider, &own.bytes, &inputs).unwrap(), [b"content"]);
}

#[test]
fn granting_obeys_the_rules_for_grants() {
    let (_, provider) = providers()[1];
    let own = seal_own(provider, &[], &[to(&recipient("R1"), 1)]);
    let mut header = own.sealer.header().clone();
    let secret = own.sealer.secrets().secret();
    let grant = |header: &_, to: &Recipient, terms| {
        let device: SigningKey = fixed_device();
        make_grant(provider, header, secret, to, terms, &device, &mut rng()).map(|_| ())
    };
    let person = to(&recipient("R2"), 1);
    let refused = Err(SealError::Refused(Reason::Grant));
    assert_eq!(
        grant(&header, &person, terms(Purpose::Link)),
        refused,
        "purpose 3 is for links"
    );
    let late = GrantTerms {
        time: header.expires_at + 1,
        ..terms(Purpose::Forward)
    };
    assert_eq!(grant(&header, &person, late), refused, "after the expiry");
    header.no_forward = true;
    assert_eq!(
        grant(&header, &person, terms(Purpose::Forward)),
        refused,
        "not to be forwarded"
    );
    assert_eq!(
        grant(&header, &person, terms(Purpose::Rewrap)),
        Ok(()),
        "a new key of one's own"
    );
}
