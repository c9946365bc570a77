//! Texts that other people wrote, made fit for a terminal, a JSON document and a file name. The one list of characters that
//! deceive stands here.

/// Whether `c` can steer a terminal, end a line, turn the direction of text, or hide: what a text of somebody else must not do
/// between words of ours.
#[must_use]
pub fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{00AD}' // soft hyphen
            | '\u{034F}' // combining grapheme joiner
            | '\u{061C}' // Arabic letter mark
            | '\u{115F}' | '\u{1160}' | '\u{3164}' | '\u{FFA0}' // Hangul fillers
            | '\u{180E}' // Mongolian vowel separator
            | '\u{200B}'..='\u{200F}' // zero-width space and joiners, direction marks
            | '\u{2028}'..='\u{202E}' // line and paragraph separators, embeddings and overrides of direction
            | '\u{2060}'..='\u{206F}' // word joiner, invisible operators, isolates of direction
            | '\u{FEFF}' // zero-width no-break space
            | '\u{FFF9}'..='\u{FFFB}' // interlinear annotations
            | '\u{E0000}'..='\u{E007F}' // tags
        )
}

/// `text` on one line, with every deceptive character written out, as in `\u{202e}`.
#[must_use]
pub fn line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if is_deceptive(c) {
            line.extend(c.escape_unicode());
        } else {
            line.push(c);
        }
    }
    line
}

/// `text` with its own lines, each of them as in [`line()`] and all but the first behind `indent` spaces, so that none can be
/// taken for a line of ours.
#[must_use]
pub fn paragraph(text: &str, indent: usize) -> String {
    let lines: Vec<String> = text.lines().map(line).collect();
    lines.join(&format!("\n{:indent$}", ""))
}

/// JSON with every deceptive character as `\u` and four hex digits for each UTF-16 unit. Between the strings of a document there
/// are none.
#[must_use]
pub fn json(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for c in document.chars() {
        if is_deceptive(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                escaped.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            escaped.push(c);
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DECEPTIVE: &str = "\n\r\u{0}\u{1b}\u{7f}\u{85}\u{9b}\u{9f}\u{ad}\u{61c}\u{180e}\u{200b}\u{200c}\u{200d}\u{200e}\u{200f}\
        \u{2028}\u{2029}\u{202a}\u{202b}\u{202c}\u{202d}\u{202e}\u{2060}\u{2066}\u{2067}\u{2068}\u{2069}\u{feff}\u{e0041}";

    #[test]
    fn a_line_stays_one_line_and_shows_what_was_in_it() {
        assert_eq!(line("a\u{1b}[2Jb\n\u{202E}c"), "a\\u{1b}[2Jb\\u{a}\\u{202e}c");
        assert_eq!(line("Zoë Müller, 東京, 3 €"), "Zoë Müller, 東京, 3 €");
        assert!(!line(DECEPTIVE).chars().any(is_deceptive));
    }

    #[test]
    fn a_paragraph_cannot_forge_our_lines() {
        let note = "please\n  purpose  TREAT\r\n\u{2028}x";
        assert_eq!(paragraph(note, 4), "please\n      purpose  TREAT\n    \\u{2028}x");
        assert_eq!(paragraph("", 4), "");
    }

    #[test]
    fn json_is_the_same_document_without_them() {
        let value = serde_json::Value::from(DECEPTIVE);
        let written = json(&value.to_string());
        assert!(written.is_ascii() && !written.chars().any(is_deceptive), "{written}");
        assert!(
            written.contains("\\u2028") && written.contains("\\udb40\\udc41"),
            "{written}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
    }

    proptest! {
        #[test]
        fn json_of_any_text_reads_back(text in any::<String>()) {
            let value = serde_json::Value::from(text);
            let written = json(&value.to_string());
            prop_assert!(!written.chars().any(is_deceptive));
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&written).unwrap(), value);
        }
    }
}
