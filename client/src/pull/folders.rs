//! The folder for the files and the one of each sender below it.
//!
//! The folder carries a mark, which the state knows: when the mark is gone while a transfer is half placed, the folder is another one, or
//! its medium is not mounted, and nothing that is missing there may count as taken away.

use std::io;
use std::path::Path;

use sealpost_proto::encoding::hex;
use sealpost_proto::id::{Address, Label};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::receive::state::{RECEIVING, ReceivingHead};
use crate::resume::begun::Begun;
use crate::session::Session;
use crate::{names, platform};

/// What begins the folder of somebody whose address is not proven.
const NAMELESS: &str = "person-";
/// Digits of a label that stand for a person.
const DIGITS: usize = 12;
/// The mark's file, and the longest one.
const MARK: &str = ".sealpost-pull";
const MAX_MARK: u64 = 64;
/// Kinds of state that a puller writes: their folders are durable before the first record is.
const KINDS: [&str; 5] = ["pull", "pulled", "receiving", "received", "sent"];

#[derive(Serialize, Deserialize)]
struct Marked {
    mark: String,
}

/// The name of a sender's folder: the address made safe, or of somebody without a proven one the beginning of the label. An address that
/// had to be changed, or that looks like such a label, is told apart by its label, so that no two people share a folder.
pub(super) fn name_of(sender: Option<&Label>, address: Option<&Address>) -> String {
    let digits = sender.map(|label| label.to_string().chars().take(DIGITS).collect::<String>());
    let digits = digits.unwrap_or_else(|| "unknown".to_owned());
    let Some(address) = address else {
        return format!("{NAMELESS}{digits}");
    };
    let safe = names::for_saving(address.as_str());
    if safe == address.as_str() && !safe.starts_with(NAMELESS) {
        return safe;
    }
    format!("{safe}-{digits}")
}

/// Makes the folder, with its mark, and all folders of the state.
pub(super) fn prepare(session: &Session, into: &Path) -> Result<(), Error> {
    let failed = |error| Error::file("make the folder", into, error);
    for kind in KINDS {
        let folder = session.home.path().join(kind);
        platform::create_private_dir(&folder).map_err(|error| Error::file("make the folder", &folder, error))?;
    }
    let home = session.home.path();
    platform::sync_dir(home).map_err(|error| Error::file("write", home, error))?;
    platform::create_private_dir(into).map_err(failed)?;
    platform::sync_parent(into).map_err(failed)?;
    check_mark(session, into)
}

/// Makes a sender's folder durable before anything is staged in it.
pub(super) fn make(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    platform::create_private_dir(folder)
        .and_then(|()| platform::sync_parent(folder))
        .map_err(|error| Error::file("make the folder", folder, error))
}

fn check_mark(session: &Session, into: &Path) -> Result<(), Error> {
    let path = into.join(MARK);
    let name = state_name(session, into);
    let known: Option<Marked> = session.state.get("pull", &name)?;
    if is_marked(into, known.as_ref())? {
        return make_unfinished(session, into);
    }
    if known.is_some() && is_anything_unfinished(session, into)? {
        return Err(Error::Input(format!(
            "{} is another folder than before, or its medium is not mounted, while a transfer is only half received there; mount it. If the old folder is lost, `sealpost resume --discard` lets that transfer be received again.",
            into.display()
        )));
    }
    let mark = hex(&session.env.draw::<16>());
    platform::write_private(&path, mark.as_bytes()).map_err(|error| Error::file("write", &path, error))?;
    session.state.put("pull", &name, &Marked { mark }, &session.env)
}

/// Refuses a folder that has become another one since it was [prepared](prepare).
pub(super) fn check(session: &Session, into: &Path) -> Result<(), Error> {
    let known: Option<Marked> = session.state.get("pull", &state_name(session, into))?;
    if is_marked(into, known.as_ref())? {
        return Ok(());
    }
    Err(Error::Input(format!(
        "{} is not the folder that it was any more, or its medium is not mounted, so nothing is put into it; mount it, or start `sealpost pull` again if the new folder is meant.",
        into.display()
    )))
}

/// Whether the folder carries the mark that is known.
fn is_marked(into: &Path, known: Option<&Marked>) -> Result<bool, Error> {
    let path = into.join(MARK);
    match platform::read_limited(&path, MAX_MARK) {
        Ok(found) => Ok(known.is_some_and(|known| known.mark.as_bytes() == found)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Error::file("read", &path, error)),
    }
}

/// The folders of half-received transfers are there again, although somebody removed them with what they held.
fn make_unfinished(session: &Session, into: &Path) -> Result<(), Error> {
    for target in unfinished(session)? {
        if target.starts_with(into) {
            make(&target)?;
        }
    }
    Ok(())
}

fn is_anything_unfinished(session: &Session, into: &Path) -> Result<bool, Error> {
    Ok(unfinished(session)?.iter().any(|target| target.starts_with(into)))
}

fn unfinished(session: &Session) -> Result<Vec<std::path::PathBuf>, Error> {
    let mut targets = Vec::new();
    for name in session.state.names(RECEIVING)? {
        match Begun::<ReceivingHead>::head(&session.state, RECEIVING, &name) {
            Ok(Some(head)) => targets.push(head.target()?),
            // A damaged record is told by `resume`.
            Ok(None) | Err(Error::State) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(targets)
}

/// A name for the state that belongs to this folder.
pub(super) fn state_name(session: &Session, into: &Path) -> String {
    let bytes = platform::path_bytes(into).unwrap_or_default();
    let key = session.account.state_key.as_bytes();
    let hash: [u8; 32] = *sealpost_proto::crypto::kdf::<32>(key, &[], &[b"sealpost/v1/pull-folder\0", &bytes]);
    hex(&hash)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(digit: u8) -> Label {
        hex(&[digit; 32]).parse().unwrap()
    }

    #[test]
    fn folders_are_addresses_and_no_two_people_share_one() {
        let named = |address: &str, digit| name_of(Some(&label(digit)), Some(&address.parse().unwrap()));
        assert_eq!(named("desk@clinic.example", 1), "desk@clinic.example");
        assert_eq!(name_of(Some(&label(0xab)), None), "person-abababababab");
        assert_ne!(named("person-abababababab", 1), "person-abababababab");
        assert_ne!(named("a*b@c.example", 1), named("a_b@c.example", 2));
        assert!(!named("../up@c.example", 1).contains('/'));
    }

    #[test]
    fn a_folder_that_became_another_one_is_refused() {
        let sealed = crate::receive::tests::sealed(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let (into, unmounted) = (dir.path().join("in"), dir.path().join("unmounted"));
        prepare(&sealed.session, &into).unwrap();
        check(&sealed.session, &into).unwrap();
        std::fs::rename(&into, &unmounted).unwrap();
        for is_made in [false, true] {
            if is_made {
                std::fs::create_dir(&into).unwrap();
            }
            let Err(refused @ Error::Input(_)) = check(&sealed.session, &into) else {
                panic!("it is another folder");
            };
            assert!(refused.to_string().contains("not mounted"), "{refused}");
        }
        std::fs::write(into.join(MARK), "another mark").unwrap();
        assert!(check(&sealed.session, &into).is_err());
        std::fs::remove_dir_all(&into).unwrap();
        std::fs::rename(&unmounted, &into).unwrap();
        check(&sealed.session, &into).unwrap();
    }

    #[test]
    #[cfg(unix)]
    fn what_is_made_is_its_owners_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let sealed = crate::receive::tests::sealed(&[1]);
        let dir = tempfile::tempdir().unwrap();
        let into = dir.path().join("a").join("in");
        prepare(&sealed.session, &into).unwrap();
        make(&into.join("desk@clinic.example")).unwrap();
        for folder in [dir.path().join("a"), into.clone(), into.join("desk@clinic.example")] {
            let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
        }
    }
}
