//! Known answers, the two providers, and a whole open in the order of the checks.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::LazyLock;

use rand_core::{TryCryptoRng, TryRng};
use sealpost_proto::crypto::{SigningKey, h};
use sealpost_proto::id::{LinkId, PublicKey, TransferId};
use sealpost_proto::sealed::{
    Container, Grant, Header, Reason, STORED_SEGMENT_LEN, Stanza, VerifiedEnvelope, container_head, container_tail,
};
use sealpost_sealed::{
    EncryptionKey, FAST, LinkKey, ManifestDraft, OpenWith, Opener, PORTABLE, Provider, Recipient, Sealer,
    TransferDraft, TransferSecret, TransferSecrets, UnpackError, Unpacker, plaintext_mut, unwrap_secret,
};
use serde_json::Value;

pub(crate) fn providers() -> [(&'static str, &'static dyn Provider); 2] {
    [("fast", FAST), ("portable", PORTABLE)]
}

pub(crate) fn vectors_path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../proto/vectors")
        .join(name)
}

pub(crate) fn read_json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(vectors_path(name)).unwrap()).unwrap()
}

pub(crate) static VECTORS: LazyLock<Value> = LazyLock::new(|| read_json("sealed-v1.json"));

pub(crate) fn unhex(value: &Value) -> Vec<u8> {
    data_encoding::HEXLOWER
        .decode(value.as_str().expect("a hex string").as_bytes())
        .unwrap()
}

pub(crate) fn unhex_n<const N: usize>(value: &Value) -> [u8; N] {
    unhex(value).try_into().unwrap()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(bytes)
}

pub(crate) fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

/// Yields given bytes first, one call after the other, then hash output of its own: for known answers alone.
pub(crate) struct FixedRng {
    given: VecDeque<Vec<u8>>,
    seed: String,
    counter: u64,
}

impl FixedRng {
    pub(crate) fn new(seed: &str) -> Self {
        Self {
            given: VecDeque::new(),
            seed: seed.to_owned(),
            counter: 0,
        }
    }

    pub(crate) fn then(mut self, bytes: &[u8]) -> Self {
        self.given.push_back(bytes.to_vec());
        self
    }
}

impl TryRng for FixedRng {
    type Error = Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Infallible> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Infallible> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, dst: &mut [u8]) -> Result<(), Infallible> {
        if let Some(given) = self.given.pop_front() {
            dst.copy_from_slice(&given);
            return Ok(());
        }
        for chunk in dst.chunks_mut(32) {
            let block = h("vector", &[self.seed.as_bytes(), &[0], &self.counter.to_be_bytes()]);
            chunk.copy_from_slice(&block[..chunk.len()]);
            self.counter += 1;
        }
        Ok(())
    }
}

impl TryCryptoRng for FixedRng {}

/// The system's randomness.
pub(crate) fn rng() -> impl rand_core::CryptoRng {
    rand_core::UnwrapErr(getrandom::SysRng)
}

/// The rule by which the vectors draw what they do not write down.
pub(crate) fn salt(name: &str, what: &str, index: u64) -> [u8; 32] {
    h(
        "vector",
        &[name.as_bytes(), &[0], what.as_bytes(), &[0], &index.to_be_bytes()],
    )
}

/// The rule by which the vectors fill files.
pub(crate) fn pattern(len: u64) -> Vec<u8> {
    (0..len)
        .map(|j| (7 * j + 13 * (j >> 8) + 29 * (j >> 16)).to_le_bytes()[0])
        .collect()
}

pub(crate) fn recipient(name: &str) -> EncryptionKey {
    let entry = list(&VECTORS["recipients"]).iter().find(|r| r["name"] == name).unwrap();
    EncryptionKey::from_seed(&unhex_n(&entry["xwing_seed"])).unwrap()
}

pub(crate) fn fixed_device() -> SigningKey {
    SigningKey::from_seed(&unhex_n(&VECTORS["fixed"]["dk_seed"]))
}

pub(crate) fn entry(name: &str) -> &'static Value {
    list(&VECTORS["containers"]).iter().find(|c| c["name"] == name).unwrap()
}

static CONTAINERS: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let containers = list(&VECTORS["containers"]).iter();
    containers.map(|c| (text(&c["name"]).to_owned(), load(c))).collect()
});

/// Bytes of a container of the known answers.
pub(crate) fn container(name: &str) -> &'static [u8] {
    &CONTAINERS[name]
}

pub(crate) fn load(entry: &Value) -> Vec<u8> {
    if let Some(file) = entry["file"].as_str() {
        return std::fs::read(vectors_path(file)).unwrap();
    }
    if let Some(bytes) = entry.get("hex") {
        return unhex(bytes);
    }
    generate(entry)
}

/// A container of which only header, block and box are stored: its segments follow from pattern and salts.
fn generate(entry: &Value) -> Vec<u8> {
    let name = text(&entry["name"]);
    let header = Header::parse(&unhex(&entry["header"])).unwrap();
    let total = list(&entry["files"]).iter().map(|f| f["len"].as_u64().unwrap()).sum();
    let sealer = sealer_like(&header, entry, total);
    let mut payload = Vec::new();
    seal_payload(
        &sealer,
        &pattern(total),
        |i| salt(name, "segment_salt", i),
        &mut payload,
    );
    let manifest_box = unhex(&entry["box"]);
    let block = unhex(&entry["block"]);
    let seal = [unhex(&entry["seal_body"]), unhex(&entry["signature"])].concat();
    let with_len = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    [
        header.to_bytes().to_vec(),
        with_len(&block),
        payload,
        with_len(&manifest_box),
        seal,
    ]
    .concat()
}

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
        role: sealpost_proto::sealed::Role::from_u8(role).unwrap(),
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
    let files = files.iter().map(|(name, len)| sealpost_sealed::FileDraft {
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
        disclosure: sealpost_sealed::Disclosure {
            category: "treatment".to_owned(),
            basis: "164.506".to_owned(),
        },
        reply_to: None,
        files: files.collect(),
    }
}

/// Inputs of opening.
#[derive(Clone)]
pub(crate) struct Open {
    pub(crate) now: u64,
    pub(crate) audience: [u8; 32],
    pub(crate) trusted: HashMap<PublicKey, PublicKey>,
    pub(crate) share: Option<Vec<u8>>,
    pub(crate) with: Key,
    pub(crate) leaf_list: Option<Vec<u8>>,
    pub(crate) grant: Option<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone)]
pub(crate) enum Key {
    Recipient(EncryptionKey),
    Link(LinkKey),
}

fn trusted(value: &Value) -> HashMap<PublicKey, PublicKey> {
    let entries = value.as_object().unwrap().iter();
    entries
        .map(|(dk, ik)| (dk.parse().unwrap(), text(ik).parse().unwrap()))
        .collect()
}

impl Open {
    /// The defaults of the known answers for a container: its share, and R1's key.
    pub(crate) fn defaults(container: &str) -> Self {
        let defaults = &VECTORS["open_defaults"];
        let share = &entry(container)["share"];
        Self {
            now: defaults["now"].as_u64().unwrap(),
            audience: unhex_n(&defaults["audience"]),
            trusted: trusted(&defaults["trusted"]),
            share: share.is_string().then(|| unhex(share)),
            with: Key::Recipient(recipient("R1")),
            leaf_list: None,
            grant: None,
        }
    }

    /// The defaults, with what an entry says otherwise.
    pub(crate) fn of(entry: &Value) -> Self {
        let mut open = Self::defaults(text(&entry["container"]));
        let Some(differs) = entry["open"].as_object() else {
            return open;
        };
        for (key, value) in differs {
            match key.as_str() {
                "now" => open.now = value.as_u64().unwrap(),
                "audience" => open.audience = unhex_n(value),
                "trusted" => open.trusted = trusted(value),
                "share" => open.share = value.is_string().then(|| unhex(value)),
                "recipient" => open.with = Key::Recipient(recipient(text(value))),
                "link" => open.with = Key::Link(link_key(value, None)),
                "leaf_list" => open.leaf_list = Some(unhex(value)),
                other => panic!("unknown input of opening: {other}"),
            }
        }
        open
    }
}

/// A visitor's key; the link's id may come from the stanza instead of the entry.
pub(crate) fn link_key(value: &Value, id: Option<LinkId>) -> LinkKey {
    let id = id.unwrap_or_else(|| text(&value["link_id"]).parse().unwrap());
    let secret: Option<[u8; 32]> = value["secret"].is_string().then(|| unhex_n(&value["secret"]));
    LinkKey::new(id, value["words"].as_str(), secret.as_ref()).unwrap()
}

/// Opens a container from its first byte to its last file, in the order of the checks.
pub(crate) fn open(provider: &'static dyn Provider, bytes: &[u8], open: &Open) -> Result<Vec<Vec<u8>>, Reason> {
    let container = Container::parse(bytes)?;
    let identity_of = |dk: &PublicKey| open.trusted.get(dk).copied();
    let envelope = container.envelope()?.verify(&open.audience, open.now, identity_of)?;
    let grant = match &open.grant {
        Some((grant, stanza)) => {
            let stanza = Stanza::parse_granted(stanza).map_err(|_| Reason::Grant)?;
            Some(Grant::parse(grant)?.verify(&envelope.envelope().header, &stanza, identity_of)?)
        }
        None => None,
    };
    let with = match &open.with {
        Key::Recipient(key) => OpenWith::Key(key),
        Key::Link(link) => OpenWith::Link(link),
    };
    let secret = unwrap_secret(provider, &envelope, with, grant.as_ref())?;
    open_payload(provider, envelope, secret, open, container.payload())
}

fn open_payload(
    provider: &'static dyn Provider,
    envelope: VerifiedEnvelope,
    secret: TransferSecret,
    open: &Open,
    payload: &[u8],
) -> Result<Vec<Vec<u8>>, Reason> {
    let opener = Opener::new(provider, envelope, secret, open.share.as_deref())?;
    let segments = match &open.leaf_list {
        Some(leaves) => opener.payload(leaves)?,
        None => opener.payload_at_hand(payload)?,
    };
    let mut files = vec![Vec::new(); opener.manifest().files.len()];
    let mut unpacker = Unpacker::new(opener.manifest(), segments.layout());
    let mut stored = payload.to_vec();
    for (i, segment) in stored.chunks_mut(STORED_SEGMENT_LEN).enumerate() {
        let plaintext = segments.open_segment(i as u64, segment)?;
        let sink = |file: usize, bytes: &[u8]| -> Result<(), Infallible> {
            files[file].extend_from_slice(bytes);
            Ok(())
        };
        match unpacker.push(plaintext, sink) {
            Ok(()) => {}
            Err(UnpackError::Refused(reason)) => return Err(reason),
        }
    }
    unpacker.finish()?;
    Ok(files)
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
            let mut hasher = sealpost_sealed::FileHasher::new(true);
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
