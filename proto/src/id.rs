//! Identifiers as types of their own, so that one cannot stand where another belongs.
//!
//! All are written as lower-case hex (in binary encodings as their bytes); parsing is strict. What is random (16 bytes) is drawn by whoever creates the object;
//! what is a hash (32 bytes) says of what.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::encoding::{EncodingError, hex, unhex_array};

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name([u8; $len]);

        impl $name {
            /// The id made of these bytes.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes of the id.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), hex(&self.0))
            }
        }

        impl FromStr for $name {
            type Err = EncodingError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                unhex_array(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if !deserializer.is_human_readable() {
                    return <[u8; $len]>::deserialize(deserializer).map(Self);
                }
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

hex_id!(
    /// A transfer: 16 random bytes drawn by the sender's client (header, offset 16).
    TransferId,
    16
);
hex_id!(
    /// An opening of a transfer: 16 random bytes drawn by the recipient's device.
    OpeningId,
    16
);
hex_id!(
    /// An invitation to enrol: 16 random bytes drawn by the registrar's client.
    InviteId,
    16
);
hex_id!(
    /// A link for someone without an account: 16 random bytes drawn by the sender's client.
    LinkId,
    16
);
hex_id!(
    /// SHA-256 of anything, or a tree head.
    Hash,
    32
);
hex_id!(
    /// Id of an encryption key: `H("kid", u16 0x647A || pk)`.
    Kid,
    32
);
hex_id!(
    /// A person's place in the directory: HMAC-SHA-256(directory key, address).
    Label,
    32
);
hex_id!(
    /// An organisation: `H("org", public key of its root)`.
    OrgId,
    32
);
hex_id!(
    /// An Ed25519 public key: identity, device, registrar or organisation root.
    PublicKey,
    32
);
/// The name of a gateway, fixed at its first start: 1 to 200 printable ASCII characters without space, `+` and `;`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub struct GatewayId(String);

impl GatewayId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Origin of the gateway's audit log (`<gateway id>/audit`).
    #[must_use]
    pub fn audit_origin(&self) -> String {
        format!("{}/audit", self.0)
    }

    /// Origin of the gateway's audit log number `log`: `<gateway id>/audit` for the first, `<gateway id>/audit.2` for the one that
    /// succeeds it after a loss, and so on.
    #[must_use]
    pub fn audit_origin_of(&self, log: u64) -> String {
        match log {
            0 | 1 => self.audit_origin(),
            log => format!("{}/audit.{log}", self.0),
        }
    }

    /// Origin of the gateway's directory log (`<gateway id>/directory`).
    #[must_use]
    pub fn directory_origin(&self) -> String {
        format!("{}/directory", self.0)
    }

    /// Name under which the log key signs receipts (`<gateway id>/receipts`).
    #[must_use]
    pub fn receipts_name(&self) -> String {
        format!("{}/receipts", self.0)
    }

    /// The header's `audience`: `H("audience", gateway id)`.
    #[must_use]
    pub fn audience(&self) -> [u8; 32] {
        crate::crypto::h("audience", &[self.0.as_bytes()])
    }
}

impl fmt::Display for GatewayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for GatewayId {
    type Err = EncodingError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let printable = |b: u8| b.is_ascii_graphic() && b != b'+' && b != b';';
        if text.is_empty() || text.len() > 200 || !text.bytes().all(printable) {
            return Err(EncodingError);
        }
        Ok(Self(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for GatewayId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

/// A person's address (usually an e-mail address), normalised: UTF-8 with ASCII letters lower-cased, without spaces,
/// control characters and `;`; at most 254 bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct Address(String);

impl Address {
    /// The normalised text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The address's label under an organisation's directory key.
    #[must_use]
    pub fn label(&self, directory_key: &[u8; 32]) -> Label {
        Label::from_bytes(crate::crypto::hmac_sha256(directory_key, &[self.0.as_bytes()]))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Address {
    type Err = EncodingError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let forbidden = |c: char| c.is_whitespace() || c.is_control() || c == ';';
        if text.is_empty() || text.len() > 254 || text.chars().any(forbidden) {
            return Err(EncodingError);
        }
        Ok(Self(text.to_ascii_lowercase()))
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let address: Self = text.parse().map_err(de::Error::custom)?;
        if address.0 != text {
            return Err(de::Error::custom("the address is not in its normal form"));
        }
        Ok(address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let text = "000102030405060708090a0b0c0d0e0f";
        let id: TransferId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        assert!(text.to_uppercase().parse::<TransferId>().is_err());
        assert!("00".parse::<TransferId>().is_err());
    }

    #[test]
    fn gateway_id_is_printable_ascii() {
        assert!("gw.example.org/sealpost".parse::<GatewayId>().is_ok());
        for bad in ["", "a b", "a+b", "a;b", "é", &"x".repeat(201)] {
            assert!(bad.parse::<GatewayId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn address_is_lower_cased_in_ascii_only() {
        let address: Address = "Front.Desk@Clinic.Example".parse().unwrap();
        assert_eq!(address.as_str(), "front.desk@clinic.example");
        for bad in ["", "a b@c", "a;b@c", "a\n@c"] {
            assert!(bad.parse::<Address>().is_err(), "{bad:?}");
        }
    }
}
