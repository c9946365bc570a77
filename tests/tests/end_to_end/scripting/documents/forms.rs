//! The forms of docs/json.md, and how a document is compared with one.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

/// Pages of docs/json.md about commands begin with this.
const COMMAND: &str = "`sealpost ";

/// All forms, by heading in small letters.
pub(super) struct Forms {
    forms: BTreeMap<String, Node>,
    seen: BTreeSet<String>,
}

/// A member, or a whole document.
#[derive(Default, Debug, Clone)]
struct Node {
    is_optional: bool,
    is_list: bool,
    /// As the page says; empty where only its members stand there.
    kind: String,
    members: BTreeMap<String, Node>,
}

impl Forms {
    /// Reads the tables of the page.
    pub(super) fn read(page: &str) -> Self {
        let mut forms: BTreeMap<String, Node> = BTreeMap::new();
        let mut heading = String::new();
        for line in page.lines() {
            if let Some(title) = line.strip_prefix("## ") {
                heading = title.to_lowercase();
            }
            let cells: Vec<&str> = line.split(" | ").map(|cell| cell.trim_matches(['|', ' '])).collect();
            let Some(path) = cells[0].strip_prefix('`').and_then(|cell| cell.strip_suffix('`')) else {
                continue;
            };
            assert!(cells.len() >= 2, "a row without a type: {line}");
            let form = forms.entry(heading.clone()).or_default();
            form.add(path, cells[1]);
        }
        Self {
            forms,
            seen: BTreeSet::new(),
        }
    }

    /// Commands no document of which was compared.
    pub(super) fn unseen(&self) -> Vec<&String> {
        let commands = self.forms.keys().filter(|name| name.starts_with(COMMAND));
        commands.filter(|name| !self.seen.contains(*name)).collect()
    }

    /// Compares a document of a command with its form, and with the form of all documents.
    pub(super) fn check(&mut self, command: &str, document: &Value) {
        let heading = format!("{COMMAND}{command}`");
        let form = self
            .forms
            .get(&heading)
            .unwrap_or_else(|| panic!("no form of {heading}"));
        let mut document = document.clone();
        let members = document.as_object_mut().expect("an object");
        assert_eq!(members.remove("schema"), Some(Value::from(1)), "{command}");
        if members.len() == 1 && members.contains_key("error") && !form.members.contains_key("error") {
            let error = self.forms.get("error").expect("a form");
            return self.compare(error, &members["error"], "error");
        }
        self.compare(form, &document, command);
        self.seen.insert(heading);
    }

    fn compare(&self, node: &Node, value: &Value, at: &str) {
        if let Some(referred) = reference(&node.kind).filter(|_| !value.is_null()) {
            let form = self
                .forms
                .get(&referred)
                .unwrap_or_else(|| panic!("no form {referred}"));
            return self.compare(form, value, at);
        }
        match value {
            Value::Object(members) => {
                if node.kind.starts_with("leaf") || node.kind.starts_with("manifest") {
                    return;
                }
                for (name, value) in members {
                    let member = node.members.get(name);
                    let member = member.unwrap_or_else(|| panic!("{at}.{name} is not listed: {value}"));
                    self.compare_member(member, value, &format!("{at}.{name}"));
                }
                let missing = node
                    .members
                    .iter()
                    .find(|(name, member)| !member.is_optional && !members.contains_key(*name));
                assert!(missing.is_none(), "{at} has no {missing:?}");
            }
            Value::Null => {
                let may = node.kind.is_empty() || node.kind.contains("null");
                assert!(may, "{at} is null, and is {} on the page", node.kind);
            }
            Value::String(_) => assert!(node.kind.starts_with("text"), "{at} is a text"),
            Value::Bool(_) => assert!(node.kind.starts_with("true"), "{at} is true or false"),
            Value::Number(_) => {
                assert!(
                    node.kind.starts_with("number") || node.kind.starts_with("time"),
                    "{at} is a number"
                );
            }
            Value::Array(items) => {
                assert!(node.kind.starts_with("list of text"), "{at} is a list");
                assert!(items.iter().all(Value::is_string), "{at} is a list of texts");
            }
        }
    }

    fn compare_member(&self, member: &Node, value: &Value, at: &str) {
        if !member.is_list {
            return self.compare(member, value, at);
        }
        let items = value.as_array().unwrap_or_else(|| panic!("{at} is no list"));
        for item in items {
            self.compare(member, item, &format!("{at}[]"));
        }
    }
}

impl Node {
    /// Adds `a?.b[].c` with its type.
    fn add(&mut self, path: &str, kind: &str) {
        let mut node = self;
        for part in path.split('.') {
            let (part, is_list) = part.strip_suffix("[]").map_or((part, false), |part| (part, true));
            let (name, is_optional) = part.strip_suffix('?').map_or((part, false), |name| (name, true));
            node = node.members.entry(name.to_owned()).or_default();
            node.is_list |= is_list;
            node.is_optional |= is_optional;
        }
        kind.clone_into(&mut node.kind);
    }
}

/// The form that a type of the page names: `[recipient](#recipient)`.
fn reference(kind: &str) -> Option<String> {
    let name = kind.strip_prefix('[')?.split_once("](#")?.0;
    Some(name.to_lowercase())
}
