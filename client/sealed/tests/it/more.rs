//! Known answers of our own, `sealed-v1-more.json`: a grant after elision, the edge between one part and two, many recipients,
//! names in many scripts.

use sealpost_proto::crypto::sha256;
use sealpost_proto::sealed::{Container, GrantTerms, Purpose, container_head, container_tail};
use sealpost_sealed::{EncryptionKey, FAST, FileHasher, Recipient, make_grant};
use serde_json::{Value, json};

use crate::support::*;

const FILE: &str = "sealed-v1-more.json";

/// Everything in the file, made from its inputs.
fn document() -> Value {
    json!({
        "name": "sealed-v1-more",
        "description": "More known answers of the sealed transfer format v1, in the form and with the conventions of sealed-v1.json \
            (recipients, sender, pattern, salts). Published entries are never edited; new ones are added.",
        "conventions": {
            "container": "hex, or generated (content by pattern, segment salts by the salt rule); what every entry opens to is in files",
            "open_with": "the X-Wing seed that opens it; now, audience and trusted are the defaults of sealed-v1.json",
            "grant": "to be opened with that grant and its stanza instead of a stanza in the block"
        },
        "containers": [granted(), one_part(), two_parts(), many_recipients(), scripts()],
    })
}

fn r1() -> Recipient {
    to(&recipient("R1"), 1)
}

fn sealed(name: &str, files: &[(&str, &[u8])], recipients: &[Recipient]) -> Own {
    seal_own_with(FAST, files, recipients, Some(name), &mut FixedRng::new(name))
}

fn entry_of(name: &str, description: &str, own: &Own, files: &[(&str, &[u8])], bytes: &[u8], seed: &[u8]) -> Value {
    let files: Vec<Value> = files.iter().map(|(file, content)| file_entry(file, content)).collect();
    json!({
        "name": name,
        "description": description,
        "length": bytes.len(),
        "sha256": hex(&sha256(&[bytes])),
        "share": hex(own.sealer.secrets().share().unwrap()),
        "TS": hex(own.sealer.secrets().secret().as_bytes()),
        "open_with": { "xwing_seed": hex(seed) },
        "files": files,
    })
}

fn file_entry(name: &str, content: &[u8]) -> Value {
    let mut hasher = FileHasher::new(false);
    hasher.update(content);
    json!({ "name": name, "len": content.len(), "blake3": hasher.finish().blake3.to_string() })
}

fn granted() -> Value {
    let name = "granted-after-elision";
    let files: [(&str, &[u8]); 1] = [("report.txt", b"forwarded with everyone's stanza elided")];
    let own = sealed(name, &files, &[r1(), to(&recipient("R3"), 3)]);
    let terms = GrantTerms {
        granter_identity: text(&VECTORS["fixed"]["ik"]).parse().unwrap(),
        time: VECTORS["open_defaults"]["now"].as_u64().unwrap(),
        purpose: Purpose::Forward,
    };
    let secret = own.sealer.secrets().secret();
    let mut rng = FixedRng::new("granted-after-elision/grant");
    let new = to(&recipient("R2"), 1);
    let (grant, stanza) = make_grant(
        FAST,
        own.sealer.header(),
        secret,
        &new,
        terms,
        &fixed_device(),
        &mut rng,
    )
    .unwrap();
    let parsed = Container::parse(&own.bytes).unwrap();
    let envelope = parsed.envelope().unwrap();
    let bytes = [
        container_head(&envelope.header, &envelope.block.elide(|_| false)),
        parsed.payload().to_vec(),
        container_tail(&envelope.manifest_box, &envelope.seal),
    ]
    .concat();
    let description = "Forwarded to R2: all stanzas elided, RECOVERY_PRESENT set, opened through the grant.";
    let mut entry = entry_of(name, description, &own, &files, &bytes, recipient("R2").seed());
    entry["grant"] = json!({ "grant": hex(&grant.to_bytes()), "stanza": hex(&stanza.to_bytes()) });
    entry["hex"] = json!(hex(&bytes));
    entry
}

fn generated(name: &str, description: &str, len: u64) -> Value {
    let content = pattern(len);
    let files: [(&str, &[u8]); 1] = [("scan.bin", &content)];
    let own = sealed(name, &files, &[r1()]);
    let envelope = Container::parse(&own.bytes).unwrap().envelope().unwrap();
    let mut entry = entry_of(name, description, &own, &files, &own.bytes, recipient("R1").seed());
    entry["generated"] = json!("content by pattern, segment_salt i by the salt rule");
    entry["header"] = json!(hex(&envelope.header.to_bytes()));
    entry["block"] = json!(hex(&envelope.block.to_bytes()));
    entry["box"] = json!(hex(&envelope.manifest_box));
    entry["n"] = json!(envelope.seal.body.segments);
    entry["seal_body"] = json!(hex(&envelope.seal.body.to_bytes()));
    entry["signature"] = json!(hex(&envelope.seal.signature));
    entry
}

fn one_part() -> Value {
    let description = "31 full segments and an empty last one: 32 segments, exactly one part.";
    generated("segments-32", description, 8_126_464)
}

fn two_parts() -> Value {
    let description = "32 full segments and an empty last one: the second part holds 48 bytes.";
    generated("segments-33", description, 8_388_608)
}

fn many_recipients() -> Value {
    let name = "recipients-24";
    let keys: Vec<EncryptionKey> = (0..24)
        .map(|i| EncryptionKey::from_seed(&salt(name, "xwing_seed", i)).unwrap())
        .collect();
    let recipients: Vec<Recipient> = keys.iter().map(|key| to(key, 1)).collect();
    let files: [(&str, &[u8]); 1] = [("circular.txt", b"to all of you")];
    let own = sealed(name, &files, &recipients);
    let description = "24 recipients; number i has the X-Wing seed H(\"vector\", name \u{2016} 00 \u{2016} xwing_seed \u{2016} 00 \u{2016} u64 i), \
        number 23 opens it here.";
    let mut entry = entry_of(name, description, &own, &files, &own.bytes, keys[23].seed());
    entry["hex"] = json!(hex(&own.bytes));
    entry
}

fn scripts() -> Value {
    let name = "names-in-many-scripts";
    let long = "語".repeat(85);
    let files: Vec<(&str, &[u8])> = vec![
        ("Überweisung – Größe.pdf", b"a"),
        ("검사결과.txt", b"bb"),
        ("تقرير طبي.txt", b"ccc"),
        ("दवा.txt", b""),
        ("👩🏽‍⚕️.png", b"eeeee"),
        ("İstanbul.txt", b"f"),
        (&long, b"g"),
    ];
    let own = sealed(name, &files, &[r1()]);
    let description = "Names in NFC in many scripts, one of 255 bytes, one file empty.";
    let mut entry = entry_of(name, description, &own, &files, &own.bytes, recipient("R1").seed());
    entry["hex"] = json!(hex(&own.bytes));
    entry
}

#[test]
fn the_file_follows_from_its_inputs() {
    let stored = read_json(FILE);
    for (stored, made) in list(&stored["containers"]).iter().zip(list(&document()["containers"])) {
        assert!(stored == made, "{}", stored["name"]);
    }
    assert_eq!(list(&stored["containers"]).len(), 5);
}

#[test]
fn containers_open_with_both_providers() {
    for entry in list(&read_json(FILE)["containers"]) {
        let bytes = load(entry);
        assert_eq!(hex(&sha256(&[&bytes])), entry["sha256"], "{}", entry["name"]);
        let mut inputs = Open::defaults("bytes-19");
        inputs.share = Some(unhex(&entry["share"]));
        let seed = unhex_n(&entry["open_with"]["xwing_seed"]);
        inputs.with = Key::Recipient(EncryptionKey::from_seed(&seed).unwrap());
        if let Some(grant) = entry.get("grant") {
            inputs.grant = Some((unhex(&grant["grant"]), unhex(&grant["stanza"])));
        }
        for (provider_name, provider) in providers() {
            let files = open(provider, &bytes, &inputs)
                .unwrap_or_else(|reason| panic!("{provider_name}: {}: {reason}", entry["name"]));
            let digests = list(&entry["files"]).iter().zip(&files);
            assert_eq!(list(&entry["files"]).len(), files.len());
            for (expected, content) in digests {
                assert_eq!(file_entry(text(&expected["name"]), content), *expected);
            }
        }
    }
}

#[test]
#[ignore = "writes the file; published entries are never edited"]
fn write_the_file() {
    let pretty = serde_json::to_string_pretty(&document()).unwrap();
    std::fs::write(vectors_path(FILE), pretty + "\n").unwrap();
}
