//! Opening for the tests: the inputs, and a whole open in the order of the checks.

use std::collections::HashMap;
use std::convert::Infallible;

use sealpost_proto::id::{LinkId, PublicKey};
use sealpost_proto::sealed::{Container, Grant, Reason, STORED_SEGMENT_LEN, Stanza, VerifiedEnvelope};
use sealpost_sealed::{
    EncryptionKey, LinkKey, OpenWith, Opener, Provider, TransferSecret, UnpackError, Unpacker, unwrap_secret,
};
use serde_json::Value;

use crate::support::*;

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
            let stanza = Stanza::parse_granted(stanza)?;
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
