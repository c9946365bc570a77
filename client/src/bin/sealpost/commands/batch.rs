//! `send --batch`: a file of JSON lines, each a transfer; a line is answered for each, in their order.
//!
//! All lines are read and checked before anything is sent. What is wrong with a line is said without its values: they may be health data.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use sealpost_client::send::{self, Done, Draft, Input, Item};
use sealpost_client::{Error, Session, platform, text};
use sealpost_proto::api::PublicLabel;
use sealpost_proto::id::Address;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

use super::send::{Told, patient, would_send};
use crate::cli::values;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Report, error_json, members, piece};
use crate::purpose;

/// Longest file of lines.
const MAX_BATCH: u64 = 64 << 20;
/// Bad lines that are told at once.
const MAX_TOLD: usize = 5;
const DEFAULT_LIFETIME: &str = "7d";
const DEFAULT_PURPOSE: &str = "TREAT";

pub(super) async fn run(context: &Context, file: &Path, stop_on_error: bool, is_dry: bool) -> Result<Report, Error> {
    let session = context.session()?;
    let lines = read(file)?;
    let mut shown = Shown::new(context.json, &lines);
    let items = lines.into_iter().map(|line| line.item);
    if is_dry {
        check(session, items, &mut shown).await?;
    } else {
        let told = |number, done| shown.done(number, done);
        send::batch(session, items.collect(), stop_on_error, told).await?;
    }
    Ok(shown.report(is_dry))
}

async fn check(mut session: Session, items: impl Iterator<Item = Item>, shown: &mut Shown) -> Result<(), Error> {
    session.update_and_check().await?;
    for (number, item) in items.enumerate() {
        let would = would_send(&session, item.once.as_deref(), item.draft).await;
        shown.would(number, would);
    }
    Ok(())
}

/// A line that can be sent.
struct Line {
    /// From 1.
    number: usize,
    item: Item,
}

/// All lines, or what is wrong with the first bad ones.
fn read(file: &Path) -> Result<Vec<Line>, Error> {
    let failed = |error| Error::file("read", file, error);
    let bytes = if file == Path::new("-") {
        let mut bytes = Vec::new();
        let mut stdin = std::io::stdin().lock().take(MAX_BATCH + 1);
        stdin.read_to_end(&mut bytes).map_err(failed)?;
        bytes
    } else {
        platform::read_limited(file, MAX_BATCH).map_err(failed)?
    };
    if bytes.len() as u64 > MAX_BATCH {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    let text = String::from_utf8(bytes);
    let text = text.map_err(|_| Error::Input("The batch is not a text in UTF-8; nothing was sent.".to_owned()))?;
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let item = item(line).and_then(|item| {
            let earlier = item.once.clone().and_then(|key| keys.insert(key, number));
            earlier.map_or(Ok(item), |earlier| Err(format!("it has the key of line {earlier}")))
        });
        match item {
            Ok(item) => lines.push(Line { number, item }),
            Err(why) => wrong.push(format!("line {number}: {why}")),
        }
    }
    if wrong.is_empty() && !lines.is_empty() {
        return Ok(lines);
    }
    let more = wrong.len().saturating_sub(MAX_TOLD);
    wrong.truncate(MAX_TOLD);
    let why = match (wrong.is_empty(), more) {
        (true, _) => "it has no line".to_owned(),
        (false, 0) => wrong.join("; "),
        (false, more) => format!("{}; and {more} more", wrong.join("; ")),
    };
    Err(Error::Input(format!(
        "The batch cannot be used ({why}); nothing was sent."
    )))
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<OneOrMany> for Vec<String> {
    fn from(given: OneOrMany) -> Self {
        match given {
            OneOrMany::One(one) => vec![one],
            OneOrMany::Many(many) => many,
        }
    }
}

/// What a line says, or what is wrong with it.
fn item(line: &str) -> Result<Item, String> {
    let value: Value =
        serde_json::from_str(line).map_err(|error| format!("it is not JSON at column {}", error.column()))?;
    let Value::Object(mut line) = value else {
        return Err("it is not a JSON object".to_owned());
    };
    let to = many(&mut line, "to")?;
    let recipients: Result<Vec<Address>, String> = to.iter().map(|to| values::address(to)).collect();
    let paths = many(&mut line, "paths")?;
    let note: Option<String> = member(&mut line, "note")?;
    let subject: Option<String> = member(&mut line, "subject")?;
    let patients = many(&mut line, "patient")?;
    let purpose: Option<String> = member(&mut line, "purpose")?;
    let expires: Option<String> = member(&mut line, "expires")?;
    let openings: Option<u32> = member(&mut line, "openings")?;
    let public_label: Option<PublicLabel> = member(&mut line, "label")?;
    let no_forward: Option<bool> = member(&mut line, "no_forward")?;
    let once: Option<String> = member(&mut line, "once")?;
    if let Some(unknown) = line.keys().next() {
        let shown: String = text::line(unknown).chars().take(40).collect();
        return Err(format!("it has a member that is not known: `{shown}`"));
    }
    if openings == Some(0) {
        return Err("`openings` is at least 1".to_owned());
    }
    let input = input(&paths)?;
    let note = note.filter(|note| !note.trim().is_empty());
    if input.files.is_empty() && note.is_none() {
        return Err("there is nothing to send: no file, and no `note`".to_owned());
    }
    let draft = Draft {
        input,
        recipients: recipients?,
        subject,
        note,
        patients: patients.iter().map(|one| patient(one.trim())).collect(),
        purpose: purpose::parse(purpose.as_deref().unwrap_or(DEFAULT_PURPOSE))
            .map_err(|why| format!("`purpose`: {why}"))?,
        lifetime: values::lifetime(expires.as_deref().unwrap_or(DEFAULT_LIFETIME))
            .map_err(|why| format!("`expires`: {why}"))?,
        openings,
        public_label,
        no_forward: no_forward.unwrap_or(false),
        link: None,
        reply_to: None,
    };
    if draft.recipients.is_empty() {
        return Err("`to` names nobody".to_owned());
    }
    Ok(Item { draft, once })
}

fn member<T: DeserializeOwned>(line: &mut Map<String, Value>, name: &str) -> Result<Option<T>, String> {
    let value = line.remove(name).filter(|value| !value.is_null());
    let read = value.map(serde_json::from_value).transpose();
    read.map_err(|_| format!("`{name}` has a value that cannot be used"))
}

fn many(line: &mut Map<String, Value>, name: &str) -> Result<Vec<String>, String> {
    Ok(member::<OneOrMany>(line, name)?.map(Vec::from).unwrap_or_default())
}

fn input(paths: &[String]) -> Result<Input, String> {
    let mut input = Input::default();
    for path in paths {
        if path == "-" {
            return Err("the standard input cannot be sent by a batch".to_owned());
        }
        input.add(&PathBuf::from(path)).map_err(|error| error.to_string())?;
    }
    Ok(input)
}

/// What is told of a line beside the transfer.
struct Named {
    line: usize,
    once: Option<String>,
    told: Told,
}

/// What has been told.
struct Shown {
    as_json: bool,
    lines: Vec<Named>,
    sent: usize,
    already: usize,
    failed: usize,
    not_begun: usize,
    first_failure: Option<Exit>,
}

impl Shown {
    fn new(as_json: bool, lines: &[Line]) -> Self {
        let named = |line: &Line| Named {
            line: line.number,
            once: line.item.once.clone(),
            told: Told::of(&line.item.draft),
        };
        Self {
            as_json,
            lines: lines.iter().map(named).collect(),
            sent: 0,
            already: 0,
            failed: 0,
            not_begun: 0,
            first_failure: None,
        }
    }

    fn done(&mut self, number: usize, done: Done) {
        match done {
            Done::Sent { sent, was_sent } => {
                self.count(was_sent);
                let Some(named) = self.lines.get(number) else { return };
                let text = named.told.line(&sent, was_sent);
                self.piece(number, &text, named.told.json(&sent, None, was_sent));
            }
            Done::Failed(error) => self.failure(number, &error),
            Done::NotBegun => {
                self.not_begun += 1;
                self.piece(number, "not begun", json!({"not_begun": true}));
            }
        }
    }

    fn would(&mut self, number: usize, would: Result<super::send::Would, Error>) {
        match would {
            Ok(would) => {
                self.count(would.before.is_some());
                let Some(named) = self.lines.get(number) else { return };
                let text = match &would.before {
                    Some(sent) => named.told.line(sent, true),
                    None => named.told.would_text(&would.checked),
                };
                self.piece(number, &text, named.told.would_json(&would));
            }
            Err(error) => self.failure(number, &error),
        }
    }

    fn count(&mut self, was_sent: bool) {
        if was_sent {
            self.already += 1;
        } else {
            self.sent += 1;
        }
    }

    fn failure(&mut self, number: usize, error: &Error) {
        let exit = Exit::from(error);
        self.failed += 1;
        self.first_failure.get_or_insert(exit);
        let message = error.to_string();
        let text = format!("FAILED: {}", text::line(&message));
        self.piece(number, &text, json!({"error": error_json(exit, &message)}));
    }

    fn piece(&self, number: usize, what: &str, json: Value) {
        let Some(named) = self.lines.get(number) else { return };
        let mut json = members(json);
        json.insert("line".to_owned(), json!(named.line));
        json.insert("once".to_owned(), json!(named.once));
        piece(&format!("line {}  {what}", named.line), json, self.as_json);
    }

    fn report(self, is_dry: bool) -> Report {
        let verb = if is_dry { "would be sent" } else { "sent" };
        let text = format!(
            "{} {verb}, {} sent before, {} failed, {} not begun",
            self.sent, self.already, self.failed, self.not_begun
        );
        let json = json!({
            "dry_run": is_dry,
            "sent": self.sent,
            "already": self.already,
            "failed": self.failed,
            "not_begun": self.not_begun,
        });
        let report = Report::done(text, json!({"summary": json}));
        Report {
            exit: self.first_failure.unwrap_or(Exit::Ok),
            ..report
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(line: &str) -> String {
        item(line).map(drop).unwrap_err()
    }

    #[test]
    fn a_line_is_read_with_the_defaults_of_the_command() {
        let read = item(r#"{"to":"A@b.example","note":"hello","patient":["s|1","2"],"once":"k"}"#).unwrap();
        assert_eq!(read.draft.recipients, ["a@b.example".parse().unwrap()]);
        assert_eq!(
            (read.draft.purpose.as_str(), read.draft.lifetime),
            ("TREAT", 7 * 86_400)
        );
        assert_eq!(read.draft.patients.len(), 2);
        assert_eq!(read.once.as_deref(), Some("k"));
        let line = r#"{"to":["a@b"],"note":"x","expires":"2h","purpose":"payment","label":"claims","openings":2,"no_forward":true}"#;
        let read = item(line).unwrap().draft;
        assert_eq!((read.lifetime, read.purpose.as_str()), (7_200, "HPAYMT"));
        assert_eq!((read.openings, read.no_forward), (Some(2), true));
        assert_eq!(read.public_label, Some(PublicLabel::Claims));
    }

    #[test]
    fn a_bad_line_is_refused_without_its_values() {
        for (line, why) in [
            ("{", "not JSON"),
            ("[]", "not a JSON object"),
            (r#"{"to":"a@b","note":"x","colour":"Smith"}"#, "`colour`"),
            (r#"{"to":"a@b","note":{"Smith":1}}"#, "`note`"),
            (r#"{"to":"a@b","note":"x","openings":"Smith"}"#, "`openings`"),
            (r#"{"to":"a@b","note":"x","openings":0}"#, "at least 1"),
            (r#"{"to":"a@b","note":"x","label":"Smith"}"#, "`label`"),
            (r#"{"to":"a@b","note":"x","expires":"Smith"}"#, "`expires`"),
            (r#"{"to":"a@b"}"#, "nothing to send"),
            (r#"{"note":"x"}"#, "`to` names nobody"),
            (r#"{"to":"a@b","paths":"-"}"#, "standard input"),
            (r#"{"to":"a@b","paths":"no/such/file"}"#, "no/such/file"),
        ] {
            let told = refused(line);
            assert!(told.contains(why) && !told.contains("Smith"), "{line}: {told}");
        }
    }
}
