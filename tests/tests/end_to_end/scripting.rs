//! For scripts: sending once under a key, waiting for receipts, batches, dry runs, proxies, and documents that keep their form.

mod batches;
mod documents;
mod once;
mod proxies;
mod waiting;

use std::process::{Child, Stdio};

use sealpost_tests::person::{Person, Run, Words, finish};
use serde_json::Value;

use crate::support::{ask, run};

/// Exit codes of docs/cli.md.
const USAGE: i32 = 2;
const UNREACHABLE: i32 = 3;
const WRONG_GATEWAY: i32 = 4;
const NOT_VALID: i32 = 5;
const OVER: i32 = 7;
const REFUSED: i32 = 8;
const FILE: i32 = 9;
const RECIPIENT: i32 = 11;
const TIMED_OUT: i32 = 18;

/// A command that has been started with `--json` and not awaited.
fn start(person: &Person, words: &Words<'_>) -> Child {
    let mut command = person.command(words);
    command.arg("--json").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("a process")
}

/// Exit code and document of a command that was started.
fn end(child: Child) -> (i32, Value) {
    let output = child.wait_with_output().expect("its end");
    let document = serde_json::from_slice(&output.stdout);
    let document = document.unwrap_or_else(|_| panic!("no JSON: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap_or(-1), document)
}

/// Runs a command with `--json`, whatever becomes of it; its documents, one a line.
fn lines(person: &Person, words: &Words<'_>, input: &[u8]) -> (i32, Vec<Value>) {
    // Before all others: behind `--` it would be another program's.
    let mut all: Vec<&dyn AsRef<std::ffi::OsStr>> = vec![&"--json"];
    all.extend(words);
    let run: Run = finish(person.command(&all), input).expect("a run");
    let lines = String::from_utf8(run.stdout).expect("text");
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON document on each line"));
    (run.code, lines.collect())
}

/// What has been sent to a person, by the notes or names of nothing: ids alone.
fn inbox(person: &Person) -> Vec<String> {
    let inbox = ask(person, &[&"inbox", &"--limit", &"1000"]);
    let transfers = inbox.pointer("/transfers").and_then(Value::as_array).expect("a list");
    let id = |one: &Value| one["transfer"].as_str().expect("an id").to_owned();
    transfers.iter().map(id).collect()
}

/// Exit code and what it said on standard error.
fn refused(person: &Person, words: &Words<'_>) -> (i32, String) {
    let run = run(person, words);
    (run.code, run.stderr)
}
