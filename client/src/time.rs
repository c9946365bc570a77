//! Times and durations as people read and write them. Local time is for the eye; everything sent is unix seconds.

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// `2026-11-22 09:30 +01:00` of unix seconds, in this device's time zone.
#[must_use]
pub fn local(unix: u64) -> String {
    i64::try_from(unix)
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .map_or_else(
            || format!("second {unix}"),
            |time| {
                time.to_zoned(TimeZone::system())
                    .strftime("%Y-%m-%d %H:%M %:z")
                    .to_string()
            },
        )
}

/// Seconds of a lifetime such as `30m`, `12h`, `7d` or `2w`; none for another spelling or more than 366 days.
#[must_use]
pub fn parse_lifetime(text: &str) -> Option<u64> {
    let unit = match text.chars().next_back()? {
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = text.get(..text.len() - 1)?;
    let is_number = !digits.is_empty() && digits.len() <= 6 && digits.bytes().all(|b| b.is_ascii_digit());
    let seconds = digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(unit)?;
    (1..=sealpost_proto::sealed::MAX_LIFETIME)
        .contains(&seconds)
        .then_some(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lifetimes() {
        for (text, seconds) in [
            ("30m", 1_800),
            ("12h", 43_200),
            ("7d", 604_800),
            ("2w", 1_209_600),
            ("366d", 31_622_400),
        ] {
            assert_eq!(parse_lifetime(text), Some(seconds), "{text}");
        }
        for bad in [
            "",
            "d",
            "7",
            "7 d",
            "-7d",
            "+7d",
            "0d",
            "367d",
            "7D",
            "7d ",
            "1.5d",
            "99999999d",
            "7é",
        ] {
            assert_eq!(parse_lifetime(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn local_time_names_its_offset() {
        let shown = local(1_767_225_600);
        assert!(
            shown.starts_with("2025-12-31") || shown.starts_with("2026-01-01"),
            "{shown}"
        );
        assert!(shown.contains(':') && (shown.contains('+') || shown.contains('-')));
        assert_eq!(local(u64::MAX), format!("second {}", u64::MAX));
    }
}
