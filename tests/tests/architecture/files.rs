//! What no file of the project may hold, and how long a source may be.

use super::{files_below, workspace};

/// Longest source file in lines.
const LONGEST: usize = 500;

/// Longest file of tests in lines.
const LONGEST_OF_TESTS: usize = 700;

#[test]
fn no_file_names_a_folder_of_somebodys_machine() {
    // Put together here, so that this file does not hold them.
    let forbidden = [
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/hom", "e/runner"),
        concat!("C:\\", "Users\\"),
    ];
    let mut complaints = Vec::new();
    for path in files_below(&workspace()) {
        let Ok(text) = std::fs::read_to_string(&path) else {
            continue;
        };
        for (number, line) in text.lines().enumerate() {
            let names = |folder: &&&str| line.match_indices(**folder).any(|(at, _)| !continues_a_word(line, at));
            if let Some(folder) = forbidden.iter().find(names) {
                complaints.push(format!("{}:{}: {folder}", path.display(), number + 1));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

fn continues_a_word(line: &str, at: usize) -> bool {
    line[..at]
        .chars()
        .next_back()
        .is_some_and(|before| before.is_alphanumeric() || "._-}".contains(before))
}

#[test]
fn sources_are_short_and_say_what_they_are() {
    let mut complaints = Vec::new();
    for room in [
        "proto/src",
        "gateway/src",
        "client/src",
        "client/sealed/src",
        "tests",
        "benches",
        "xtask/src",
    ] {
        for path in files_below(&workspace().join(room)) {
            if path.extension().is_none_or(|end| end != "rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).expect("a source in UTF-8");
            let tests_of_a_module = path.ends_with("tests.rs");
            let is_of_tests = tests_of_a_module || path.iter().any(|part| part == "tests");
            let longest = if is_of_tests { LONGEST_OF_TESTS } else { LONGEST };
            if text.lines().count() > longest {
                complaints.push(format!("{}: more than {longest} lines", path.display()));
            }
            if !tests_of_a_module && !text.starts_with("//!") {
                complaints.push(format!("{}: does not open with `//!`", path.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
