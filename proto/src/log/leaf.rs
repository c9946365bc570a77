//! Leaves of the audit log: one canonical JSON line (RFC 8785) per event (proto/spec/log.md).
//!
//! A leaf names people by their labels and objects by their ids; it has no file name, note, address, secret or link id.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::crypto::sha256;
use crate::id::{Hash, PublicKey};

/// The longest leaf, in bytes.
pub const MAX_LEAF_LEN: usize = 4 * 1024;

/// A line that is not a leaf of v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the line is not an audit leaf of version 1 in canonical form")]
pub struct LeafError;

/// What happened. The list is closed: a type that is not in it is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum EventType {
    /// The first statements of the organisation were taken.
    #[serde(rename = "org.created")]
    OrgCreated,
    /// A registrar invited somebody.
    #[serde(rename = "key.invited")]
    KeyInvited,
    /// An invitee announced keys; nobody can send to them yet.
    #[serde(rename = "key.enrolled")]
    KeyEnrolled,
    /// A statement about a person's keys was taken.
    #[serde(rename = "key.member")]
    KeyMember,
    /// A statement about a device was taken.
    #[serde(rename = "key.device")]
    KeyDevice,
    /// A statement about a registrar was taken.
    #[serde(rename = "key.registrar")]
    KeyRegistrar,
    /// A revocation was taken.
    #[serde(rename = "key.revoked")]
    KeyRevoked,
    /// The limits of a service account were taken.
    #[serde(rename = "key.service")]
    KeyService,
    /// A sender announced a transfer.
    #[serde(rename = "transfer.created")]
    TransferCreated,
    /// A transfer was sealed: from here on it exists for its recipients.
    #[serde(rename = "transfer.sealed")]
    TransferSealed,
    /// A recipient opened it: share and stanza left the gateway.
    #[serde(rename = "transfer.opened")]
    TransferOpened,
    /// The same device asked again within its opening; not counted.
    #[serde(rename = "transfer.reopened")]
    TransferReopened,
    /// A recipient's signed receipt says that the plaintext was intact.
    #[serde(rename = "transfer.verified")]
    TransferVerified,
    /// A recipient's signed receipt says that a check failed.
    #[serde(rename = "transfer.rejected")]
    TransferRejected,
    /// The release share was destroyed.
    #[serde(rename = "transfer.shredded")]
    TransferShredded,
    /// The sender, or a registrar, withdrew it.
    #[serde(rename = "transfer.revoked")]
    TransferRevoked,
    /// Its share is not here, as after a restore: nothing is released until its sender re-arms it.
    #[serde(rename = "transfer.held")]
    TransferHeld,
    /// Its sender handed the share over again.
    #[serde(rename = "transfer.rearmed")]
    TransferRearmed,
    /// A link for somebody without an account was made.
    #[serde(rename = "link.created")]
    LinkCreated,
    /// Somebody who knew its words or secret opened it: share and stanza left the gateway.
    #[serde(rename = "link.redeemed")]
    LinkRedeemed,
    /// Somebody tried with wrong words, or was refused.
    #[serde(rename = "link.failed")]
    LinkFailed,
    /// Its sender unlocked it after wrong tries.
    #[serde(rename = "link.rearmed")]
    LinkRearmed,
    /// Its sender ended it.
    #[serde(rename = "link.burned")]
    LinkBurned,
    /// The gateway goes on after a loss that its operator accepted.
    #[serde(rename = "dr.restore")]
    DrRestore,
    /// Somebody read the audit log.
    #[serde(rename = "audit.read")]
    AuditRead,
}

impl EventType {
    /// The name as it stands in the leaf.
    #[must_use]
    pub fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => String::new(),
        }
    }
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LeafOutcome {
    /// It was done.
    Ok,
    /// It was refused, with the problem's name.
    Denied(String),
}

/// What somebody is to the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActorKind {
    /// A person of the directory; the id is the label.
    Member,
    /// Somebody who announces keys; the id is the invitation's, or that of the device.
    Invitee,
    /// The gateway itself; the id is the gateway's.
    Gateway,
    /// Somebody without an account who holds a link; the id is the link's hash.
    Visitor,
}

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ObjectKind {
    /// A transfer.
    Transfer,
    /// A person, by label.
    Person,
    /// An invitation.
    Invite,
    /// The organisation.
    Org,
    /// A log, by its origin.
    Log,
    /// A link, by the hash of its id.
    Link,
}

/// Who did it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    /// What it is.
    pub kind: ActorKind,
    /// A person's label, an invite id or the gateway id.
    pub id: String,
    /// The device key that signed the request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dk: Option<PublicKey>,
}

/// What it was done to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Object {
    /// What it is.
    pub kind: ObjectKind,
    /// Its id.
    pub id: String,
}

/// One event of the audit log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Leaf {
    /// Version of the leaf's form: 1.
    pub v: u8,
    /// UUID version 7, unique to the event.
    pub id: String,
    /// When, in milliseconds of unix time; never decreasing within a node.
    pub t: u64,
    /// The gateway process's node name.
    pub node: String,
    /// The organisation's id; absent before there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What happened.
    #[serde(rename = "type")]
    pub event: EventType,
    /// How it ended.
    pub outcome: LeafOutcome,
    /// Who did it.
    pub actor: Actor,
    /// What it was done to.
    pub object: Object,
    /// Network address of the caller, truncated (IPv4 to /24, IPv6 to /48).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// Id of the request, as in the gateway's log and in problem documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub req_id: Option<String>,
    /// SHA-256 of the leaf before this one on the same object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prev_obj: Option<Hash>,
    /// Facts by type (proto/spec/log.md).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<Map<String, Value>>,
}

impl Leaf {
    /// The leaf's bytes: one line of canonical JSON, without LF.
    ///
    /// # Errors
    /// [`LeafError`] if it would be longer than [`MAX_LEAF_LEN`].
    pub fn line(&self) -> Result<String, LeafError> {
        let value = serde_json::to_value(self).map_err(|_| LeafError)?;
        let line = canonical_json(&value);
        if line.len() > MAX_LEAF_LEN {
            Err(LeafError)
        } else {
            Ok(line)
        }
    }

    /// SHA-256 of the line: the next leaf's `prev_obj` on the same object.
    #[must_use]
    pub fn hash_of(line: &str) -> Hash {
        Hash::from_bytes(sha256(&[line.as_bytes()]))
    }
}

impl FromStr for Leaf {
    type Err = LeafError;
    fn from_str(line: &str) -> Result<Self, Self::Err> {
        if line.len() > MAX_LEAF_LEN {
            return Err(LeafError);
        }
        let leaf: Self = serde_json::from_str(line).map_err(|_| LeafError)?;
        let is_canonical = leaf.line()? == line;
        if leaf.v == 1 && is_canonical {
            Ok(leaf)
        } else {
            Err(LeafError)
        }
    }
}

/// JSON in the canonical form of RFC 8785 for values without floating-point numbers: keys sorted by UTF-16 code units, no
/// white space, shortest escapes.
#[must_use]
pub fn canonical_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let mut members: Vec<(&String, &Value)> = map.iter().collect();
            members.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            let members: Vec<String> = members
                .into_iter()
                .map(|(key, value)| format!("{}:{}", Value::String(key.clone()), canonical_json(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(canonical_json).collect();
            format!("[{}]", items.join(","))
        }
        scalar => scalar.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaf() -> Leaf {
        Leaf {
            v: 1,
            id: "018f".into(),
            t: 1,
            node: "a".into(),
            tenant: None,
            event: EventType::TransferSealed,
            outcome: LeafOutcome::Ok,
            actor: Actor {
                kind: ActorKind::Member,
                id: "x".into(),
                dk: None,
            },
            object: Object {
                kind: ObjectKind::Transfer,
                id: "y".into(),
            },
            peer: None,
            req_id: None,
            prev_obj: None,
            data: None,
        }
    }

    #[test]
    fn line_is_canonical_and_reads_back() {
        let line = leaf().line().unwrap();
        assert_eq!(
            line,
            r#"{"actor":{"id":"x","kind":"member"},"id":"018f","node":"a","object":{"id":"y","kind":"transfer"},"outcome":"ok","t":1,"type":"transfer.sealed","v":1}"#
        );
        assert_eq!(line.parse(), Ok(leaf()));
    }

    #[test]
    fn refuses_other_spellings_types_and_versions() {
        let line = leaf().line().unwrap();
        for bad in [
            line.replace(",", ", "),
            line.replace("transfer.sealed", "transfer.teleported"),
            line.replace("\"member\"", "\"stranger\""),
            line.replace("\"transfer\"", "\"letter\""),
            line.replace("\"v\":1", "\"v\":2"),
            line.replace("\"t\":1", "\"t\":1.0"),
            line.replace("\"v\":1", "\"v\":1,\"z\":0"),
            format!("{line}\n"),
        ] {
            assert!(bad.parse::<Leaf>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_sort_by_utf16_code_units() {
        let value = serde_json::json!({"\u{fb33}": 1, "\u{1f600}": 2, "a": "\u{0}\n\""});
        assert_eq!(
            canonical_json(&value),
            "{\"a\":\"\\u0000\\n\\\"\",\"\u{1f600}\":2,\"\u{fb33}\":1}"
        );
    }
}
