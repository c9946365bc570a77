use std::fs;

use super::*;
use crate::faults::dice::Dice;

/// A trace of calls on `/d`, whose file `a` holds `old` and is durable, as it is after the calls.
struct Played {
    folder: tempfile::TempDir,
    disk: Disk,
}

impl Played {
    fn after(lines: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let before = folder.path().join("before");
        fs::create_dir_all(&before).unwrap();
        fs::write(before.join("a"), b"old").unwrap();
        let text: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| {
                format!(
                    "{} 100.{:06} {}\n",
                    line.split_once('|').unwrap().0,
                    n * 10,
                    hexed(line.split_once('|').unwrap().1)
                )
            })
            .collect();
        let trace = Trace::parse(&text.concat()).unwrap();
        let mut disk = Disk::seen_as(&[PathBuf::from("/d")], &[before]).unwrap();
        for (index, event) in trace.events.iter().enumerate() {
            disk.replay(&trace, index, event).unwrap();
        }
        Self { folder, disk }
    }

    /// Every different state that many cuts leave: names with their bytes.
    fn outcomes(&self) -> Vec<Vec<(String, Vec<u8>)>> {
        let mut dice = Dice::new(1);
        let mut seen = std::collections::BTreeSet::new();
        for n in 0..400 {
            let target = self.folder.path().join(format!("cut-{n}"));
            let survival = Survival::draw(&mut dice);
            self.disk
                .cut(std::slice::from_ref(&target), survival, &mut dice)
                .unwrap();
            let mut files: Vec<_> = fs::read_dir(&target)
                .unwrap()
                .map(|entry| entry.unwrap())
                .map(|entry| {
                    (
                        entry.file_name().into_string().unwrap(),
                        fs::read(entry.path()).unwrap(),
                    )
                })
                .collect();
            files.sort();
            seen.insert(files);
            fs::remove_dir_all(&target).unwrap();
        }
        seen.into_iter().collect()
    }
}

/// Texts in quotes as the tracer writes them.
fn hexed(line: &str) -> String {
    let pieces = line.split('"').enumerate().map(|(n, piece)| match n % 2 {
        0 => piece.to_owned(),
        _ => format!(
            "\"{}\"",
            piece.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>()
        ),
    });
    pieces.collect()
}

fn files(list: &[(&str, &str)]) -> Vec<(String, Vec<u8>)> {
    list.iter()
        .map(|(name, bytes)| ((*name).to_owned(), bytes.as_bytes().to_vec()))
        .collect()
}

#[test]
fn an_unsynced_write_is_there_or_not_and_a_synced_one_is_there() {
    let open = "1|openat(AT_FDCWD, \"/d/a\", O_RDWR) = 3 <0.000001>";
    let write = "1|pwrite64(3, \"new\", 3, 0) = 3 <0.000001>";
    let played = Played::after(&[open, write]);
    assert_eq!(played.outcomes(), [files(&[("a", "new")]), files(&[("a", "old")])]);
    for sync in ["1|fsync(3) = 0 <0.000001>", "1|fdatasync(3) = 0 <0.000001>"] {
        let played = Played::after(&[open, write, sync]);
        assert_eq!(played.outcomes(), [files(&[("a", "new")])]);
        assert!(!played.disk.is_dirty());
    }
    for nothing in [
        "1|sync_file_range(3, 0, 3, SYNC_FILE_RANGE_WRITE) = 0 <0.000001>",
        "1|fsync(3) = -1 EIO (Input/output error) <0.000001>",
        "1|fsync(3 <unfinished ...>",
    ] {
        assert_eq!(Played::after(&[open, write, nothing]).outcomes().len(), 2, "{nothing}");
    }
}

#[test]
fn a_sync_that_was_entered_before_a_write_was_left_does_not_cover_it() {
    let played = Played::after(&[
        "1|openat(AT_FDCWD, \"/d/a\", O_RDWR) = 3 <0.000001>",
        "1|pwrite64(3, \"new\", 3, 0 <unfinished ...>",
        "2|fsync(3 <unfinished ...>",
        "1|<... pwrite64 resumed>) = 3 <0.000001>",
        "2|<... fsync resumed>) = 0 <0.000001>",
    ]);
    assert_eq!(played.outcomes().len(), 2);
}

#[test]
fn a_name_needs_a_sync_of_its_folder() {
    let make = [
        "1|openat(AT_FDCWD, \"/d/t\", O_RDWR|O_CREAT|O_EXCL, 0600) = 3 <0.000001>",
        "1|write(3, \"ne\", 2) = 2 <0.000001>",
        "1|write(3, \"w\", 1) = 1 <0.000001>",
        "1|fsync(3) = 0 <0.000001>",
        "1|rename(\"/d/t\", \"/d/a\") = 0 <0.000001>",
    ];
    let outcomes = Played::after(&make).outcomes();
    let (old, new) = (files(&[("a", "old")]), files(&[("a", "new")]));
    assert!(outcomes.contains(&old) && outcomes.contains(&new), "{outcomes:?}");
    let is_whole = |names: &Vec<(String, Vec<u8>)>| {
        names
            .iter()
            .any(|(name, bytes)| name == "a" && (bytes == b"old" || bytes == b"new"))
    };
    assert!(
        outcomes.iter().all(is_whole),
        "a rename replaces a name whole: {outcomes:?}"
    );
    let sync = [
        "1|openat(AT_FDCWD, \"/d\", O_RDONLY) = 4 <0.000001>",
        "1|fsync(4) = 0 <0.000001>",
    ];
    assert_eq!(Played::after(&[&make[..], &sync].concat()).outcomes(), [new]);
}

#[test]
fn lengths_are_old_or_new_and_what_was_cut_off_stays_away() {
    let open = "1|openat(AT_FDCWD, \"/d/a\", O_RDWR) = 3 <0.000001>";
    let outcomes = Played::after(&[open, "1|fallocate(3, 0, 0, 6) = 0 <0.000001>"]).outcomes();
    assert_eq!(outcomes, [files(&[("a", "old")]), files(&[("a", "old\0\0\0")])]);
    let again = [
        open,
        "1|ftruncate(3, 1) = 0 <0.000001>",
        "1|fsync(3) = 0 <0.000001>",
        "1|ftruncate(3, 3) = 0 <0.000001>",
        "1|fsync(3) = 0 <0.000001>",
    ];
    assert_eq!(Played::after(&again).outcomes(), [files(&[("a", "o\0\0")])]);
}

#[test]
fn calls_that_are_not_in_the_model_are_refused_on_our_files() {
    let text = "1 100.0 openat(AT_FDCWD, \"\\x2f\\x64\\x2f\\x61\", O_RDWR) = 3 <0.000001>\n\
                1 100.1 copy_file_range(3, NULL, 9, NULL, 5, 0) = 5 <0.000001>\n";
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), b"old").unwrap();
    let trace = Trace::parse(text).unwrap();
    let mut disk = Disk::seen_as(&[PathBuf::from("/d")], &[folder.path().to_path_buf()]).unwrap();
    let mut results = trace
        .events
        .iter()
        .enumerate()
        .map(|(index, event)| disk.replay(&trace, index, event));
    assert!(results.any(|result| result.is_err()));
}
