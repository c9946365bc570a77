//! Documents name only tests and files that are there.

use std::fs;
use std::path::Path;

use super::{files_below, workspace};

#[test]
fn the_tests_that_architecture_names_exist() {
    let text = fs::read_to_string(workspace().join("docs/ARCHITECTURE.md")).expect("the document");
    let folder = workspace().join("tests/tests/end_to_end");
    let quoted = text.split('`').skip(1).step_by(2);
    let named: Vec<(&str, &str)> = quoted.filter_map(|word| word.split_once("::")).collect();
    let mut seen = 0;
    for (module, name) in named {
        let Ok(source) = fs::read_to_string(folder.join(format!("{module}.rs"))) else {
            continue;
        };
        assert!(source.contains(&format!("fn {name}(")), "{module}::{name} is not there");
        seen += 1;
    }
    assert!(seen > 10, "only {seen} tests are named");
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
