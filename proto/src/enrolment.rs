//! Setup and enrolment strings, and what their secrets prove (security.md 4.4 and 7.1).
//!
//! Both are handed over outside the gateway. A secret in them is never sent: the gateway sees `auth`, from which neither the
//! secret nor the MAC over the new keys can be made.

use std::str::FromStr;

use thiserror::Error;
use zeroize::Zeroizing;

use crate::crypto::{hmac_sha256, kdf};
use crate::encoding::{base64url, hex, unbase64url_array, unhex_array};
use crate::id::{Address, GatewayId, InviteId, Label, OrgId, PublicKey};
use crate::key::EncryptionPublicKey;

/// A text that is not a setup or enrolment string of v1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum EnrolmentError {
    /// It is of another kind or version, a field is missing, doubled or out of order.
    #[error("the text is not a complete setup or enrolment string")]
    Form,
    /// One of its fields is not in its one spelling: most often a character was lost on the way.
    #[error("a part of the string is damaged")]
    Field,
}

/// A secret of 32 bytes from a setup or enrolment string. Wiped when dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// The secret made of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Its bytes, to be kept in a sealed box.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// `S` of section 4.4 for an enrolment by string: the secret and 32 zero bytes.
    fn ikm(&self) -> Zeroizing<[u8; 64]> {
        let mut ikm = Zeroizing::new([0; 64]);
        ikm.iter_mut().zip(self.0.iter()).for_each(|(to, from)| *to = *from);
        ikm
    }

    /// What proves knowledge of the secret to the gateway: `KDF(S, invite id, "sealpost/v1/invite-auth\0", 32)`.
    #[must_use]
    pub fn invite_auth(&self, invite: &InviteId) -> Zeroizing<[u8; 32]> {
        kdf(&*self.ikm(), invite.as_bytes(), &[b"sealpost/v1/invite-auth\0"])
    }

    /// The same for a setup string: `KDF(S, gateway id, "sealpost/v1/setup-auth\0", 32)`.
    #[must_use]
    pub fn setup_auth(&self, gateway: &GatewayId) -> Zeroizing<[u8; 32]> {
        kdf(
            &*self.ikm(),
            gateway.as_str().as_bytes(),
            &[b"sealpost/v1/setup-auth\0"],
        )
    }

    /// MAC over the invitee's keys: `HMAC(KDF(S, invite id, "sealpost/v1/invite-mac\0", 32), label || IK || EK || DK)`.
    ///
    /// The gateway cannot make it, because `auth` does not give it the key; so keys that carry it are the invitee's.
    #[must_use]
    pub fn invite_mac(
        &self,
        invite: &InviteId,
        label: &Label,
        identity: &PublicKey,
        encryption: &EncryptionPublicKey,
        device: &PublicKey,
    ) -> [u8; 32] {
        let key: Zeroizing<[u8; 32]> = kdf(&*self.ikm(), invite.as_bytes(), &[b"sealpost/v1/invite-mac\0"]);
        hmac_sha256(
            &key,
            &[
                label.as_bytes(),
                identity.as_bytes(),
                encryption.as_bytes(),
                device.as_bytes(),
            ],
        )
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret")
    }
}

/// How to reach a gateway and recognise it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    /// `https://host[:port]`, without a path.
    pub url: String,
    /// Its id.
    pub gateway: GatewayId,
    /// SHA-256 of the SubjectPublicKeyInfo of its certificate.
    pub pin: [u8; 32],
    /// Its log key.
    pub log: PublicKey,
}

/// What the gateway writes at its first start, for `org init`.
#[derive(Clone, Debug)]
pub struct SetupString {
    /// The gateway.
    pub at: GatewayAddress,
    /// Proves that whoever founds the organisation can read the gateway's folder.
    pub secret: Secret,
}

/// What `admin invite` makes, for `enrol`.
#[derive(Clone, Debug)]
pub struct EnrolmentString {
    /// The gateway.
    pub at: GatewayAddress,
    /// Fingerprint of the organisation's root: the invitee trusts no other.
    pub org: OrgId,
    /// Key under which addresses become labels; never reaches the gateway.
    pub directory_key: Secret,
    /// Address of the invitee.
    pub to: Address,
    /// The invitation.
    pub invite: InviteId,
    /// Known to the invitee and the registrar's client alone.
    pub secret: Secret,
}

impl SetupString {
    /// The text. It contains the secret, so it never goes into arguments or logs.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = base64url(self.secret.as_bytes());
        Zeroizing::new(format!("sealpost-setup:v1;{};s={secret}", self.at.fields()))
    }
}

impl FromStr for SetupString {
    type Err = EnrolmentError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = Fields::new(text.trim(), "sealpost-setup:v1")?;
        let at = GatewayAddress::read(&mut fields)?;
        let secret = fields.secret("s")?;
        fields.end()?;
        Ok(Self { at, secret })
    }
}

impl EnrolmentString {
    /// The text. It contains secrets, so it never goes into arguments or logs.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        Zeroizing::new(format!(
            "sealpost-enrol:v1;{};org={};dir={};to={};inv={};s={}",
            self.at.fields(),
            self.org,
            base64url(self.directory_key.as_bytes()),
            self.to,
            hex(self.invite.as_bytes()),
            base64url(self.secret.as_bytes()),
        ))
    }
}

impl FromStr for EnrolmentString {
    type Err = EnrolmentError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = Fields::new(text.trim(), "sealpost-enrol:v1")?;
        let at = GatewayAddress::read(&mut fields)?;
        let org = fields.next("org")?.parse().map_err(|_| EnrolmentError::Field)?;
        let directory_key = fields.secret("dir")?;
        let to_text = fields.next("to")?;
        let to: Address = to_text.parse().map_err(|_| EnrolmentError::Field)?;
        let invite = unhex_array(fields.next("inv")?).map_err(|_| EnrolmentError::Field)?;
        let secret = fields.secret("s")?;
        fields.end()?;
        if to.as_str() != to_text {
            return Err(EnrolmentError::Field);
        }
        Ok(Self {
            at,
            org,
            directory_key,
            to,
            invite: InviteId::from_bytes(invite),
            secret,
        })
    }
}

impl GatewayAddress {
    /// Host and port as requests are signed for them: without the port when it is the scheme's own.
    #[must_use]
    pub fn authority(&self) -> &str {
        let authority = self.url.strip_prefix("https://").unwrap_or(&self.url);
        authority.strip_suffix(":443").unwrap_or(authority)
    }

    fn fields(&self) -> String {
        let (pin, log) = (base64url(&self.pin), base64url(self.log.as_bytes()));
        format!("url={};gw={};pin={pin};log={log}", self.url, self.gateway)
    }

    fn read(fields: &mut Fields<'_>) -> Result<Self, EnrolmentError> {
        let url = fields.next("url")?;
        if !is_gateway_url(url) {
            return Err(EnrolmentError::Field);
        }
        Ok(Self {
            url: url.to_owned(),
            gateway: fields.next("gw")?.parse().map_err(|_| EnrolmentError::Field)?,
            pin: fields.bytes("pin")?,
            log: PublicKey::from_bytes(fields.bytes("log")?),
        })
    }
}

/// Whether `url` is `https://` and an authority, in lower case, without user, path, query or trailing slash.
#[must_use]
pub fn is_gateway_url(url: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b".-:[]".contains(&b);
    url.strip_prefix("https://")
        .is_some_and(|authority| !authority.is_empty() && authority.bytes().all(allowed))
}

struct Fields<'a>(std::str::Split<'a, char>);

impl<'a> Fields<'a> {
    fn new(text: &'a str, head: &str) -> Result<Self, EnrolmentError> {
        let mut fields = text.split(';');
        if fields.next() == Some(head) {
            Ok(Self(fields))
        } else {
            Err(EnrolmentError::Form)
        }
    }

    fn next(&mut self, name: &str) -> Result<&'a str, EnrolmentError> {
        let field = self.0.next().ok_or(EnrolmentError::Form)?;
        let value = field.strip_prefix(name).and_then(|rest| rest.strip_prefix('='));
        value.ok_or(EnrolmentError::Form)
    }

    fn bytes(&mut self, name: &str) -> Result<[u8; 32], EnrolmentError> {
        unbase64url_array(self.next(name)?).map_err(|_| EnrolmentError::Field)
    }

    fn secret(&mut self, name: &str) -> Result<Secret, EnrolmentError> {
        self.bytes(name).map(Secret::from_bytes)
    }

    fn end(&mut self) -> Result<(), EnrolmentError> {
        self.0.next().map_or(Ok(()), |_| Err(EnrolmentError::Form))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string() -> EnrolmentString {
        EnrolmentString {
            at: GatewayAddress {
                url: "https://gw.example:8443".into(),
                gateway: "gw.example".parse().unwrap(),
                pin: [1; 32],
                log: PublicKey::from_bytes([2; 32]),
            },
            org: OrgId::from_bytes([3; 32]),
            directory_key: Secret::from_bytes([4; 32]),
            to: "a@b.example".parse().unwrap(),
            invite: InviteId::from_bytes([5; 16]),
            secret: Secret::from_bytes([6; 32]),
        }
    }

    #[test]
    fn enrolment_string_round_trip() {
        let text = string().to_text();
        let parsed: EnrolmentString = text.parse().unwrap();
        assert_eq!(*parsed.to_text(), *text);
        let with_lf = format!("{}\n", *text);
        assert!(
            with_lf.parse::<EnrolmentString>().is_ok(),
            "a line end from pasting does no harm"
        );
    }

    #[test]
    fn refuses_changed_strings() {
        let text = string().to_text();
        for bad in [
            text.replace("v1", "v2"),
            text.replace("sealpost-enrol", "sealpost-setup"),
            text.replace("https", "http"),
            text.replace(";org=", ";x="),
            format!("{};more=1", *text),
            text[..text.len() - 1].to_owned(),
            text.replace("a@b.example", "A@b.example"),
            text.replace("gw.example:8443", "gw.example:8443/path"),
        ] {
            assert!(bad.parse::<EnrolmentString>().is_err(), "{bad}");
        }
    }

    #[test]
    fn authority_has_no_port_of_the_scheme() {
        let at = |url: &str| GatewayAddress {
            url: url.into(),
            ..string().at
        };
        assert_eq!(at("https://gw.example:8443").authority(), "gw.example:8443");
        assert_eq!(at("https://gw.example:443").authority(), "gw.example");
        assert_eq!(at("https://[::1]:8443").authority(), "[::1]:8443");
    }

    #[test]
    fn debug_shows_no_secret() {
        let shown = format!("{:?}", string());
        assert!(
            !shown.contains(&base64url(&[6; 32])) && !shown.contains("6, 6, 6"),
            "{shown}"
        );
    }

    #[test]
    fn auth_and_mac_have_different_keys() {
        let secret = Secret::from_bytes([6; 32]);
        let invite = InviteId::from_bytes([5; 16]);
        let gateway: GatewayId = "gw".parse().unwrap();
        assert_ne!(*secret.invite_auth(&invite), *secret.setup_auth(&gateway));
    }
}
