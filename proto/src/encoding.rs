//! Hex and base64 in the one spelling that v1 allows.
//!
//! Ids, hashes and keys are lower-case hex; other bytes are padded base64 (RFC 4648, section 4); secrets in enrolment
//! strings and links are unpadded base64url (section 5). Decoding is strict: another spelling of the same bytes is an error.

use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use thiserror::Error;

/// A text that is not the canonical encoding of a value of the expected length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("not a canonical encoding of the expected length")]
pub struct EncodingError;

/// Lower-case hex of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    HEXLOWER.encode(bytes)
}

/// Bytes of a lower-case hex text.
///
/// # Errors
/// Upper-case digits, an odd length or other characters.
pub fn unhex(text: &str) -> Result<Vec<u8>, EncodingError> {
    HEXLOWER.decode(text.as_bytes()).map_err(|_| EncodingError)
}

/// Exactly `N` bytes of a lower-case hex text.
///
/// # Errors
/// As [`unhex`], or another length.
pub fn unhex_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    if text.len() != 2 * N {
        return Err(EncodingError);
    }
    unhex(text)?.try_into().map_err(|_| EncodingError)
}

/// Padded base64 of `bytes`.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Bytes of a padded, canonical base64 text.
///
/// # Errors
/// Missing padding, non-zero trailing bits or other characters.
pub fn unbase64(text: &str) -> Result<Vec<u8>, EncodingError> {
    BASE64.decode(text.as_bytes()).map_err(|_| EncodingError)
}

/// Exactly `N` bytes of a padded, canonical base64 text.
///
/// # Errors
/// As [`unbase64`], or another length.
pub fn unbase64_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    unbase64(text)?.try_into().map_err(|_| EncodingError)
}

/// Unpadded base64url of `bytes`.
#[must_use]
pub fn base64url(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// Exactly `N` bytes of an unpadded, canonical base64url text.
///
/// # Errors
/// Padding, non-zero trailing bits, other characters or another length.
pub fn unbase64url_array<const N: usize>(text: &str) -> Result<[u8; N], EncodingError> {
    let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| EncodingError)?;
    bytes.try_into().map_err(|_| EncodingError)
}

/// A number in decimal: digits alone, no leading zeros, below 2^53 (every implementation holds it exactly).
///
/// # Errors
/// Another spelling, or a larger number.
pub fn decimal(text: &str) -> Result<u64, EncodingError> {
    let is_canonical = text == "0" || (!text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit()));
    let number: u64 = text.parse().map_err(|_| EncodingError)?;
    if is_canonical && number < 1 << 53 {
        Ok(number)
    } else {
        Err(EncodingError)
    }
}

/// Bytes that stand in JSON as padded base64, and in binary encodings as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Base64(pub Vec<u8>);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&base64(&self.0))
        } else {
            self.0.serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Vec::deserialize(deserializer).map(Self);
        }
        let text = String::deserialize(deserializer)?;
        unbase64(&text).map(Self).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_spelling() {
        assert_eq!(decimal("0"), Ok(0));
        assert_eq!(decimal("9007199254740991"), Ok((1 << 53) - 1));
        for bad in [
            "",
            "00",
            "07",
            "+7",
            "-7",
            " 7",
            "7 ",
            "0x7",
            "7.0",
            "9007199254740992",
            "99999999999999999999",
        ] {
            assert_eq!(decimal(bad), Err(EncodingError), "{bad:?}");
        }
    }

    #[test]
    fn refuses_other_spellings_of_the_same_bytes() {
        assert_eq!(unhex("AB"), Err(EncodingError));
        assert_eq!(unhex("abc"), Err(EncodingError));
        assert_eq!(unbase64("AA"), Err(EncodingError));
        assert_eq!(unbase64("AB=="), Err(EncodingError));
        assert_eq!(unbase64url_array::<1>("AA=="), Err(EncodingError));
        assert_eq!(unbase64url_array::<1>("AB"), Err(EncodingError));
        assert_eq!(unbase64url_array::<1>("AA"), Ok([0]));
    }
}
