//! `rearm`: giving a restored gateway its half of the keys again.

use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, rearm, text};
use sealpost_proto::api::TransferState;
use sealpost_proto::id::TransferId;
use serde_json::json;

use crate::cli::Rearm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Report, error_json};

pub(super) async fn run(context: &Context, args: &Rearm) -> Result<Report, Error> {
    let session = context.session()?;
    let mut wanted: Vec<TransferId> = Vec::new();
    for id in &args.ids {
        wanted.push(List::Sent.find(&session.api, id).await?.transfer);
    }
    if args.ids.is_empty() {
        wanted = rearm::held(&session)
            .await?
            .iter()
            .map(|summary| summary.transfer)
            .collect();
    }
    let mut results = Vec::with_capacity(wanted.len());
    for transfer in wanted {
        results.push((transfer, rearm::rearm(&session, &transfer).await));
    }
    let is_single = args.ids.len() == 1;
    if is_single && let Some((_, Err(error))) = results.pop_if(|(_, result)| result.is_err()) {
        return Err(error);
    }
    Ok(report(&results))
}

fn report(results: &[(TransferId, Result<TransferState, Error>)]) -> Report {
    let (mut lines, mut rearmed, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut exit = Exit::Ok;
    for (transfer, result) in results {
        match result {
            Ok(state) => {
                lines.push(format!("{}: it can be opened again.", short_id(transfer)));
                rearmed.push(json!({"transfer": transfer, "state": state}));
            }
            Err(error) => {
                let code = Exit::from(error);
                if exit == Exit::Ok {
                    exit = code;
                }
                lines.push(format!("{}: {}", short_id(transfer), text::line(&error.to_string())));
                failed.push(json!({"transfer": transfer, "error": error_json(code, &error.to_string())}));
            }
        }
    }
    if results.is_empty() {
        lines.push("The gateway holds none of your transfers, so there is nothing to re-arm.".to_owned());
    }
    let report = Report::done(lines.join("\n"), json!({"rearmed": rearmed, "failed": failed}));
    Report { exit, ..report }
}
