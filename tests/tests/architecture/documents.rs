//! Documents name only tests and files that are there.

use std::fs;
use std::path::Path;

use super::{files_below, workspace};

#[test]
fn the_tests_and_paths_that_architecture_names_exist() {
    let text = fs::read_to_string(workspace().join("docs/ARCHITECTURE.md")).expect("the document");
    let words = || text.split('`').skip(1).step_by(2);
    let tests: Vec<(&str, &str)> = words().filter_map(test_in).collect();
    for (module, name) in &tests {
        assert!(is_a_test(module, name), "{module}::{name} is not there");
    }
    let paths: Vec<&str> = words().filter(|word| is_path(word)).collect();
    for path in &paths {
        assert!(workspace().join(path).exists(), "{path} is not there");
    }
    assert!(tests.len() > 10 && paths.len() > 5, "{tests:?} {paths:?}");
    assert!(!is_a_test("secrecy", "the_gateway_reads_everything"));
}

/// The module and the name of a test; what stands in a room of the gateway is none.
fn test_in(word: &str) -> Option<(&str, &str)> {
    let (module, name) = word.split_once("::")?;
    let is_a_room = workspace().join("gateway/src").join(module).exists();
    (!is_a_room).then_some((module, name))
}

/// A function in a module of the end-to-end tests, or a whole module of `tests/tests`.
fn is_a_test(module: &str, name: &str) -> bool {
    let folder = workspace().join("tests/tests");
    if folder.join(module).join(name).with_extension("rs").exists() {
        return true;
    }
    let source = fs::read_to_string(folder.join("end_to_end").join(module).with_extension("rs"));
    source.is_ok_and(|source| source.contains(&format!("fn {name}(")))
}

/// A test in a module of a folder is none: `scripting/once::a_test`.
fn is_path(word: &str) -> bool {
    word.contains('/') && !word.contains("::") && !word.contains(|c: char| c.is_whitespace() || c == '*')
}

#[test]
fn links_between_documents_lead_somewhere() {
    let documents = files_below(&workspace())
        .into_iter()
        .filter(|path| path.extension().is_some_and(|end| end == "md"));
    let mut complaints = Vec::new();
    for document in documents {
        let text = fs::read_to_string(&document).expect("a document in UTF-8");
        for target in targets(&text) {
            let file = document
                .parent()
                .unwrap_or(Path::new(""))
                .join(target.split('#').next().unwrap_or_default());
            if !file.exists() {
                complaints.push(format!("{}: {target}", document.display()));
            }
        }
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

/// Targets of links that lead to files.
fn targets(text: &str) -> impl Iterator<Item = &str> {
    let after = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    after
        .map(|(target, _)| target)
        .filter(|target| !target.contains("://") && !target.starts_with('#'))
}
