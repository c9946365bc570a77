use std::sync::Arc;

use super::super::EmbeddedLedger;
use super::*;
use crate::clock::SystemClock;
use crate::random::SystemRandom;

fn open(data: &PrivateFolder) -> Result<EmbeddedLedger, OpenError> {
    EmbeddedLedger::open(data, "1", Arc::new(SystemClock), Arc::new(SystemRandom))
}

/// A data folder with a journal, and how that one can be told from others.
fn with_journal(root: &Path) -> (PrivateFolder, Vec<u8>) {
    let data = PrivateFolder::open(&root.join("data")).unwrap();
    drop(open(&data).unwrap());
    let header = header(&data.path().join(JOURNAL));
    (data, header)
}

fn header(journal: &Path) -> Vec<u8> {
    let files: Vec<PathBuf> = fs::read_dir(journal)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let file = files
        .iter()
        .find(|file| file.extension().is_some_and(|it| it == "journal"));
    fs::read(file.unwrap()).unwrap()[..96].to_vec()
}

/// The end came after the exchange: the damaged journal lies where the next repair builds.
#[test]
fn n116_a_repair_never_removes_what_an_earlier_one_left() {
    let root = tempfile::tempdir().unwrap();
    let (data, damaged) = with_journal(root.path());
    let repaired = PrivateFolder::open(&data.path().join(REPAIRED)).unwrap();
    drop(open(&repaired).unwrap());
    exchange(&data.path().join(JOURNAL), &repaired.path().join(JOURNAL)).unwrap();
    drop(repaired);

    let remains = Remains::read(&data, &[]).unwrap();
    assert_eq!(remains.damage(), None);
    for number in ["lost-7", "lost-7-2"] {
        assert!(!data.path().join(number).exists());
        let again = remains.rebuild(&data, "7").unwrap();
        assert!(data.path().join(number).exists());
        drop(again);
    }
    assert_eq!(header(&data.path().join("lost-7").join(JOURNAL)), damaged);
    let last = remains.rebuild(&data, "8").unwrap();
    let kept = put_in_place(&data, last, "8").unwrap();
    assert_eq!(kept, data.path().join("lost-8-2"), "what was there is not overwritten");
    open(&data).unwrap();
}

/// The end came between two steps where the file system cannot exchange: no journal is in place, and none is begun.
#[test]
fn n116_without_a_journal_nothing_begins_beside_one_that_was_taken_away() {
    let root = tempfile::tempdir().unwrap();
    let (data, damaged) = with_journal(root.path());
    let repaired = PrivateFolder::open(&data.path().join(REPAIRED)).unwrap();
    drop(open(&repaired).unwrap());
    let (journal, other) = (data.path().join(JOURNAL), repaired.path().join(JOURNAL));
    let aside = other.with_extension(ASIDE);
    fs::rename(&journal, &aside).unwrap();
    let refused = open(&data).unwrap_err();
    assert!(matches!(&refused, OpenError::JournalAside { found, .. } if *found == aside));
    assert!(refused.to_string().contains("journal repair"), "{refused}");
    assert!(matches!(Remains::read(&data, &[]), Err(OpenError::JournalAside { .. })));
    assert!(!journal.exists(), "nothing was begun");

    drop(repaired);
    fs::rename(data.path().join(REPAIRED), data.path().join("lost-7")).unwrap();
    let refused = open(&data).unwrap_err();
    assert!(matches!(&refused, OpenError::JournalAside { found, .. } if found.starts_with(data.path().join("lost-7"))));
    fs::rename(data.path().join("lost-7/journal.aside"), &journal).unwrap();
    drop(open(&data).unwrap());
    assert_eq!(header(&journal), damaged);
}
