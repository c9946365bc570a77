//! Which file names a manifest may carry, so that every system can save them under their own name.

use std::collections::HashSet;

use thiserror::Error;
use unicode_normalization::{UnicodeNormalization, is_nfc};

const MAX_NAME_LEN: usize = 255;

/// Why a file name may not stand in a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameProblem {
    /// Empty, or more than 255 bytes.
    #[error("it is empty or longer than 255 bytes")]
    Length,
    /// Not in Unicode normalisation form C.
    #[error("it is not in Unicode normalisation form C")]
    NotNfc,
    /// `/`, `\`, `:`, a control character, or one that changes the direction of text.
    #[error("it holds a slash, a colon, a control character or one that turns the direction of text")]
    Character,
    /// `.` or `..`.
    #[error("it stands for a folder")]
    Folder,
    /// A full stop or a space at the end.
    #[error("it ends with a full stop or a space")]
    Trailing,
    /// A device on Windows.
    #[error("it is the name of a device on Windows")]
    Device,
    /// The same as another file's, in any case.
    #[error("another file has the same name, in upper or lower case")]
    Duplicate,
}

/// Checks one name.
///
/// # Errors
/// The first [`NameProblem`] that applies.
pub fn check_name(name: &str) -> Result<(), NameProblem> {
    let rules = [
        (name.is_empty() || name.len() > MAX_NAME_LEN, NameProblem::Length),
        (name.chars().any(is_forbidden), NameProblem::Character),
        (!is_nfc(name), NameProblem::NotNfc),
        (matches!(name, "." | ".."), NameProblem::Folder),
        (name.ends_with(['.', ' ']), NameProblem::Trailing),
        (is_device(name), NameProblem::Device),
    ];
    match rules.into_iter().find(|(applies, _)| *applies) {
        Some((_, problem)) => Err(problem),
        None => Ok(()),
    }
}

/// Checks all names of a manifest; on failure says at which place.
pub(super) fn check_names<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), (usize, NameProblem)> {
    let mut seen = HashSet::new();
    for (index, name) in names.enumerate() {
        check_name(name).map_err(|problem| (index, problem))?;
        let folded: String = name.to_lowercase().nfc().collect();
        if !seen.insert(folded) {
            return Err((index, NameProblem::Duplicate));
        }
    }
    Ok(())
}

fn is_forbidden(c: char) -> bool {
    matches!(c, '/' | '\\' | ':' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}') || c.is_control()
}

fn is_device(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    let stem = stem.to_ascii_uppercase();
    if matches!(stem.as_str(), "CON" | "PRN" | "AUX" | "NUL" | "CONIN$" | "CONOUT$") {
        return true;
    }
    let port = stem.strip_prefix("COM").or_else(|| stem.strip_prefix("LPT"));
    let mut number = port.unwrap_or_default().chars();
    let is_digit = matches!(number.next(), Some('0'..='9' | '¹' | '²' | '³'));
    is_digit && number.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_found_and_their_likes_are_not() {
        for device in [
            "CON", "con.txt", "Aux .pdf", "COM1", "lpt9.a.b", "COM²", "conin$", "nul",
        ] {
            assert_eq!(check_name(device), Err(NameProblem::Device), "{device}");
        }
        for name in ["CONSOLE", "COM", "COM10", "LPTx", "xCON", "con-1", "conın$"] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
    }

    #[test]
    fn duplicates_are_found_after_lower_casing_and_composing() {
        let check = |names: &[&str]| check_names(names.iter().copied());
        assert_eq!(check(&["a", "b", "A"]), Err((2, NameProblem::Duplicate)));
        assert_eq!(check(&["ß", "ss"]), Ok(()));
    }
}
