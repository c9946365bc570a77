//! Every use case of the gateway that takes a grant asks first whether the grant is for it: a route with the wrong action must
//! do nothing.

use super::{files_below, workspace};

/// Public use cases in `source` whose first statement does not ask.
fn unasked(source: &str) -> Vec<String> {
    let mut complaints = Vec::new();
    for function in source.split("pub async fn ").skip(1) {
        let Some((signature, body)) = function.split_once("{\n") else {
            continue;
        };
        let asks = body.trim_start().starts_with("grant.for_action(");
        if signature.contains("&Grant") && !asks {
            complaints.push(signature.split('(').next().unwrap_or_default().to_owned());
        }
    }
    complaints
}

#[test]
fn every_use_case_asks_what_its_grant_is_for() {
    let mut asked = 0;
    for path in files_below(&workspace().join("gateway/src/service")) {
        let source = std::fs::read_to_string(&path).expect("a readable source");
        assert_eq!(unasked(&source), Vec::<String>::new(), "{}", path.display());
        asked += source.matches("grant.for_action(").count();
    }
    assert!(asked > 15, "the use cases are looked for in the wrong place");
}

#[test]
fn a_use_case_that_does_not_ask_is_found() {
    let source = "pub async fn open(&self, grant: &Grant) -> Result<(), Error> {\n    let by = grant.requester();\n}";
    assert_eq!(unasked(source), ["open"]);
}
