//! What a command reports, for people or as one JSON document; and the only place that writes to the terminal.
//!
//! Texts of other people (names, notes) go through [`sealpost_client::text`] first, so that they cannot steer a terminal or pass for
//! lines of ours.

use std::io::Write as _;

use sealpost_client::verify::Accepted;
use sealpost_client::{text, time};
use serde_json::{Map, Value, json};

use crate::exit::Exit;

/// Version of the JSON documents.
const SCHEMA: u8 = 1;

/// What a command reports.
#[derive(Debug)]
pub(crate) struct Report {
    /// For people: lines.
    pub(crate) text: String,
    /// For programs: the members of the document beside `schema`.
    pub(crate) json: Map<String, Value>,
    /// How it ended.
    pub(crate) exit: Exit,
}

impl Report {
    /// A report of success; `json` must be an object.
    pub(crate) fn done(text: String, json: Value) -> Self {
        Self {
            text,
            json: members(json),
            exit: Exit::Ok,
        }
    }
}

/// The members of an object.
pub(crate) fn members(json: Value) -> Map<String, Value> {
    match json {
        Value::Object(map) => map,
        other => Map::from_iter([("value".to_owned(), other)]),
    }
}

/// Shows what is known so far of a command that reports piece by piece: a line for people, or one JSON document on a line of its own.
pub(crate) fn piece(text: &str, json: Map<String, Value>, as_json: bool) {
    if as_json {
        write_document(json);
    } else {
        write_out(text);
    }
}

/// Shows a report.
pub(crate) fn report(report: &Report, json: bool) -> Exit {
    if json {
        write_document(report.json.clone());
    } else {
        write_out(&report.text);
    }
    report.exit
}

/// Says that the user stopped it, and what it left.
pub(crate) fn interrupted(left: &str, json: bool) -> Exit {
    fail(Exit::Interrupted, left, json)
}

/// Shows why a command failed.
pub(crate) fn fail(exit: Exit, message: &str, json: bool) -> Exit {
    if json {
        let error = error_json(exit, message);
        write_document(Map::from_iter([("error".to_owned(), error)]));
    }
    note(&format!("sealpost: {}", text::line(message)));
    exit
}

/// An error as it stands in JSON documents.
pub(crate) fn error_json(exit: Exit, message: &str) -> Value {
    json!({"kind": exit.name(), "code": exit.code(), "message": message})
}

/// Says something to the person at the terminal, on standard error.
pub(crate) fn note(text: &str) {
    // Nobody to tell is no reason to fail.
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Shows something that happened while a command goes on: a line of text, on standard error if somebody should act, or an object.
pub(crate) fn event(text: &str, members: Map<String, Value>, is_error: bool, json: bool) {
    match (json, is_error) {
        (true, _) => write_document(members),
        (false, true) => note(text),
        (false, false) => write_out(text),
    }
}

fn write_document(members: Map<String, Value>) {
    let mut document = Map::from_iter([("schema".to_owned(), Value::from(SCHEMA))]);
    document.extend(members);
    write_out(&text::json(&Value::Object(document).to_string()));
}

fn write_out(text: &str) {
    let mut out = std::io::stdout().lock();
    // A reader that closed the pipe has what it wanted.
    let _ = writeln!(out, "{}", text.trim_end_matches('\n')).and_then(|()| out.flush());
}

/// When the gateway accepted a transfer and how that differs from the sender's time, where it differs much; else nothing.
pub(crate) fn accepted(accepted: &Accepted, sealed_at: u64) -> String {
    let lateness = accepted.lateness(sealed_at);
    lateness.map_or(String::new(), |lateness| {
        format!("  accepted {} ({})", time::local(accepted.time), lateness.word())
    })
}

/// Bytes for people.
pub(crate) fn bytes(count: u64) -> String {
    let unit = |shift: u32, name: &str| {
        let tenths = (u128::from(count) * 10) >> shift;
        match tenths % 10 {
            0 => format!("{} {name}", tenths / 10),
            rest => format!("{}.{rest} {name}", tenths / 10),
        }
    };
    match count {
        0..1024 => format!("{count} B"),
        1024..1_048_576 => unit(10, "KiB"),
        1_048_576..1_073_741_824 => unit(20, "MiB"),
        _ => unit(30, "GiB"),
    }
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        for (number, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1536, "1.5 KiB"),
            (1 << 20, "1 MiB"),
            (5 << 30, "5 GiB"),
        ] {
            assert_eq!(bytes(number), text);
        }
        assert_eq!(count(1, "file"), "1 file");
        assert_eq!(count(2, "file"), "2 files");
    }
}
