//! Purposes of use: plain words for people, HL7 v3 codes in the transfer.

use sealpost_client::text;

/// Plain words and what stands for them in a transfer.
const PURPOSES: [(&str, &str); 8] = [
    ("treatment", "TREAT"),
    ("emergency", "ETREAT"),
    ("payment", "HPAYMT"),
    ("operations", "HOPERAT"),
    ("patient-request", "PATRQT"),
    ("research", "HRESCH"),
    ("public-health", "PUBHLTH"),
    ("legal", "HLEGAL"),
];

/// For `--help`; a test compares it with the list.
pub(crate) const HELP: &str = "What it is for: treatment, emergency, payment, operations, patient-request, research, public-health, legal, \
    or another code of HL7 v3 PurposeOfUse in capital letters";

/// The code of a plain word, or a code as it is.
pub(crate) fn parse(given: &str) -> Result<String, String> {
    let known = PURPOSES.iter().find(|(word, _)| word.eq_ignore_ascii_case(given));
    if let Some((_, code)) = known {
        return Ok((*code).to_owned());
    }
    let is_code =
        (1..=32).contains(&given.len()) && given.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
    if is_code {
        return Ok(given.to_owned());
    }
    let words: Vec<&str> = PURPOSES.iter().map(|(word, _)| *word).collect();
    Err(format!(
        "one of {}, or a code of HL7 v3 PurposeOfUse in capital letters",
        words.join(", ")
    ))
}

/// `treatment (TREAT)`; a code without a word as it is.
pub(crate) fn shown(code: &str) -> String {
    let known = PURPOSES.iter().find(|(_, known)| *known == code);
    known.map_or_else(|| text::line(code), |(word, code)| format!("{word} ({code})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_codes_mean_the_same() {
        for (word, code) in PURPOSES {
            assert_eq!(parse(word).unwrap(), code);
            assert_eq!(parse(code).unwrap(), code);
            assert_eq!(shown(code), format!("{word} ({code})"));
            assert!(HELP.contains(word), "{word}");
        }
        assert_eq!(parse("CLINTRCH").unwrap(), "CLINTRCH");
        assert!(parse("healing").unwrap_err().contains("treatment"));
        assert_eq!(shown("X\u{1b}"), "X\\u{1b}");
    }
}
