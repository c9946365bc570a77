//! `revoke`: taking sent transfers back.

use sealpost_client::records::SentRecord;
use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, Session, status, text};
use sealpost_proto::id::TransferId;
use sealpost_proto::problem::ProblemKind;
use serde_json::{Value, json};

use crate::cli::Revoke;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Report, error_json};
use crate::secrets;

/// What nobody can promise.
const LIMIT: &str = "What somebody has already saved stays saved: no program can take that back.";

pub(super) async fn run(context: &Context, args: &Revoke) -> Result<Report, Error> {
    let session = context.session()?;
    let question = format!(
        "Withdraw {}? Nobody can open it any more, and the gateway destroys its half of the key. {LIMIT}",
        args.ids.iter().map(|id| text::line(id)).collect::<Vec<_>>().join(", ")
    );
    if !args.yes && !secrets::confirm(&question) {
        return Err(Error::Declined);
    }
    let mut results = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        results.push((id, revoke(&session, id).await));
    }
    if let [(_, Err(_))] = results.as_slice()
        && let Some((_, Err(error))) = results.pop()
    {
        return Err(error);
    }
    Ok(report(context, &results))
}

/// A whole id is taken as it is: a registrar may withdraw what others sent, and does not list it.
async fn revoke(session: &Session, id: &str) -> Result<Value, Error> {
    let transfer: TransferId = match id.parse() {
        Ok(transfer) => transfer,
        Err(_) => match List::Sent.find(&session.api, id).await {
            Ok(summary) => summary.transfer,
            Err(error) => status::missing_named(session, id, error)?.transfer,
        },
    };
    let is_known = SentRecord::get(&session.state, &transfer)?.is_some();
    SentRecord::end(&session.state, &transfer, &session.env)?;
    let state = match session.api.revoke(&transfer).await {
        Ok(answer) => answer.state,
        Err(error) if is_known && error.kind() == Some(ProblemKind::NotFound) => return Err(not_shown(&transfer)),
        Err(error) => return Err(error.into()),
    };
    Ok(json!({"transfer": transfer, "short": short_id(&transfer), "state": state}))
}

/// Nobody can promise that a gateway does not only hide it.
fn not_shown(transfer: &TransferId) -> Error {
    Error::NotFound(format!(
        "The gateway does not show transfer {transfer}, so nothing could be withdrawn there; this device has noted it as withdrawn and never arms it again."
    ))
}

fn report(context: &Context, results: &[(&String, Result<Value, Error>)]) -> Report {
    let (mut lines, mut revoked, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut exit = Exit::Ok;
    for (id, result) in results {
        match result {
            Ok(item) => {
                let short = item.get("short").and_then(Value::as_str).unwrap_or_default();
                lines.push(format!("Withdrawn: {short}. Nobody can open it from now on."));
                revoked.push(json!({"transfer": item.get("transfer"), "state": item.get("state")}));
            }
            Err(error) => {
                let code = Exit::from(error);
                if exit == Exit::Ok {
                    exit = code;
                }
                let message = context.hints(&error.to_string());
                lines.push(format!("{}: {}", text::line(id), text::line(&message)));
                failed.push(json!({"transfer": id, "error": error_json(code, &message)}));
            }
        }
    }
    if !revoked.is_empty() {
        lines.push(LIMIT.to_owned());
    }
    let report = Report::done(lines.join("\n"), json!({"revoked": revoked, "failed": failed}));
    Report { exit, ..report }
}
