//! Values of arguments, from text.

use std::time::Duration;

use std::net::IpAddr;

use sealpost_client::words::{MAX_WORDS, MIN_WORDS};
use sealpost_proto::id::Address;
use sealpost_proto::key::service::{Network, Scope};

/// SHA-256 of the gateway's public key.
pub(crate) type Pin = [u8; 32];

pub(crate) fn address(text: &str) -> Result<Address, String> {
    let text = text.trim();
    text.parse().map_err(|_| {
        let shown = sealpost_client::text::line(text);
        format!("'{shown}' is not an address; write it like reyes@practice.example, without spaces.")
    })
}

/// An address for somebody new: with something on both sides of an `@`.
pub(super) fn full_address(text: &str) -> Result<Address, String> {
    let address = address(text)?;
    match address.as_str().split_once('@') {
        Some((name, place)) if !name.is_empty() && !place.is_empty() && !place.contains('@') => Ok(address),
        _ => Err(format!(
            "'{address}' is not a whole address; write it like reyes@practice.example."
        )),
    }
}

/// A profile's name: it names a folder, and the credentials of a service.
pub(crate) fn profile(text: &str) -> Result<String, String> {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if (1..=64).contains(&text.len()) && text.bytes().all(is_letter) {
        Ok(text.to_owned())
    } else {
        Err("1 to 64 of the letters a-z, the digits and `-`".to_owned())
    }
}

pub(super) fn scope(text: &str) -> Result<Scope, String> {
    text.parse().map_err(|_| "receive, send or link".to_owned())
}

/// `any`, a network, or one address. A network with bits behind its length is told as it would be meant.
pub(super) fn network(text: &str) -> Result<Reach, String> {
    if text == "any" {
        return Ok(Reach::Anywhere);
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Reach::From(Network::of(address)));
    }
    let meant = Network::enclosing(text)
        .map_err(|_| "`any`, an address, or a network such as 10.0.0.0/8 or 2001:db8::/32".to_owned())?;
    match meant.to_string().eq_ignore_ascii_case(text) {
        true => Ok(Reach::From(meant)),
        false => Err(format!(
            "the network that holds this address is {meant}: write that, or the address without a length"
        )),
    }
}

/// Where an account may be used from, by one argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reach {
    /// From anywhere.
    Anywhere,
    /// From there.
    From(Network),
}

pub(super) fn pin(text: &str) -> Result<Pin, String> {
    let lower = text.trim().to_ascii_lowercase();
    sealpost_proto::encoding::unhex_array(&lower)
        .map_err(|_| "64 of the digits 0-9 and a-f, as the sender gave them".to_owned())
}

pub(crate) fn lifetime(text: &str) -> Result<u64, String> {
    let parsed = sealpost_client::time::parse_lifetime(text);
    parsed.ok_or_else(|| {
        let number = text.trim_end_matches(['m', 'h', 'd', 'w']);
        let is_form =
            text.len() == number.len() + 1 && !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
        match number.parse::<u64>() {
            _ if !is_form => "write a whole number and m, h, d or w, such as 30m, 12h, 7d or 2w".to_owned(),
            Ok(0) => "it must be more than nothing".to_owned(),
            _ => "it is longer than 366 days, the most that is possible".to_owned(),
        }
    })
}

/// As [`lifetime`], and with seconds as well: `30s`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.strip_suffix('s').and_then(|digits| digits.parse::<u32>().ok());
    match seconds {
        Some(0) => Err("it must be more than nothing".to_owned()),
        Some(seconds) => Ok(Duration::from_secs(seconds.into())),
        None => lifetime(text).map(Duration::from_secs),
    }
}

pub(super) fn words(text: &str) -> Result<u8, String> {
    let number = text
        .parse()
        .ok()
        .filter(|number| (MIN_WORDS..=MAX_WORDS).contains(&usize::from(*number)));
    number.ok_or_else(|| format!("a whole number, {MIN_WORDS} to {MAX_WORDS}"))
}

pub(super) fn openings(text: &str) -> Result<u32, String> {
    match text.parse::<u32>() {
        Ok(0) => Err("at least 1".to_owned()),
        Ok(openings) => Ok(openings),
        Err(_) => Err("a whole number, at least 1".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lifetime_is_refused_with_the_rule_that_it_breaks() {
        for (text, rule) in [
            ("400d", "366 days"),
            ("0d", "more than nothing"),
            ("7", "whole number"),
            ("1.5h", "whole number"),
        ] {
            let refused = lifetime(text).unwrap_err();
            assert!(refused.contains(rule), "{text}: {refused}");
        }
        assert_eq!(lifetime("12h"), Ok(43_200));
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("2h"), Ok(Duration::from_secs(7_200)));
        assert!(duration("0s").is_err() && duration("1.5s").is_err() && duration("s").is_err());
        assert_eq!(openings("0"), Err("at least 1".to_owned()));
    }

    #[test]
    fn networks_are_taken_in_one_spelling_and_others_told() {
        let taken = |text: &str| match network(text) {
            Ok(Reach::From(network)) => network.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(network("any"), Ok(Reach::Anywhere));
        assert_eq!(taken("10.0.0.0/8"), "10.0.0.0/8");
        assert_eq!(taken("192.0.2.7"), "192.0.2.7/32");
        assert_eq!(taken("2001:DB8::/32"), "2001:db8::/32");
        assert_eq!(taken("2001:db8::1"), "2001:db8::1/128");
        assert!(network("10.1.2.3/8").unwrap_err().contains("10.0.0.0/8"));
        assert!(network("clinic").is_err() && network("10.0.0.0/40").is_err());
    }

    #[test]
    fn a_profile_is_a_plain_word() {
        assert_eq!(profile("billing-2"), Ok("billing-2".to_owned()));
        for bad in ["", "Billing", "a/b", "..", "a.b", "a b", &"x".repeat(65)] {
            assert!(profile(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn addresses_are_trimmed_and_new_ones_are_whole() {
        assert_eq!(address(" Reyes@B.example\n").unwrap().as_str(), "reyes@b.example");
        assert!(
            address("Dr. Reyes")
                .unwrap_err()
                .contains("'Dr. Reyes' is not an address")
        );
        assert!(address("reyes").is_ok(), "an address that an organisation has already");
        for bad in ["reyes", "@b", "a@", "a@b@c"] {
            assert!(full_address(bad).is_err(), "{bad}");
        }
        assert!(full_address("a@b.example").is_ok());
    }
}
