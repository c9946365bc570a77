use std::os::unix::fs::FileExt;

use proptest::prelude::*;

use super::*;
use crate::random::SystemRandom;

const SHORT: u64 = (MAX_FRAME_LEN + 4096) as u64;

fn try_open(folder: &Path, records: &mut Vec<Vec<u8>>) -> Result<Journal, OpenError> {
    let options = Options {
        folder: folder.to_owned(),
        file_len: SHORT,
        io: Arc::new(SystemIo),
        random: Arc::new(SystemRandom),
    };
    records.clear();
    Journal::open(options, 0, &mut |found| {
        assert_eq!(found.first_seq, records.len() as u64 + 1);
        records.extend(found.records.iter().map(|record| record.to_vec()));
        Ok(())
    })
}

fn open(folder: &Path) -> (Journal, Vec<Vec<u8>>) {
    let mut records = Vec::new();
    let journal = try_open(folder, &mut records).unwrap();
    (journal, records)
}

/// Text, as records are: JSON has no zero bytes.
fn record(n: usize, len: usize) -> Vec<u8> {
    format!("{n:0len$}").into_bytes()
}

/// Appends frames of `count` records each; returns the records and where each frame begins in its file.
fn fill(journal: &mut Journal, frames: usize, count: usize, len: usize) -> (Vec<Vec<u8>>, Vec<Position>) {
    let (mut all, mut positions) = (Vec::new(), Vec::new());
    for frame in 0..frames {
        let records: Vec<_> = (0..count).map(|n| record(frame * count + n, len)).collect();
        journal.make_room().unwrap();
        positions.push(journal.append(&records).unwrap().0);
        all.extend(records);
    }
    (all, positions)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    list(folder).unwrap()
}

fn corrupt(folder: &Path) -> (PathBuf, u64, String) {
    match try_open(folder, &mut Vec::new()) {
        Err(OpenError::Corrupt { file, offset, what }) => (file, offset, what),
        other => panic!("opened: {other:?}"),
    }
}

#[test]
fn reopens_with_all_records_over_several_files() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, records) = open(folder.path());
    assert!(records.is_empty());
    let (written, positions) = fill(&mut journal, 12, 3, 1_000);
    drop(journal);
    let (mut journal, records) = open(folder.path());
    assert_eq!(records, written);
    assert!(files(folder.path()).len() > 1);
    assert_eq!(journal.next_seq(), 37);
    for (n, position) in positions.iter().enumerate() {
        let mut found = Vec::new();
        let reader = journal.reader();
        reader
            .walk(*position, &mut |frame| {
                found.extend(frame.iter().map(|record| record.to_vec()));
                Ok(true)
            })
            .unwrap();
        assert_eq!(found, written[n * 3..], "from frame {n}");
    }
    let (more, _) = fill(&mut journal, 1, 1, 10);
    drop(journal);
    assert_eq!(open(folder.path()).1, [written, more].concat());
}

#[test]
fn a_torn_last_frame_is_dropped_whole_wherever_it_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    let (written, positions) = fill(&mut journal, 3, 2, 12);
    drop(journal);
    let path = files(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    let last = positions[2].offset as usize;
    let end = good.iter().rposition(|byte| *byte != 0).unwrap() + 1;
    for cut in last..end {
        // What was not yet written is zeros, or what the disk made of it; or the file itself was cut.
        let mut torn = good.clone();
        match cut % 3 {
            0 => torn[cut..end].fill(0x00),
            1 => torn[cut..end].fill(0xff),
            _ => torn.truncate(cut),
        }
        fs::write(&path, &torn).unwrap();
        let (mut journal, records) = open(folder.path());
        assert_eq!(records, written[..4], "cut at {cut}");
        assert_eq!(fs::metadata(&path).unwrap().len(), SHORT, "reserved again");
        let (more, _) = fill(&mut journal, 1, 1, 30);
        drop(journal);
        let (_, records) = open(folder.path());
        assert_eq!(records, [&written[..4], &more[..]].concat(), "and the journal goes on");
    }
}

#[test]
fn a_flipped_bit_before_the_last_frame_is_refused_and_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    let (_, positions) = fill(&mut journal, 3, 2, 12);
    drop(journal);
    let path = files(folder.path()).remove(0);
    let good = fs::read(&path).unwrap();
    for at in 0..positions[2].offset as usize {
        let mut bad = good.clone();
        bad[at] ^= 1 << (at % 8);
        fs::write(&path, &bad).unwrap();
        let refused = try_open(folder.path(), &mut Vec::new()).unwrap_err();
        let is_version = matches!(refused, OpenError::Version { .. });
        assert!(
            is_version || matches!(refused, OpenError::Corrupt { .. }),
            "byte {at}: {refused}"
        );
        assert_eq!(fs::read(&path).unwrap(), bad, "byte {at}");
    }
    let mut bad = good;
    bad[positions[1].offset as usize + 60] ^= 1;
    fs::write(&path, &bad).unwrap();
    let (file, offset, what) = corrupt(folder.path());
    assert_eq!((file, offset), (path, u64::from(positions[1].offset)));
    assert!(what.contains("a good one follows"), "{what}");
}

#[test]
fn frames_of_another_chain_are_refused() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let mut frames = Vec::new();
    for folder in &folders {
        let (mut journal, _) = open(folder.path());
        let (_, positions) = fill(&mut journal, 3, 1, 40);
        frames.push(positions[2].offset as usize);
    }
    let [mine, other] = folders.each_ref().map(|folder| files(folder.path()).remove(0));
    let mut bytes = fs::read(&mine).unwrap();
    let foreign = fs::read(&other).unwrap();
    bytes[frames[0]..].copy_from_slice(&foreign[frames[1]..]);
    fs::write(&mine, &bytes).unwrap();
    let (_, offset, what) = corrupt(folders[0].path());
    assert_eq!(offset, frames[0] as u64);
    assert!(what.contains("does not continue the chain"), "{what}");
}

#[test]
fn a_missing_file_is_noticed() {
    for missing in 0..2 {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path());
        fill(&mut journal, 12, 3, 1_000);
        drop(journal);
        let paths = files(folder.path());
        assert!(paths.len() >= 3);
        fs::remove_file(&paths[missing]).unwrap();
        let (file, offset, what) = corrupt(folder.path());
        assert_eq!((file, offset), (paths[missing + 1].clone(), 0));
        assert!(what.contains("missing"), "{what}");
    }
}

#[test]
fn a_torn_frame_before_another_file_is_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    let (_, positions) = fill(&mut journal, 12, 3, 1_000);
    drop(journal);
    let last_of_first = positions.iter().rfind(|position| position.file == 0).unwrap();
    let path = files(folder.path()).remove(0);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 4], u64::from(last_of_first.offset) + 100)
        .unwrap();
    assert_eq!(corrupt(folder.path()).1, u64::from(last_of_first.offset));
}

#[test]
fn a_file_that_was_never_finished_is_forgotten() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(UNFINISHED), b"left by a crash").unwrap();
    let (mut journal, records) = open(folder.path());
    assert!(records.is_empty());
    fill(&mut journal, 1, 1, 10);
    assert!(!folder.path().join(UNFINISHED).exists());
}

#[test]
fn a_newer_version_is_named() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()));
    let path = files(folder.path()).remove(0);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[2], 19).unwrap();
    let refused = try_open(folder.path(), &mut Vec::new()).unwrap_err();
    assert!(matches!(refused, OpenError::Version { found: 2, known: 1, .. }));
}

#[test]
fn a_record_that_is_not_understood_stops_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let (mut journal, _) = open(folder.path());
    fill(&mut journal, 1, 1, 10);
    drop(journal);
    let options = Options {
        folder: folder.path().to_owned(),
        file_len: SHORT,
        io: Arc::new(SystemIo),
        random: Arc::new(SystemRandom),
    };
    let refused = Journal::open(options, 0, &mut |_| Err("it says something new".to_owned())).unwrap_err();
    assert!(refused.to_string().contains("it says something new"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// Whatever was appended, in whatever groups and with whatever restarts between, is there.
    #[test]
    fn any_sequence_survives(
        groups in proptest::collection::vec((1..20_usize, 0..30_000_usize, any::<bool>()), 1..16)
    ) {
        let folder = tempfile::tempdir().unwrap();
        let (mut journal, _) = open(folder.path());
        let mut written = Vec::new();
        for (count, len, restarts) in groups {
            let (records, _) = fill(&mut journal, 1, count, len);
            written.extend(records);
            if restarts {
                drop(journal);
                let (reopened, records) = open(folder.path());
                prop_assert_eq!(&records, &written);
                journal = reopened;
            }
        }
        drop(journal);
        prop_assert_eq!(open(folder.path()).1, written);
    }
}
