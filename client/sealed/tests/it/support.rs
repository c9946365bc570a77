//! Known answers and what they are made of: containers, keys, the pattern, the salts, the two providers.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::LazyLock;

use rand_core::{TryCryptoRng, TryRng};
use sealpost_proto::crypto::{SigningKey, h};
use sealpost_proto::sealed::Header;
use sealpost_sealed::{EncryptionKey, FAST, PORTABLE, Provider};
use serde_json::Value;

pub(crate) use crate::opening::*;
pub(crate) use crate::sealing::*;

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
