//! `receive`.

use sealpost_client::api::ApiError;
use sealpost_client::receive::{self, KeepSealed, Options, Received, ReceivedFile};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, Session, text, time, verify};
use sealpost_proto::api::{TransferState, TransferSummary};
use sealpost_proto::id::Hash;
use sealpost_proto::problem::{Problem, ProblemKind};
use sealpost_sealed::Manifest;
use serde_json::{Map, Value, json};

use crate::cli::Receive;
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, bytes, count, error_json};
use crate::{progress, purpose};

pub(super) async fn run(context: &Context, args: Receive) -> Result<Report, Error> {
    if args.keep_sealed.is_some() && args.ids.len() > 1 {
        return Err(Error::Input(
            "--keep-sealed keeps one transfer; receive the others in another command.".to_owned(),
        ));
    }
    receive::check_target(&args.into)?;
    let mut session = context.session()?;
    let people = People::load(&session).await?;
    let wanted = wanted(&session, &args).await?;
    // After the lists: then the mirror holds every directory that an honest receipt in them names.
    session.update().await?;
    let options = Options {
        target: args.into,
        again: args.again,
        keep_sealed: args.keep_sealed.map(|path| KeepSealed {
            path,
            with_share: args.with_share,
        }),
    };
    let mut results = Vec::with_capacity(wanted.len());
    for (name, found) in wanted {
        let result = match found {
            Ok(summary) => receive_one(context, &session, &summary, &options).await,
            Err(error) => Err(error),
        };
        results.push((name, result));
    }
    // Receipts that could not be sent before go out now; if they cannot, the next time.
    let _ = receive::deliver_receipts(&session).await;
    let is_single = !args.all && results.len() == 1;
    if is_single && let Some((_, Err(error))) = results.pop_if(|(_, result)| result.is_err()) {
        return Err(error);
    }
    Ok(report(context, &results, &people, &options))
}

async fn receive_one(
    context: &Context,
    session: &Session,
    summary: &TransferSummary,
    options: &Options,
) -> Result<Received, Error> {
    let bar = progress::bar("receiving", context.json);
    receive::receive(session, summary, options, bar).await
}

/// What was asked for, by the name that stands for it in the report, as far as it is there.
type Wanted = Vec<(String, Result<TransferSummary, Error>)>;

/// With `--all` what can be opened and was not received yet, and what is held, which fails; else what was named, also of what was sent.
async fn wanted(session: &Session, args: &Receive) -> Result<Wanted, Error> {
    if args.all {
        let all = List::In.list(&session.api, usize::MAX).await?;
        let mut wanted = Vec::new();
        for summary in all {
            let name = summary.transfer.to_string();
            match summary.state {
                TransferState::Available if is_wanted(session, &summary)? => wanted.push((name, Ok(summary))),
                TransferState::Held if is_wanted(session, &summary)? => wanted.push((name, Err(held()))),
                _ => {}
            }
        }
        return Ok(wanted);
    }
    let mut wanted = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        let found = match List::In.find(&session.api, id).await {
            Err(Error::NotFound(_)) => List::Sent.find(&session.api, id).await,
            found => found,
        };
        let name = found
            .as_ref()
            .map_or_else(|_| id.clone(), |found| found.transfer.to_string());
        wanted.push((name, found));
    }
    Ok(wanted)
}

/// What the gateway says to whoever asks for a transfer that it lists as held: it need not be asked.
fn held() -> Error {
    Error::Api(ApiError::Refused {
        problem: Box::new(Problem::new(ProblemKind::Held, String::new())),
        local_time: 0,
        retry_after: None,
    })
}

/// Not received yet, and with a sender: what has none is shown by `inbox` as not valid. What cannot be read is tried, so that the
/// fault is told.
fn is_wanted(session: &Session, summary: &TransferSummary) -> Result<bool, Error> {
    match verify::pieces(summary) {
        Ok((header, _)) if header.sender_identity.is_none() => Ok(false),
        Ok((header, _)) => Ok(!receive::is_received(session, &Hash::from_bytes(header.hash()))?),
        Err(_) => Ok(true),
    }
}

fn report(
    context: &Context,
    results: &[(String, Result<Received, Error>)],
    people: &People,
    options: &Options,
) -> Report {
    let (mut lines, mut received, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut exit = Exit::Ok;
    for (name, result) in results {
        match result {
            Ok(transfer) => {
                lines.push(text(context, transfer, people));
                received.push(item(transfer, people, options.keep_sealed.as_ref()));
            }
            Err(error) => {
                let code = Exit::from(error);
                if exit == Exit::Ok {
                    exit = code;
                }
                let message = context.hints(&error.to_string());
                lines.push(format!("{}: {}", text::line(name), text::line(&message)));
                failed.push(json!({"transfer": name, "error": error_json(code, &message)}));
            }
        }
    }
    if results.is_empty() {
        lines.push("There is nothing new to receive.".to_owned());
    }
    if let Some(keep) = &options.keep_sealed {
        lines.push(format!("Kept sealed: {}", keep.path.display()));
        if keep.with_share {
            lines.push(format!(
                "The gateway's share is in {}: whoever has it, the container and your key can open this transfer for ever. This defeats its expiry.",
                keep.share_path().display()
            ));
        }
    }
    let report = Report::done(lines.join("\n"), json!({"received": received, "failed": failed}));
    Report { exit, ..report }
}

pub(super) fn text(context: &Context, received: &Received, people: &People) -> String {
    let mut text = format!(
        "Verified: {} from {}  (transfer {}, sealed {})",
        count(received.files.len(), "file"),
        people.sender(received.sender.as_ref()),
        short_id(&received.transfer),
        time::local(received.sealed_at),
    );
    text.push_str(&contents(&received.manifest, &received.files));
    if let Some(lateness) = received.accepted.lateness(received.sealed_at) {
        let (sealed, accepted) = (time::local(received.sealed_at), time::local(received.accepted.time));
        text.push_str(&format!(
            "\n  sealed   {sealed}  accepted {accepted} ({})",
            lateness.word()
        ));
    }
    if !received.is_receipted {
        text.push_str(&context.hints("\n  The receipt could not be sent; it goes out with the next `sealpost inbox`."));
    }
    text
}

/// What a sender wrote, and where the files are; each line begins with a line end.
pub(super) fn contents(manifest: &Manifest, files: &[ReceivedFile]) -> String {
    let mut text = String::new();
    let mut fact = |name: &str, value: &str| text.push_str(&format!("\n  {name:<8} {value}"));
    if let Some(subject) = &manifest.subject {
        fact("subject", &text::line(subject));
    }
    if let Some(note) = &manifest.note {
        fact("note", &text::paragraph(note, 11));
    }
    for patient in &manifest.patients {
        let bar = if patient.system.is_empty() { "" } else { "|" };
        fact(
            "patient",
            &text::line(&format!("{}{bar}{}", patient.system, patient.value)),
        );
    }
    fact("purpose", &purpose::shown(&manifest.purpose));
    for file in files {
        let path = file.path.display().to_string();
        let is_renamed = file.path.file_name() != Some(file.name.as_ref());
        let original = if is_renamed {
            format!("  (sent as {})", file.name)
        } else {
            String::new()
        };
        fact("saved", &text::line(&format!("{path}  {}{original}", bytes(file.len))));
    }
    text
}

pub(super) fn item(received: &Received, people: &People, keep: Option<&KeepSealed>) -> Value {
    let mut item = contents_json(&received.manifest, &received.files);
    item.extend(object(json!({
        "transfer": received.transfer,
        "sender": received.sender.as_ref().and_then(|sender| people.address(sender)),
        "sender_label": received.sender,
        "sealed_at": received.sealed_at,
        "accepted_at": received.accepted.time,
        "lateness": received.accepted.lateness(received.sealed_at).map(verify::Lateness::word),
        "expires_at": received.expires_at,
        "receipt_sent": received.is_receipted,
        "kept_bytes": received.kept_bytes,
        "kept_sealed": keep.map(|keep| keep.path.clone()),
        "share_file": keep.filter(|keep| keep.with_share).map(KeepSealed::share_path),
    })));
    Value::Object(item)
}

/// The same as [`contents`] for programs.
pub(super) fn contents_json(manifest: &Manifest, files: &[ReceivedFile]) -> Map<String, Value> {
    let patients: Vec<Value> = manifest
        .patients
        .iter()
        .map(|patient| json!({"system": patient.system, "value": patient.value, "display": patient.display}))
        .collect();
    let files: Vec<Value> = files
        .iter()
        .map(|file| json!({"name": file.name, "path": file.path, "bytes": file.len}))
        .collect();
    object(json!({
        "subject": manifest.subject,
        "note": manifest.note,
        "patients": patients,
        "purpose": manifest.purpose,
        "files": files,
    }))
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}
