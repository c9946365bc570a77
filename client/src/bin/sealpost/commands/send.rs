//! `send`.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use sealpost_client::link::{DEFAULT_OPENINGS, DrawnLink};
use sealpost_client::send::{self, Draft, Input, Sent};
use sealpost_client::{Error, platform, text, time};
use sealpost_proto::sealed::MAX_NOTE_LEN;
use sealpost_sealed::Patient;
use serde_json::{Value, json};

use super::link::ToldLink;
use crate::cli::Send;
use crate::context::Context;
use crate::output::{Report, bytes, count, note};
use crate::progress;
use crate::secrets::asking;

pub(super) async fn run(context: &Context, args: Send) -> Result<Report, Error> {
    let mut session = context.session()?;
    let draft = draft(context, args)?;
    let told = Told::of(&draft);
    let sent = send::send(&mut session, draft, progress::bar("sending", context.json)).await?;
    let link = match &sent.link {
        Some(link) => Some(ToldLink::new(&session, link).await?),
        None => None,
    };
    Ok(Report::done(
        told.text(context, &sent, link.as_ref()),
        told.json(&sent, link.as_ref()),
    ))
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
struct Told {
    files: usize,
    openings: Option<u32>,
    renamed: Vec<(PathBuf, String)>,
    skipped: Vec<PathBuf>,
}

impl Told {
    fn of(draft: &Draft) -> Self {
        let renamed = draft.input.files.iter().filter(|file| file.is_renamed());
        Self {
            files: draft.input.files.len(),
            openings: draft.openings,
            renamed: renamed.map(|file| (file.path.clone(), file.name.clone())).collect(),
            skipped: draft.input.skipped.clone(),
        }
    }

    fn text(&self, context: &Context, sent: &Sent, link: Option<&ToldLink>) -> String {
        let mut to: Vec<String> = sent.recipients.iter().map(ToString::to_string).collect();
        to.extend(link.map(|_| "whoever has link and words".to_owned()));
        let mut text = format!(
            "Sealed and accepted: {} ({}) for {}\n  id      {}\n  expires {}{}",
            count(self.files, "file"),
            bytes(sent.total),
            to.join(", "),
            sent.transfer,
            time::local(sent.expires_at),
            self.openings.map_or(String::new(), |n| format!(
                "; each recipient may open it {}",
                count(n as usize, "time")
            )),
        );
        for (path, name) in &self.renamed {
            text.push_str(&format!("\n  {} is called {}", shown(path), text::line(name)));
        }
        for path in &self.skipped {
            text.push_str(&format!("\n  left out: {} (a link or a special file)", shown(path)));
        }
        if let Some(link) = link {
            text.push_str(&link.text(context, sent.expires_at));
        }
        text.push_str(&format!(
            "\nIt counts as delivered once `{}` says verified.",
            context.command("status")
        ));
        text
    }

    fn json(&self, sent: &Sent, link: Option<&ToldLink>) -> Value {
        let renamed = self.renamed.iter();
        json!({
            "transfer": sent.transfer,
            "hh": sent.hh,
            "recipients": sent.recipients,
            "files": self.files,
            "bytes": sent.total,
            "expires_at": sent.expires_at,
            "openings": self.openings,
            "link": link.map(ToldLink::json),
            "renamed": renamed.map(|(path, name)| json!({"path": path, "name": name})).collect::<Vec<_>>(),
            "left_out": self.skipped,
        })
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
fn patient(reference: &str) -> Patient {
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
