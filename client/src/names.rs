//! File names: from this computer into a manifest, and from a manifest onto this computer.
//!
//! Names in a manifest are flat and legal on every system (security.md 3.6). What lies in a folder that the user
//! named keeps its name; what lies deeper is sent under the names of the folders between, joined by " - ": of `scans`, the file
//! `scans/2026/ct.dcm` becomes `2026 - ct.dcm`. What is not legal becomes `_`; what is there twice gets ` (2)` before its ending.

use std::collections::HashSet;
use std::path::{Component, Path};

use sealpost_sealed::{NameProblem, check_name};
use unicode_normalization::UnicodeNormalization as _;

use crate::text::is_deceptive;

const MAX_LEN: usize = 255;
/// Longest ending that survives when a name is shortened.
const MAX_ENDING: usize = 16;
/// The rules of manifests allow these, and Windows does not.
const FORBIDDEN_BY_WINDOWS: [char; 6] = ['*', '?', '"', '<', '>', '|'];
const JOINT: &str = " - ";

/// The legal name for a file at `relative`, a path without a root.
#[must_use]
pub fn for_manifest(relative: &Path) -> String {
    let parts: Vec<String> = relative
        .components()
        .filter_map(|part| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        })
        .collect();
    legal(&parts.join(JOINT))
}

/// The nearest legal name.
#[must_use]
pub fn legal(name: &str) -> String {
    let mut legal: String = name.nfc().map(|c| if is_legal_char(c) { c } else { '_' }).collect();
    // Replacing can leave characters that compose anew.
    legal = legal.nfc().collect();
    legal = end_legally(legal);
    if legal.is_empty() {
        legal.push_str("unnamed");
    }
    if check_name(&legal) == Err(NameProblem::Device) {
        legal.insert(0, '_');
    }
    fit(&legal, "")
}

/// One `_` in place of the full stops and spaces at the end.
fn end_legally(mut name: String) -> String {
    let kept = name.trim_end_matches(['.', ' ']).len();
    if kept < name.len() {
        name.truncate(kept);
        name.push('_');
    }
    name
}

/// A character that a name may hold by the one list of rules, and that this client lets names hold: the rules allow some that hide
/// or turn text, which would make one name look like another.
fn is_legal_char(c: char) -> bool {
    let mut probe = String::from("a");
    probe.push(c);
    probe.push('a');
    c != char::REPLACEMENT_CHARACTER
        && !FORBIDDEN_BY_WINDOWS.contains(&c)
        && !is_deceptive(c)
        && check_name(&probe) != Err(NameProblem::Character)
}

/// `name` with `mark` before its ending, at most 255 bytes long.
fn fit(name: &str, mark: &str) -> String {
    let (stem, ending) = split_ending(name);
    let room = MAX_LEN.saturating_sub(ending.len() + mark.len());
    let mut cut = stem.len().min(room);
    while !stem.is_char_boundary(cut) {
        cut -= 1;
    }
    let stem = stem.get(..cut).unwrap_or_default();
    let stem = if mark.is_empty() { stem } else { stem.trim_end() };
    end_legally(format!("{stem}{mark}{ending}"))
}

/// Stem and ending (with its full stop); names that begin with their only full stop have no ending.
fn split_ending(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(at) if at > 0 && name.len() - at <= MAX_ENDING => name.split_at(at),
        _ => (name, ""),
    }
}

/// The `n`th name for something that should be called `name`: `name`, `name (2)`, `name (3)`, ...
#[must_use]
pub fn numbered(name: &str, n: u32) -> String {
    if n < 2 {
        return name.to_owned();
    }
    let (stem, ending) = split_ending(name);
    fit(&format!("{}{ending}", unnumbered(stem)), &format!(" ({n})"))
}

/// A stem without a number such as numbering gives: then the next one takes its place. Longer numbers, such as years, stay.
fn unnumbered(stem: &str) -> &str {
    let split = stem.strip_suffix(')').and_then(|rest| rest.rsplit_once(" ("));
    let is_number = |digits: &str| matches!(digits.len(), 1 | 2) && digits.bytes().all(|b| b.is_ascii_digit());
    match split {
        Some((bare, digits)) if is_number(digits) && !bare.is_empty() => bare,
        _ => stem,
    }
}

/// Hands out names of which no two are the same in any case.
#[derive(Debug, Default)]
pub struct UniqueNames(HashSet<String>);

impl UniqueNames {
    /// `name`, or the first numbered one that is free.
    pub fn take(&mut self, name: &str) -> String {
        let mut n = 1;
        loop {
            let candidate = numbered(name, n);
            if self.0.insert(candidate.to_lowercase().nfc().collect()) {
                return candidate;
            }
            n += 1;
        }
    }
}

/// The name under which a received file is saved: the manifest's, made safe again here. A leading full stop would hide the file
/// or make it a program's configuration, a leading hyphen would make it an option.
#[must_use]
pub fn for_saving(name: &str) -> String {
    let legal = legal(name);
    if legal.starts_with(['.', '-', '~']) {
        return fit(&format!("_{legal}"), "");
    }
    legal
}

/// A hint at what a file is, from its ending alone.
#[must_use]
pub fn media_type(name: &str) -> &'static str {
    let ending = name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("pdf") => "application/pdf",
        Some("dcm") => "application/dicom",
        Some("xml") => "application/xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain",
        Some("csv") => "text/csv",
        Some("hl7") => "x-application/hl7-v2+er7",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("png") => "image/png",
        Some("tif" | "tiff") => "image/tiff",
        Some("zip") => "application/zip",
        Some("edi" | "x12") => "application/edi-x12",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn folders_become_part_of_the_name() {
        for (path, name) in [
            ("ct.dcm", "ct.dcm"),
            ("scans/2026/ct.dcm", "scans - 2026 - ct.dcm"),
            ("../scans/./ct.dcm", "scans - ct.dcm"),
            ("", "unnamed"),
        ] {
            assert_eq!(for_manifest(Path::new(path)), name);
        }
    }

    #[test]
    fn illegal_names_are_mended() {
        for (name, mended) in [
            ("a:b.txt", "a_b.txt"),
            ("\"a\"*?<b>|.txt", "_a____b__.txt"),
            ("a\u{202E}fdp.exe", "a_fdp.exe"),
            ("a\u{200F}fdp\u{61C}.\u{200E}exe", "a_fdp_._exe"),
            ("a\u{200B}b\u{FEFF}c\u{2028}d\u{2029}.txt", "a_b_c_d_.txt"),
            ("ends. .", "ends_"),
            ("CON.txt", "_CON.txt"),
            ("e\u{301}.txt", "\u{e9}.txt"),
            ("..", "_"),
            ("\0", "_"),
        ] {
            assert_eq!(legal(name), mended, "{name:?}");
        }
    }

    #[test]
    fn long_names_keep_their_ending() {
        let name = legal(&format!("{}.dcm", "é".repeat(200)));
        assert!(name.len() <= MAX_LEN && name.ends_with("é.dcm"));
        let cut_at_a_stop = legal(&format!("{}.{}", "x".repeat(254), "y".repeat(50)));
        assert_eq!(cut_at_a_stop, format!("{}_", "x".repeat(254)));
        let second = numbered(&name, 2);
        assert!(second.len() <= MAX_LEN && second.ends_with(" (2).dcm"), "{second}");
    }

    #[test]
    fn collisions_are_numbered_in_any_case() {
        let mut names = UniqueNames::default();
        let taken: Vec<String> = ["a.pdf", "A.PDF", "a (2).pdf", "b", "b"]
            .iter()
            .map(|n| names.take(n))
            .collect();
        assert_eq!(taken, ["a.pdf", "A (2).PDF", "a (3).pdf", "b", "b (2)"]);
        assert_eq!(numbered("Smith (1980).pdf", 2), "Smith (1980) (2).pdf");
    }

    #[test]
    fn saving_hides_nothing_and_starts_no_option() {
        for (name, saved) in [(".bashrc", "_.bashrc"), ("-rf", "_-rf"), ("~x", "_~x"), ("a.b", "a.b")] {
            assert_eq!(for_saving(name), saved);
        }
    }

    proptest! {
        #[test]
        fn every_name_becomes_legal(name in ".{0,300}") {
            let mended = legal(&name);
            prop_assert_eq!(check_name(&mended), Ok(()), "{:?}", mended);
            prop_assert_eq!(check_name(&numbered(&mended, 7)), Ok(()));
            prop_assert_eq!(check_name(&for_saving(&name)), Ok(()));
            prop_assert!(!for_saving(&name).chars().any(is_deceptive));
        }
    }
}
