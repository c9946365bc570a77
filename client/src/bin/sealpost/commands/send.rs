//! `send`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sealpost_client::link::{DEFAULT_OPENINGS, DrawnLink};
use sealpost_client::send::{self, Checked, Draft, Input, Sent};
use sealpost_client::wait::{self, Outcome};
use sealpost_client::{Error, Session, platform, text, time};
use sealpost_proto::api::TransferState;
use sealpost_proto::id::Address;
use sealpost_proto::sealed::MAX_NOTE_LEN;
use sealpost_sealed::Patient;
use serde_json::{Map, Value, json};

use super::link::ToldLink;
use super::{batch, status};
use crate::cli::{Send, Until};
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, bytes, count, members, note};
use crate::progress;
use crate::secrets::asking;

pub(super) async fn run(context: &Context, args: Send) -> Result<Report, Error> {
    if let Some(file) = &args.batch {
        return batch::run(context, file, args.stop_on_error, args.dry_run).await;
    }
    let mut session = context.session()?;
    let (once, wait, timeout, is_dry) = (args.once.clone(), args.wait, args.timeout, args.dry_run);
    let draft = draft(context, args)?;
    if is_dry {
        session.update_and_check().await?;
        return check(&session, once.as_deref(), draft).await;
    }
    let told = Told::of(&draft);
    let progress = progress::bar("sending", context.json);
    let (sent, was_sent) = match &once {
        Some(key) => send::once(&mut session, key, draft, progress).await?,
        None => (send::send(&mut session, draft, progress).await?, false),
    };
    let link = match &sent.link {
        Some(link) => Some(ToldLink::new(&session, link).await?),
        None => None,
    };
    let mut report = Report::done(
        told.text(context, &sent, link.as_ref(), was_sent),
        told.json(&sent, link.as_ref(), was_sent),
    );
    if wait == Some(Until::Verified) {
        waited(&mut session, &sent, timeout, &mut report).await?;
    }
    Ok(report)
}

/// Waits for the receipts, and adds to the report what came of it.
async fn waited(
    session: &mut Session,
    sent: &Sent,
    timeout: Option<Duration>,
    report: &mut Report,
) -> Result<(), Error> {
    note(&format!("Sealed as {}; waiting until it is verified.", sent.transfer));
    let waited = wait::verified(session, &sent.transfer, sent.expires_at, timeout).await?;
    let (exit, outcome, sentence) = told_outcome(waited.outcome);
    let people = People::load(session).await?;
    let recipients = waited.status.iter().flat_map(|status| &status.recipients);
    report.exit = exit;
    report.text.push_str(&format!("\n{sentence}"));
    for recipient in recipients.clone() {
        let name = people.name(&recipient.label);
        report
            .text
            .push_str(&format!("\n  {name:<40} {}", status::sentence(&recipient.delivery)));
        if let Some(doubt) = &recipient.doubt {
            report.text.push_str(&format!("\n    {}", text::line(doubt)));
        }
    }
    let recipients: Vec<Value> = recipients.map(|one| status::recipient_json(one, &people)).collect();
    let json = json!({"outcome": outcome, "recipients": recipients});
    report.json.insert("waited".to_owned(), json);
    Ok(())
}

fn told_outcome(outcome: Outcome) -> (Exit, &'static str, &'static str) {
    match outcome {
        Outcome::Verified => (Exit::Ok, "verified", "Verified by everybody."),
        Outcome::TimedOut => (
            Exit::TimedOut,
            "timed_out",
            "Not verified by everybody when the time ran out; the transfer stays.",
        ),
        Outcome::Rejected => (
            Exit::NotValid,
            "rejected",
            "REJECTED by a recipient's device: send it again.",
        ),
        Outcome::Doubtful => (
            Exit::NotValid,
            "doubtful",
            "What the gateway shows proves nothing: tell your administrator.",
        ),
        Outcome::Over(state) => {
            let name = match state {
                TransferState::Revoked => "revoked",
                TransferState::Used => "used",
                _ => "expired",
            };
            (Exit::Over, name, "It ended before everybody had it.")
        }
    }
}

/// Says what would be sent.
async fn check(session: &Session, once: Option<&str>, draft: Draft) -> Result<Report, Error> {
    let told = Told::of(&draft);
    let would = would_send(session, once, draft).await?;
    let text = match &would.before {
        Some(sent) => format!("Nothing would be sent: it was sent as {}.", sent.transfer),
        None => told.would_text(&would.checked),
    };
    Ok(Report::done(text, told.would_json(&would)))
}

/// What a dry run found.
pub(super) struct Would {
    pub(super) checked: Checked,
    /// It was sent under its key.
    pub(super) before: Option<Sent>,
}

pub(super) async fn would_send(session: &Session, once: Option<&str>, draft: Draft) -> Result<Would, Error> {
    let (draft, before) = match once {
        Some(key) => send::sent_under(session, key, draft).await?,
        None => (draft, None),
    };
    let checked = send::check(session, draft)?;
    Ok(Would { checked, before })
}

/// What is to be sent, which must be something.
fn draft(context: &Context, args: Send) -> Result<Draft, Error> {
    let note = text_or_file(args.note.as_ref(), args.note_file.as_deref())?.filter(|note| !note.trim().is_empty());
    let subject = text_or_file(args.subject.as_ref(), args.subject_file.as_deref())?;
    if args.paths.is_empty() && note.is_none() {
        return Err(Error::Input(
            "There is nothing to send: name a file or a folder, `-`, or a message that is not empty.".to_owned(),
        ));
    }
    let patients = patients(&args)?;
    let input = collect(context, &args)?;
    if input.files.is_empty() && note.is_none() {
        return Err(Error::Input(
            "There is nothing to send: what you named holds no file, and there is no message.".to_owned(),
        ));
    }
    let link = (args.link || args.link_secret).then(|| {
        let openings = args.openings.unwrap_or(DEFAULT_OPENINGS);
        DrawnLink::draw(usize::from(args.words), args.link_secret, openings, &context.env)
    });
    Ok(Draft {
        input,
        recipients: args.to,
        subject,
        note,
        patients,
        purpose: args.purpose,
        lifetime: args.expires,
        openings: args.openings,
        public_label: args.label.map(Into::into),
        no_forward: args.no_forward,
        link,
        reply_to: None,
    })
}

/// What is told of the files once they are sent.
pub(super) struct Told {
    files: usize,
    openings: Option<u32>,
    renamed: Vec<(PathBuf, String)>,
    skipped: Vec<PathBuf>,
}

impl Told {
    pub(super) fn of(draft: &Draft) -> Self {
        let renamed = draft.input.files.iter().filter(|file| file.is_renamed());
        Self {
            files: draft.input.files.len(),
            openings: draft.openings,
            renamed: renamed.map(|file| (file.path.clone(), file.name.clone())).collect(),
            skipped: draft.input.skipped.clone(),
        }
    }

    /// Files and bytes: `2 files (3 KiB)`.
    fn size(&self, total: u64) -> String {
        format!("{} ({})", count(self.files, "file"), bytes(total))
    }

    /// A line about one of many.
    pub(super) fn line(&self, sent: &Sent, was_sent: bool) -> String {
        let how = if was_sent { "sent before" } else { "sealed" };
        let to: Vec<String> = sent.recipients.iter().map(ToString::to_string).collect();
        format!(
            "{how} {}: {} for {}",
            sent.transfer,
            self.size(sent.total),
            to.join(", ")
        )
    }

    pub(super) fn would_text(&self, checked: &Checked) -> String {
        let mut to: Vec<String> = checked.recipients.iter().map(ToString::to_string).collect();
        if to.is_empty() {
            to.push("whoever has link and words".to_owned());
        }
        let mut text = format!(
            "Nothing was sent. All is in order: {} would be sealed for {}, until {}.",
            self.size(checked.total),
            to.join(", "),
            time::local(checked.expires_at)
        );
        self.add_names(&mut text);
        text
    }

    pub(super) fn would_json(&self, would: &Would) -> Value {
        let (checked, before) = (&would.checked, would.before.as_ref());
        let mut json = self.json_of(&checked.recipients, checked.total, checked.expires_at);
        json.insert("transfer".to_owned(), json!(before.map(|sent| sent.transfer)));
        json.insert("already".to_owned(), json!(before.is_some()));
        json.insert("dry_run".to_owned(), json!(true));
        Value::Object(json)
    }

    fn add_names(&self, text: &mut String) {
        for (path, name) in &self.renamed {
            text.push_str(&format!("\n  {} is called {}", shown(path), text::line(name)));
        }
        for path in &self.skipped {
            text.push_str(&format!("\n  left out: {} (a link or a special file)", shown(path)));
        }
    }

    fn text(&self, context: &Context, sent: &Sent, link: Option<&ToldLink>, was_sent: bool) -> String {
        let mut to: Vec<String> = sent.recipients.iter().map(ToString::to_string).collect();
        to.extend(link.map(|_| "whoever has link and words".to_owned()));
        let mut text = format!(
            "{}: {} for {}\n  id      {}\n  expires {}{}",
            if was_sent {
                "Sent before under this key, and not again"
            } else {
                "Sealed and accepted"
            },
            self.size(sent.total),
            to.join(", "),
            sent.transfer,
            time::local(sent.expires_at),
            self.openings.map_or(String::new(), |n| format!(
                "; each recipient may open it {}",
                count(n as usize, "time")
            )),
        );
        self.add_names(&mut text);
        if let Some(link) = link {
            text.push_str(&link.text(context, sent.expires_at));
        }
        text.push_str(&format!(
            "\nIt counts as delivered once `{}` says verified.",
            context.command("status")
        ));
        text
    }

    pub(super) fn json(&self, sent: &Sent, link: Option<&ToldLink>, was_sent: bool) -> Value {
        let mut json = self.json_of(&sent.recipients, sent.total, sent.expires_at);
        json.insert("transfer".to_owned(), json!(sent.transfer));
        json.insert("hh".to_owned(), json!(sent.hh));
        json.insert("link".to_owned(), json!(link.map(ToldLink::json)));
        json.insert("already".to_owned(), json!(was_sent));
        Value::Object(json)
    }

    fn json_of(&self, recipients: &[Address], total: u64, expires_at: u64) -> Map<String, Value> {
        let renamed = self.renamed.iter();
        members(json!({
            "recipients": recipients,
            "files": self.files,
            "bytes": total,
            "expires_at": expires_at,
            "openings": self.openings,
            "renamed": renamed.map(|(path, name)| json!({"path": path, "name": name})).collect::<Vec<_>>(),
            "left_out": self.skipped,
        }))
    }
}

/// A path found in a folder: whoever put it there chose its name.
fn shown(path: &Path) -> String {
    text::line(&path.display().to_string())
}

fn collect(context: &Context, args: &Send) -> Result<Input, Error> {
    let mut input = Input::default();
    let stdin = Path::new("-");
    if args.paths.iter().filter(|path| *path == stdin).count() > 1 {
        return Err(Error::Input(
            "The standard input can be sent once; name `-` once.".to_owned(),
        ));
    }
    for path in &args.paths {
        if path == stdin {
            add_stdin(context, &mut input, &args.name)?;
        } else {
            input.add(path)?;
        }
    }
    Ok(input)
}

/// The standard input. A person at a terminal is told how to end it.
fn add_stdin(context: &Context, input: &mut Input, name: &str) -> Result<(), Error> {
    let stdin = std::io::stdin().lock();
    if !stdin.is_terminal() {
        return input.add_reader(stdin, name, context.home.path(), &context.env);
    }
    note("Type the text; Ctrl-D ends it.");
    asking(|| input.add_reader(stdin, name, context.home.path(), &context.env))
}

fn patients(args: &Send) -> Result<Vec<Patient>, Error> {
    let file = args
        .patient_file
        .as_deref()
        .map(read_text)
        .transpose()?
        .unwrap_or_default();
    let references = args.patient.iter().map(String::as_str).chain(file.lines());
    Ok(references
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .map(patient)
        .collect())
}

/// `system|value`, or a value alone: then the system is empty, which stands for the sender's own numbering.
pub(super) fn patient(reference: &str) -> Patient {
    let (system, value) = reference.split_once('|').unwrap_or(("", reference));
    Patient {
        system: system.to_owned(),
        value: value.to_owned(),
        display: None,
    }
}

fn text_or_file(text: Option<&String>, file: Option<&Path>) -> Result<Option<String>, Error> {
    match file {
        Some(path) => read_text(path).map(Some),
        None => Ok(text.cloned()),
    }
}

fn read_text(path: &Path) -> Result<String, Error> {
    let limit = MAX_NOTE_LEN as u64;
    let bytes = platform::read_limited(path, limit).map_err(|error| Error::file("read", path, error))?;
    let text =
        String::from_utf8(bytes).map_err(|_| Error::Input(format!("{} is not a text in UTF-8.", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patient_reference_is_split_at_the_first_bar() {
        let of = |text| {
            let patient = patient(text);
            (patient.system, patient.value)
        };
        assert_eq!(of("urn:oid:1.2|4711"), ("urn:oid:1.2".into(), "4711".into()));
        assert_eq!(of("4711"), (String::new(), "4711".into()));
        assert_eq!(of("a|b|c"), ("a".into(), "b|c".into()));
    }
}
