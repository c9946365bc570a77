//! Searches a folder for what must not be in it: texts, and every 16-byte window of given contents.
//!
//! Each file is read as it is and as every encoding that could carry the bytes (UTF-16 in both orders, base64 in both
//! alphabets, hex), at every alignment; names of files are searched too. Windows with fewer than five different bytes are left
//! out: runs of zeros and spaces lie on every disk.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

/// Length of the windows in bytes.
pub const WINDOW: usize = 16;

/// Fewest different bytes of a window that says anything about where it came from.
const VARIETY: usize = 5;

/// Fewest bytes of a text.
const SHORTEST_TEXT: usize = 4;

/// Runs of zeros from this length on are cut out of a file before it is searched: preallocated journals are full of them.
const ZEROS: usize = 64;

/// Bits of the filter in front of the table of windows.
const FILTER_BITS: u32 = 22;

/// What must not be found.
#[derive(Debug)]
pub struct Needles {
    texts: Vec<(String, Vec<u8>)>,
    contents: Vec<String>,
    windows: HashMap<u128, usize>,
    filter: Vec<bool>,
}

/// Something that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// In which file.
    pub file: PathBuf,
    /// What.
    pub what: String,
    /// In which encoding.
    pub encoding: &'static str,
}

/// What a search looked at, and what it found.
#[derive(Debug, Default)]
pub struct Report {
    /// Files read.
    pub files: usize,
    /// Bytes read.
    pub bytes: usize,
    /// What was found; at most one finding for each thing, file and encoding.
    pub findings: Vec<Finding>,
}

impl Default for Needles {
    fn default() -> Self {
        Self {
            texts: Vec::new(),
            contents: Vec::new(),
            windows: HashMap::new(),
            filter: vec![false; 1 << FILTER_BITS],
        }
    }
}

impl Needles {
    /// Adds a text, four bytes or longer (a shorter one is found by chance), that is searched whole.
    #[must_use]
    pub fn text(self, what: &str, text: &str) -> Self {
        self.whole(what, text.as_bytes())
    }

    /// Adds contents, of which every window is searched. Contents shorter than a window are searched whole.
    #[must_use]
    pub fn contents(mut self, what: &str, bytes: &[u8]) -> Self {
        if bytes.len() < WINDOW {
            return self.whole(what, bytes);
        }
        let index = self.contents.len();
        self.contents.push(what.to_owned());
        for window in bytes.windows(WINDOW).filter(|window| variety(window) >= VARIETY) {
            let value = window.iter().fold(0, |value, byte| push(value, *byte));
            self.windows.insert(value, index);
            if let Some(bit) = self.filter.get_mut(slot(value)) {
                *bit = true;
            }
        }
        self
    }

    fn whole(mut self, what: &str, bytes: &[u8]) -> Self {
        assert!(bytes.len() >= SHORTEST_TEXT, "{what}: so few bytes are found by chance");
        self.texts.push((what.to_owned(), bytes.to_vec()));
        self
    }

    /// How many windows are searched.
    #[must_use]
    pub fn windows(&self) -> usize {
        self.windows.len()
    }

    /// Searches everything below `folders`.
    ///
    /// # Errors
    /// When a file or folder cannot be read, or a folder holds no file: what was not read was not searched.
    pub fn search(&self, folders: &[&Path]) -> io::Result<Report> {
        let mut report = Report::default();
        for folder in folders {
            let files = report.files;
            self.search_below(folder, folder, &mut report)?;
            if report.files == files {
                return Err(io::Error::other(format!(
                    "{} holds no file to search",
                    folder.display()
                )));
            }
        }
        Ok(report)
    }

    fn search_below(&self, root: &Path, folder: &Path, report: &mut Report) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.is_dir() {
                self.search_below(root, &path, report)?;
                continue;
            }
            let bytes = fs::read(&path)?;
            report.files += 1;
            report.bytes += bytes.len();
            let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            let mut found = self.find(name.as_bytes());
            found.extend(self.find(&bytes));
            for (what, encoding) in found {
                let finding = Finding {
                    file: path.clone(),
                    what,
                    encoding,
                };
                if !report.findings.contains(&finding) {
                    report.findings.push(finding);
                }
            }
        }
        Ok(())
    }

    /// What stands in `bytes`, and in which encoding.
    #[must_use]
    pub fn find(&self, bytes: &[u8]) -> Vec<(String, &'static str)> {
        let mut found = Vec::new();
        for stretch in without_zeros(bytes) {
            self.scan(stretch, "as it is", &mut found);
            for skipped in 0..2 {
                let rest = stretch.get(skipped..).unwrap_or_default();
                self.scan(&utf16(rest, u16::from_le_bytes), "UTF-16LE", &mut found);
                self.scan(&utf16(rest, u16::from_be_bytes), "UTF-16BE", &mut found);
            }
            for run in runs(stretch, digit_of_hex, SHORTEST_TEXT * 2) {
                for skipped in 0..2 {
                    self.scan(
                        &unpack::<4>(run.get(skipped..).unwrap_or_default(), digit_of_hex),
                        "hex",
                        &mut found,
                    );
                }
            }
            for run in runs(stretch, digit_of_base64, SHORTEST_TEXT * 4 / 3) {
                for skipped in 0..4 {
                    self.scan(
                        &unpack::<6>(run.get(skipped..).unwrap_or_default(), digit_of_base64),
                        "base64",
                        &mut found,
                    );
                }
            }
        }
        found
    }

    fn scan(&self, view: &[u8], encoding: &'static str, found: &mut Vec<(String, &'static str)>) {
        for (what, text) in &self.texts {
            if view.windows(text.len()).any(|window| window == text) {
                note(what, encoding, found);
            }
        }
        let mut value = 0;
        for (position, byte) in view.iter().enumerate() {
            value = push(value, *byte);
            if position + 1 < WINDOW || self.filter.get(slot(value)) != Some(&true) {
                continue;
            }
            if let Some(what) = self.windows.get(&value).and_then(|index| self.contents.get(*index)) {
                note(what, encoding, found);
            }
        }
    }
}

fn note(what: &str, encoding: &'static str, found: &mut Vec<(String, &'static str)>) {
    if !found
        .iter()
        .any(|(known, in_encoding)| known == what && *in_encoding == encoding)
    {
        found.push((what.to_owned(), encoding));
    }
}

/// The window one byte further.
fn push(value: u128, byte: u8) -> u128 {
    (value << 8) | u128::from(byte)
}

/// Where a window stands in the filter (multiplicative hashing of both halves).
#[expect(
    clippy::cast_possible_truncation,
    reason = "both halves are taken on purpose; the last shift leaves 22 bits"
)]
fn slot(value: u128) -> usize {
    let folded = (value as u64) ^ ((value >> 64) as u64).rotate_left(29);
    (folded.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (u64::BITS - FILTER_BITS)) as usize
}

fn variety(window: &[u8]) -> usize {
    let mut seen: Vec<u8> = window.to_vec();
    seen.sort_unstable();
    seen.dedup();
    seen.len()
}

/// The stretches between long runs of zeros.
fn without_zeros(bytes: &[u8]) -> Vec<&[u8]> {
    let mut stretches = Vec::new();
    let (mut start, mut zeros) = (0, 0);
    for (position, byte) in bytes.iter().enumerate() {
        if *byte == 0 {
            zeros += 1;
            continue;
        }
        if zeros >= ZEROS {
            stretches.extend(bytes.get(start..position - zeros).filter(|stretch| !stretch.is_empty()));
            start = position;
        }
        zeros = 0;
    }
    stretches.extend(
        bytes
            .get(start..bytes.len() - zeros)
            .filter(|stretch| !stretch.is_empty()),
    );
    stretches
}

/// The runs of digits that are long enough to carry a text.
fn runs(bytes: &[u8], digit: fn(u8) -> Option<u8>, shortest: usize) -> impl Iterator<Item = &[u8]> {
    bytes
        .split(move |byte| digit(*byte).is_none())
        .filter(move |run| run.len() >= shortest)
}

/// UTF-16 in the given order, as UTF-8; what is no character becomes U+FFFD, which no needle holds.
fn utf16(bytes: &[u8], order: fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = bytes
        .chunks(2)
        .map(|pair| order([pair.first().copied().unwrap_or(0), pair.get(1).copied().unwrap_or(0)]));
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect::<String>()
        .into_bytes()
}

/// Digits of `BITS` bits each, as the bytes that they spell.
fn unpack<const BITS: u32>(run: &[u8], digit: fn(u8) -> Option<u8>) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(run.len());
    let (mut buffer, mut filled) = (0_u32, 0);
    for value in run.iter().filter_map(|byte| digit(*byte)) {
        buffer = (buffer << BITS) | u32::from(value);
        filled += BITS;
        if filled >= 8 {
            filled -= 8;
            bytes.push(u8::try_from((buffer >> filled) & 0xFF).unwrap_or(0));
            buffer &= (1 << filled) - 1;
        }
    }
    bytes
}

fn digit_of_hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn digit_of_base64(byte: u8) -> Option<u8> {
    match byte {
        b'A'..=b'Z' => Some(byte - b'A'),
        b'a'..=b'z' => Some(byte - b'a' + 26),
        b'0'..=b'9' => Some(byte - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER, HEXUPPER};

    use super::*;
    use crate::samples::noise;

    const NAME: &str = "Zoë Exámple";

    fn needles() -> Needles {
        Needles::default()
            .text("the name", NAME)
            .contents("the file", &noise(1_000))
    }

    fn encodings(of: &[u8]) -> Vec<Vec<u8>> {
        let text = String::from_utf8_lossy(of).into_owned();
        vec![
            of.to_vec(),
            BASE64.encode(of).into_bytes(),
            BASE64URL_NOPAD.encode(of).into_bytes(),
            HEXLOWER.encode(of).into_bytes(),
            HEXUPPER.encode(of).into_bytes(),
            text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
            text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        ]
    }

    #[test]
    fn a_text_is_found_in_every_encoding_at_every_alignment() {
        for before in 0..5 {
            let mut padded = "xyzzy"[..before].to_owned().into_bytes();
            padded.extend_from_slice(NAME.as_bytes());
            padded.extend_from_slice(b"-end");
            for (index, encoded) in encodings(&padded).into_iter().enumerate() {
                for junk in 0..3 {
                    let mut bytes = vec![0xFF; junk];
                    bytes.extend_from_slice(&encoded);
                    let found = needles().find(&bytes);
                    assert!(
                        found.iter().any(|(what, _)| what == "the name"),
                        "encoding {index}, {before} before"
                    );
                }
            }
        }
    }

    #[test]
    fn one_window_of_the_contents_is_enough() {
        let contents = noise(1_000);
        for start in [0, 1, 2, 3, 500, 984] {
            let window = &contents[start..start + WINDOW];
            for encoded in encodings(window).into_iter().take(5) {
                let mut bytes = vec![0; 300];
                bytes.extend_from_slice(&encoded);
                bytes.extend_from_slice(&[0; 300]);
                assert!(
                    needles().find(&bytes).iter().any(|(what, _)| what == "the file"),
                    "window at {start}"
                );
            }
        }
    }

    #[test]
    fn fifteen_bytes_and_other_noise_are_not_found() {
        let contents = noise(1_000);
        assert_eq!(needles().find(&contents[100..115]), vec![]);
        let other: Vec<u8> = noise(50_000).iter().rev().map(|byte| byte ^ 0x5A).collect();
        assert_eq!(needles().find(&other), vec![]);
    }

    #[test]
    fn names_of_files_are_searched_and_an_empty_folder_is_an_error() {
        let folder = tempfile::tempdir().expect("folder");
        assert!(needles().search(&[folder.path()]).is_err());
        fs::write(folder.path().join(format!("{NAME}.pdf")), b"harmless").expect("write");
        let report = needles().search(&[folder.path()]).expect("search");
        assert_eq!(report.files, 1);
        assert_eq!(report.findings.len(), 1, "{:?}", report.findings);
    }
}
