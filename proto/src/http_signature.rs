//! Signatures on requests: RFC 9421 with one fixed profile (proto/spec/api.md).
//!
//! Every request of a client carries exactly one signature, label `sp`, Ed25519 by a device key, tag `sealpost-v1`. What it
//! covers is fixed by the method, so nothing can be left out. Sender and verifier build the signature base with the same code.

use std::fmt::Write as _;

use thiserror::Error;

use crate::crypto::{self, SigningKey, sha256};
use crate::encoding::{base64, decimal, hex, unbase64_array, unhex_array};
use crate::id::{Hash, PublicKey};

/// Longest time between `created` and `expires`, in seconds.
pub const MAX_LIFETIME: u64 = 60;

/// Largest difference between a signature's `created` and the gateway's clock, in seconds.
pub const MAX_SKEW: u64 = 120;

const LABEL: &str = "sp";
const TAG: &str = "sealpost-v1";

/// Why a signature on a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum HttpSignatureError {
    /// `Signature-Input` or `Signature` is missing, doubled or not of the profile.
    #[error("the request is not signed in the form that v1 asks for")]
    Form,
    /// A component that must be covered is missing from the request.
    #[error("the request lacks a header that its signature must cover")]
    Component,
    /// The signature does not verify.
    #[error("the signature on the request is not valid")]
    Signature,
}

/// The parts of a request that signatures cover. Header values are as on the wire; a doubled header is the caller's to refuse.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Method, upper case.
    pub method: &'a str,
    /// Host and port, lower case, without the port when it is the scheme's own.
    pub authority: &'a str,
    /// Absolute path, `/v1/...`.
    pub path: &'a str,
    /// Query without `?`; empty and absent are the same to a signature.
    pub query: &'a str,
    /// `Sealpost-Seen`.
    pub seen: Option<&'a str>,
    /// `Content-Digest` (RFC 9530).
    pub content_digest: Option<&'a str>,
    /// `Content-Length`.
    pub content_length: Option<&'a str>,
    /// `Idempotency-Key`.
    pub idempotency_key: Option<&'a str>,
    /// `Sealpost-Part-Root`.
    pub part_root: Option<&'a str>,
}

impl Request<'_> {
    /// Covered components by method, in their order.
    fn covered(&self) -> &'static [&'static str] {
        match self.method {
            "PUT" => &[
                "@method",
                "@authority",
                "@path",
                "@query",
                "content-length",
                "sealpost-part-root",
                "sealpost-seen",
            ],
            "POST" | "PATCH" => &[
                "@method",
                "@authority",
                "@path",
                "@query",
                "sealpost-seen",
                "content-digest",
                "content-length",
                "idempotency-key",
            ],
            _ => &["@method", "@authority", "@path", "@query", "sealpost-seen"],
        }
    }

    fn component(&self, name: &str) -> Option<String> {
        match name {
            "@method" => Some(self.method.to_owned()),
            "@authority" => Some(self.authority.to_owned()),
            "@path" => Some(self.path.to_owned()),
            "@query" => Some(format!("?{}", self.query)),
            "sealpost-seen" => self.seen.map(str::to_owned),
            "content-digest" => self.content_digest.map(str::to_owned),
            "content-length" => self.content_length.map(str::to_owned),
            "idempotency-key" => self.idempotency_key.map(str::to_owned),
            "sealpost-part-root" => self.part_root.map(str::to_owned),
            _ => None,
        }
    }

    /// RFC 9421, section 2.5.
    fn signature_base(&self, params: &str) -> Result<String, HttpSignatureError> {
        let mut base = String::new();
        for name in self.covered() {
            let value = self.component(name).ok_or(HttpSignatureError::Component)?;
            // Writing to a String cannot fail.
            let _ = writeln!(base, "\"{name}\": {value}");
        }
        let _ = write!(base, "\"@signature-params\": {params}");
        Ok(base)
    }

    fn covered_list(&self) -> String {
        let quoted: Vec<String> = self.covered().iter().map(|name| format!("\"{name}\"")).collect();
        format!("({})", quoted.join(" "))
    }
}

/// Parameters of a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// When it was made, unix seconds.
    pub created: u64,
    /// Until when it may be used, unix seconds; at most [`MAX_LIFETIME`] after `created`.
    pub expires: u64,
    /// Drawn anew for every request.
    pub nonce: [u8; 16],
    /// The device key that signs.
    pub key: PublicKey,
}

/// The two headers of a signed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignatureHeaders {
    /// Value of `Signature-Input`.
    pub input: String,
    /// Value of `Signature`.
    pub signature: String,
}

/// Signs a request with a device key.
///
/// # Errors
/// [`HttpSignatureError::Component`] if the request lacks a header that must be covered.
pub fn sign(
    request: &Request<'_>,
    key: &SigningKey,
    created: u64,
    nonce: [u8; 16],
) -> Result<SignatureHeaders, HttpSignatureError> {
    let params = format!(
        "{};created={created};expires={};nonce=\"{}\";alg=\"ed25519\";keyid=\"{}\";tag=\"{TAG}\"",
        request.covered_list(),
        created + MAX_LIFETIME,
        base64(&nonce),
        hex(key.public().as_bytes()),
    );
    let signature = key.sign(request.signature_base(&params)?.as_bytes());
    Ok(SignatureHeaders {
        input: format!("{LABEL}={params}"),
        signature: format!("{LABEL}=:{}:", base64(&signature)),
    })
}

/// A signature as received, parsed and not yet verified.
#[derive(Debug, Clone)]
pub struct ReceivedSignature {
    params: Params,
    /// The inner list with its parameters, as received: it stands in the signature base.
    raw_params: String,
    covered: String,
    signature: [u8; 64],
}

impl ReceivedSignature {
    /// Parses the values of `Signature-Input` and `Signature`.
    ///
    /// # Errors
    /// [`HttpSignatureError::Form`] if there is not exactly one signature `sp` with exactly the parameters of the profile.
    pub fn parse(input: &str, signature: &str) -> Result<Self, HttpSignatureError> {
        let raw_params = input.strip_prefix("sp=").ok_or(HttpSignatureError::Form)?;
        let end = raw_params.find(')').ok_or(HttpSignatureError::Form)?;
        let (covered, params) = raw_params.split_at(end + 1);
        let params = parse_params(params)?;
        let encoded = signature.strip_prefix("sp=:").and_then(|rest| rest.strip_suffix(':'));
        let signature =
            unbase64_array(encoded.ok_or(HttpSignatureError::Form)?).map_err(|_| HttpSignatureError::Form)?;
        Ok(Self {
            params,
            raw_params: raw_params.to_owned(),
            covered: covered.to_owned(),
            signature,
        })
    }

    /// Its parameters. Freshness and the nonce are the gateway's to check.
    #[must_use]
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Verifies the signature over `request` and returns the signature base (the ledger keeps that of an opening).
    ///
    /// # Errors
    /// [`HttpSignatureError::Form`] if it covers other components than the method asks for;
    /// [`HttpSignatureError::Component`] if one is missing; [`HttpSignatureError::Signature`].
    pub fn verify(&self, request: &Request<'_>) -> Result<String, HttpSignatureError> {
        if self.covered != request.covered_list() {
            return Err(HttpSignatureError::Form);
        }
        let base = request.signature_base(&self.raw_params)?;
        crypto::verify(&self.params.key, base.as_bytes(), &self.signature)
            .map_err(|_| HttpSignatureError::Signature)?;
        Ok(base)
    }
}

/// `;name=value` pairs: the six of the profile, each once, in any order.
fn parse_params(text: &str) -> Result<Params, HttpSignatureError> {
    let mut created = None;
    let mut expires = None;
    let mut nonce = None;
    let mut key = None;
    let mut alg = None;
    let mut tag = None;
    let rest = text.strip_prefix(';').ok_or(HttpSignatureError::Form)?;
    for pair in rest.split(';') {
        let (name, value) = pair.split_once('=').ok_or(HttpSignatureError::Form)?;
        let slot_was_empty = match name {
            "created" => created.replace(integer(value)?).is_none(),
            "expires" => expires.replace(integer(value)?).is_none(),
            "nonce" => nonce
                .replace(unbase64_array(string(value)?).map_err(|_| HttpSignatureError::Form)?)
                .is_none(),
            "keyid" => key
                .replace(unhex_array(string(value)?).map_err(|_| HttpSignatureError::Form)?)
                .is_none(),
            "alg" => alg.replace(string(value)?).is_none(),
            "tag" => tag.replace(string(value)?).is_none(),
            _ => false,
        };
        if !slot_was_empty {
            return Err(HttpSignatureError::Form);
        }
    }
    let (Some(created), Some(expires), Some(nonce), Some(key)) = (created, expires, nonce, key) else {
        return Err(HttpSignatureError::Form);
    };
    let is_short = expires >= created && expires - created <= MAX_LIFETIME;
    if alg != Some("ed25519") || tag != Some(TAG) || !is_short {
        return Err(HttpSignatureError::Form);
    }
    Ok(Params {
        created,
        expires,
        nonce,
        key: PublicKey::from_bytes(key),
    })
}

fn integer(value: &str) -> Result<u64, HttpSignatureError> {
    decimal(value).map_err(|_| HttpSignatureError::Form)
}

/// A quoted string without escapes: none of our values needs one.
fn string(value: &str) -> Result<&str, HttpSignatureError> {
    let inner = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .ok_or(HttpSignatureError::Form)?;
    if inner.contains(['"', '\\']) {
        Err(HttpSignatureError::Form)
    } else {
        Ok(inner)
    }
}

/// Value of `Content-Digest` for a body: `sha-256=:<base64>:` (RFC 9530).
#[must_use]
pub fn content_digest(body: &[u8]) -> String {
    format!("sha-256=:{}:", base64(&sha256(&[body])))
}

/// Whether `header` is the digest of `body`, in the one form that v1 takes.
#[must_use]
pub fn content_digest_matches(header: &str, body: &[u8]) -> bool {
    header == content_digest(body)
}

/// Value of `Sealpost-Part-Root`: `:<base64>:`.
#[must_use]
pub fn part_root(root: &Hash) -> String {
    format!(":{}:", base64(root.as_bytes()))
}

/// The root in a `Sealpost-Part-Root` header.
#[must_use]
pub fn parse_part_root(header: &str) -> Option<Hash> {
    let encoded = header.strip_prefix(':')?.strip_suffix(':')?;
    unbase64_array(encoded).ok().map(Hash::from_bytes)
}

/// What a client has seen of the directory log: value of `Sealpost-Seen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Origin of the directory log.
    pub origin: String,
    /// Largest size seen; 0 before the first.
    pub size: u64,
    /// Head at that size; that of the empty tree before the first.
    pub root: Hash,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} {}", self.origin, self.size, base64(self.root.as_bytes()))
    }
}

impl std::str::FromStr for Seen {
    type Err = HttpSignatureError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut fields = text.split(' ');
        let (Some(origin), Some(size), Some(root), None) = (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err(HttpSignatureError::Form);
        };
        let root = unbase64_array(root).map_err(|_| HttpSignatureError::Form)?;
        Ok(Self {
            origin: origin.to_owned(),
            size: integer(size)?,
            root: Hash::from_bytes(root),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn post() -> Request<'static> {
        Request {
            method: "POST",
            authority: "gw.example:8443",
            path: "/v1/transfers",
            query: "",
            seen: Some("gw/directory 0 x"),
            content_digest: Some("sha-256=:x:"),
            content_length: Some("2"),
            idempotency_key: Some("k"),
            part_root: None,
        }
    }

    fn key() -> SigningKey {
        SigningKey::from_seed(&[3; 32])
    }

    #[test]
    fn signs_and_verifies() {
        let headers = sign(&post(), &key(), 1_000, [5; 16]).unwrap();
        let received = ReceivedSignature::parse(&headers.input, &headers.signature).unwrap();
        assert_eq!(
            received.params(),
            &Params {
                created: 1_000,
                expires: 1_060,
                nonce: [5; 16],
                key: key().public()
            }
        );
        received.verify(&post()).unwrap();
    }

    #[test]
    fn every_covered_component_counts() {
        let headers = sign(&post(), &key(), 1_000, [5; 16]).unwrap();
        let received = ReceivedSignature::parse(&headers.input, &headers.signature).unwrap();
        let changed = [
            Request {
                authority: "evil.example",
                ..post()
            },
            Request {
                path: "/v1/org",
                ..post()
            },
            Request { query: "a=b", ..post() },
            Request {
                seen: Some("gw/directory 1 x"),
                ..post()
            },
            Request {
                content_digest: Some("sha-256=:y:"),
                ..post()
            },
            Request {
                content_length: Some("3"),
                ..post()
            },
            Request {
                idempotency_key: Some("l"),
                ..post()
            },
            Request {
                method: "PATCH",
                ..post()
            },
        ];
        for request in changed {
            assert_eq!(
                received.verify(&request),
                Err(HttpSignatureError::Signature),
                "{request:?}"
            );
        }
        assert_eq!(
            received.verify(&Request {
                method: "GET",
                ..post()
            }),
            Err(HttpSignatureError::Form)
        );
        assert_eq!(
            received.verify(&Request {
                content_digest: None,
                ..post()
            }),
            Err(HttpSignatureError::Component),
            "N86: a body without a digest"
        );
    }

    #[test]
    fn refuses_other_forms() {
        let good = sign(&post(), &key(), 1_000, [5; 16]).unwrap();
        assert!(ReceivedSignature::parse(&good.input, &good.signature).is_ok());
        let inputs = [
            good.input.replace("sp=", "xx="),
            format!("{}, sp2={}", good.input, &good.input[3..]),
            good.input.replace("expires=1060", "expires=1061"),
            good.input.replace("ed25519", "hmac-sha256"),
            good.input.replace("sealpost-v1", "other"),
            good.input.replace(";created=1000", ""),
            good.input.replace(";created=1000", ";created=1000;created=1000"),
            format!("{};extra=1", good.input),
        ];
        for input in inputs {
            assert!(ReceivedSignature::parse(&input, &good.signature).is_err(), "{input}");
        }
        let two = format!("{}, {}", good.signature, good.signature);
        assert!(
            ReceivedSignature::parse(&good.input, &two).is_err(),
            "N90: two signatures"
        );
    }

    /// RFC 9421, B.2.6: the base of its example, signed with its key, gives its signature. The profile here covers other
    /// components, so the base is the RFC's text; what is shown is that key, algorithm and encoding are the RFC's.
    #[test]
    fn rfc_9421_b_2_6() {
        let seed = unbase64_array(concat!("n4Ni+HpISpVObnQMW0wOhCKROaIKqKtW", "/2ZYb2p9KcU=")).unwrap();
        let base = concat!(
            "\"date\": Tue, 20 Apr 2021 02:07:55 GMT\n",
            "\"@method\": POST\n",
            "\"@path\": /foo\n",
            "\"@authority\": example.com\n",
            "\"content-type\": application/json\n",
            "\"content-length\": 18\n",
            "\"@signature-params\": (\"date\" \"@method\" \"@path\" \"@authority\" \"content-type\" ",
            "\"content-length\");created=1618884473;keyid=\"test-key-ed25519\""
        );
        let signature = SigningKey::from_seed(&seed).sign(base.as_bytes());
        assert_eq!(
            base64(&signature),
            "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw=="
        );
    }

    #[test]
    fn seen_has_one_spelling() {
        let seen = Seen {
            origin: "gw/directory".into(),
            size: 7,
            root: Hash::from_bytes([1; 32]),
        };
        assert_eq!(seen.to_string().parse(), Ok(seen.clone()));
        assert!(format!("{seen} x").parse::<Seen>().is_err());
        let zeros = seen.to_string().replace(" 7 ", " 07 ");
        assert!(zeros.parse::<Seen>().is_err(), "{zeros}");
        assert!("gw/directory -1 x".parse::<Seen>().is_err());
    }
}
