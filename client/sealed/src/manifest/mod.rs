//! The manifest: names, sizes, note, patients and purpose of a transfer, encrypted in a box of its own (sealed-transfer.md, "Manifest box").
//!
//! `Debug` of these types shows counts alone: names and notes are health data.

mod boxed;
mod name;
mod strict;

use std::fmt;

use sealpost_proto::id::Hash;
use sealpost_proto::sealed::{Header, MAX_FILES, MAX_NOTE_LEN, PADDED_LIMIT, Reason};
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub(crate) use boxed::{open_box, seal_box};
use name::check_names;
pub use name::{NameProblem, check_name};

use crate::unpack::FileDigests;

const VERSION: i64 = 1;

/// A patient's reference in some system of ids.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patient {
    /// URI of the system (`urn:oid:…`).
    #[serde(deserialize_with = "strict::text")]
    pub system: String,
    /// The id in that system.
    #[serde(deserialize_with = "strict::text")]
    pub value: String,
    /// For people.
    #[serde(
        default,
        deserialize_with = "strict::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub display: Option<String>,
}

/// What kind of disclosure the transfer is, for the accounting of disclosures.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disclosure {
    /// For example `treatment`.
    #[serde(deserialize_with = "strict::text")]
    pub category: String,
    /// Legal basis, for example `164.506`.
    #[serde(deserialize_with = "strict::text")]
    pub basis: String,
}

/// A file of an opened transfer.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    /// Safe to save under on every system.
    #[serde(deserialize_with = "strict::text")]
    pub name: String,
    /// A hint; never a reason to open the file.
    #[serde(deserialize_with = "strict::text")]
    pub mime: String,
    /// Where it begins in the plaintext.
    #[serde(deserialize_with = "strict::unsigned")]
    pub off: u64,
    /// Bytes.
    #[serde(deserialize_with = "strict::unsigned")]
    pub len: u64,
    /// BLAKE3 of the plaintext.
    pub blake3: Hash,
    /// SHA-256 of the plaintext, when policy asks for it.
    #[serde(
        default,
        deserialize_with = "strict::present",
        skip_serializing_if = "Option::is_none"
    )]
    pub sha256: Option<Hash>,
    /// Last change, unix seconds.
    #[serde(
        default,
        deserialize_with = "strict::optional_integer",
        skip_serializing_if = "Option::is_none"
    )]
    pub mtime: Option<i64>,
}

impl FileEntry {
    /// The digests that the file must have.
    #[must_use]
    pub fn digests(&self) -> FileDigests {
        FileDigests {
            blake3: self.blake3,
            sha256: self.sha256,
        }
    }
}

/// A manifest that obeys every rule and agrees with its header.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    #[serde(deserialize_with = "strict::integer")]
    v: i64,
    /// Whom it is about.
    #[serde(deserialize_with = "strict::objects")]
    pub patients: Vec<Patient>,
    /// HL7 v3 PurposeOfUse; readers refuse no code.
    #[serde(deserialize_with = "strict::text")]
    pub purpose: String,
    /// For the accounting of disclosures.
    #[serde(deserialize_with = "strict::object")]
    pub disclosure: Disclosure,
    /// One line.
    #[serde(
        default,
        deserialize_with = "strict::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub subject: Option<String>,
    /// A message; at most 64 KiB.
    #[serde(
        default,
        deserialize_with = "strict::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub note: Option<String>,
    /// In the order of the plaintext.
    #[serde(deserialize_with = "strict::objects")]
    pub files: Vec<FileEntry>,
    /// As in the header.
    #[serde(deserialize_with = "strict::unsigned")]
    pub created: u64,
    /// As in the header.
    #[serde(deserialize_with = "strict::unsigned")]
    pub expires: u64,
    /// Where an answer goes.
    #[serde(
        default,
        deserialize_with = "strict::optional_text",
        skip_serializing_if = "Option::is_none"
    )]
    pub reply_to: Option<String>,
}

impl Manifest {
    /// Parses and checks a manifest against its header.
    pub(crate) fn parse(json: &[u8], header: &Header) -> Result<Self, Reason> {
        let text = std::str::from_utf8(json).map_err(|_| Reason::Manifest)?;
        let strict::Object(manifest): strict::Object<Self> =
            serde_json::from_str(text).map_err(|_| Reason::Manifest)?;
        let agrees = manifest.created == header.created_at && manifest.expires == header.expires_at;
        if manifest.v != VERSION || !agrees || manifest.purpose.is_empty() || !manifest.has_valid_files() {
            return Err(Reason::Manifest);
        }
        Ok(manifest)
    }

    fn has_valid_files(&self) -> bool {
        self.files.len() <= MAX_FILES
            && self.is_contiguous()
            && check_names(self.files.iter().map(|file| file.name.as_str())).is_ok()
    }

    fn is_contiguous(&self) -> bool {
        let mut end = 0_u64;
        for file in &self.files {
            if file.off != end {
                return false;
            }
            end += file.len; // neither exceeds 2^53
            if end >= PADDED_LIMIT {
                return false;
            }
        }
        true
    }

    /// Bytes of all files.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.files.last().map_or(0, |file| file.off + file.len)
    }
}

/// A file that is to be sent.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileDraft {
    /// Name under which the recipient saves it.
    pub name: String,
    /// A hint for the recipient.
    pub mime: String,
    /// Bytes.
    pub len: u64,
    /// Last change, unix seconds.
    pub mtime: Option<i64>,
}

/// What a sender writes; lengths are known, digests are not yet. Serialized only into sealed state, to be resumed from.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestDraft {
    /// One line.
    pub subject: Option<String>,
    /// A message.
    pub note: Option<String>,
    /// Whom it is about.
    pub patients: Vec<Patient>,
    /// HL7 v3 PurposeOfUse.
    pub purpose: String,
    /// For the accounting of disclosures.
    pub disclosure: Disclosure,
    /// Where an answer goes.
    pub reply_to: Option<String>,
    /// In the order in which they are sealed.
    pub files: Vec<FileDraft>,
}

/// Why a draft cannot become a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ManifestError {
    /// The name of the file at this place in the list.
    #[error("The name of file {number} cannot be used: {problem}. Rename the file and send again.", number = .index + 1)]
    Name {
        /// Place in the list, from 0.
        index: usize,
        /// What is wrong with it.
        problem: NameProblem,
    },
    /// More than 65,536 files.
    #[error("There are more than 65,536 files. Send them in several transfers, or in one archive.")]
    TooManyFiles,
    /// 1 TiB or more.
    #[error("The files are 1 TiB or more in all. Send them in several transfers.")]
    TooLarge,
    /// A text is too long or holds a character that no text may hold.
    #[error(
        "The note, the subject or another text is longer than 64 KiB or holds a character that texts may not hold."
    )]
    Text,
    /// The purpose is empty.
    #[error("The purpose is empty. Name one, for example TREAT.")]
    Purpose,
    /// The whole does not fit into 16 MiB.
    #[error("The list of files does not fit into 16 MiB. Send them in several transfers, or in one archive.")]
    ManifestTooLarge,
    /// A date is 2^53 seconds or more from 1970.
    #[error("A date is out of range. Correct the clock, or the time of the file's last change, and send again.")]
    Date,
    /// There is not one digest for each file.
    #[error("A digest is missing: the files were not all read.")]
    Digests,
}

impl ManifestDraft {
    /// Bytes of all files.
    ///
    /// # Errors
    /// [`ManifestError`], the first rule that the draft breaks.
    pub fn check(&self) -> Result<u64, ManifestError> {
        if self.files.len() > MAX_FILES {
            return Err(ManifestError::TooManyFiles);
        }
        if self.purpose.is_empty() {
            return Err(ManifestError::Purpose);
        }
        if !self.texts().all(strict::is_text) || self.note.as_ref().is_some_and(|note| note.len() > MAX_NOTE_LEN) {
            return Err(ManifestError::Text);
        }
        check_names(self.files.iter().map(|file| file.name.as_str()))
            .map_err(|(index, problem)| ManifestError::Name { index, problem })?;
        let total = self.files.iter().try_fold(0_u64, |sum, file| sum.checked_add(file.len));
        total
            .filter(|total| *total < PADDED_LIMIT)
            .ok_or(ManifestError::TooLarge)
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.subject, &self.note, &self.reply_to];
        let fixed = [&self.purpose, &self.disclosure.category, &self.disclosure.basis];
        let patients = self
            .patients
            .iter()
            .flat_map(|p| [Some(&p.system), Some(&p.value), p.display.as_ref()]);
        let files = self.files.iter().map(|file| &file.mime);
        let all = optional.into_iter().flatten().chain(fixed).chain(patients.flatten());
        all.chain(files).map(String::as_str)
    }

    /// The manifest, now that every file was read.
    pub(crate) fn complete(&self, header: &Header, digests: &[FileDigests]) -> Result<Manifest, ManifestError> {
        if digests.len() != self.files.len() {
            return Err(ManifestError::Digests);
        }
        let mut off = 0;
        let files = self.files.iter().zip(digests).map(|(file, digests)| {
            let entry = FileEntry {
                name: file.name.clone(),
                mime: file.mime.clone(),
                off,
                len: file.len,
                blake3: digests.blake3,
                sha256: digests.sha256,
                mtime: file.mtime,
            };
            off += file.len;
            entry
        });
        Ok(Manifest {
            v: VERSION,
            patients: self.patients.clone(),
            purpose: self.purpose.clone(),
            disclosure: self.disclosure.clone(),
            subject: self.subject.clone(),
            note: self.note.clone(),
            files: files.collect(),
            created: header.created_at,
            expires: header.expires_at,
            reply_to: self.reply_to.clone(),
        })
    }
}

macro_rules! redacted_debug {
    ($($type:ident: $field:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($type))
                    .field(concat!(stringify!($field), ".len"), &self.$field.len())
                    .finish_non_exhaustive()
            }
        }
    )*};
}

redacted_debug!(Manifest: files, ManifestDraft: files, Patient: value, Disclosure: basis, FileEntry: name, FileDraft: name);

#[cfg(test)]
mod tests;
