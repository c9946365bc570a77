//! `rearm`: giving a restored gateway its half of the keys again.

use sealpost_client::rearm::{self, Held};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, text};
use sealpost_proto::api::TransferState;
use sealpost_proto::id::TransferId;
use serde_json::json;

use crate::cli::Rearm;
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Report, error_json};
use crate::secrets;

pub(super) async fn run(context: &Context, args: &Rearm) -> Result<Report, Error> {
    let session = context.session()?;
    let mut wanted = Held::default();
    for id in &args.ids {
        wanted.waiting.push(List::Sent.find(&session.api, id).await?.transfer);
    }
    if args.ids.is_empty() {
        wanted = rearm::held(&session).await?;
        ask(args, &wanted.waiting)?;
    }
    let mut results = Vec::with_capacity(wanted.waiting.len());
    for transfer in wanted.waiting {
        results.push((transfer, rearm::rearm(&session, &transfer).await));
    }
    let is_single = args.ids.len() == 1;
    if is_single && let Some((_, Err(error))) = results.pop_if(|(_, result)| result.is_err()) {
        return Err(error);
    }
    Ok(report(context, &results, &wanted.done))
}

/// All at once are armed again only by somebody who means all of them: one that was meant to stay closed may be among them.
fn ask(args: &Rearm, waiting: &[TransferId]) -> Result<(), Error> {
    if args.yes || waiting.is_empty() {
        return Ok(());
    }
    let ids = waiting.iter().map(short_id).collect::<Vec<_>>().join(", ");
    let question = format!("The gateway was restored and holds {ids}. Let them be opened again?");
    if secrets::confirm(&question) {
        Ok(())
    } else {
        Err(Error::Declined)
    }
}

/// What came of each; `done` need no re-arming.
fn report(context: &Context, results: &[(TransferId, Result<TransferState, Error>)], done: &[TransferId]) -> Report {
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
                let message = context.hints(&error.to_string());
                lines.push(format!("{}: {}", short_id(transfer), text::line(&message)));
                failed.push(json!({"transfer": transfer, "error": error_json(code, &message)}));
            }
        }
    }
    for transfer in done {
        lines.push(format!(
            "{}: it needs no re-arming, because all recipients have verified it or it had ended; who needs it once more has to be sent it again.",
            short_id(transfer)
        ));
    }
    if lines.is_empty() {
        lines.push("The gateway holds none of your transfers, so there is nothing to re-arm.".to_owned());
    }
    let report = Report::done(
        lines.join("\n"),
        json!({"rearmed": rearmed, "not_needed": done, "failed": failed}),
    );
    Report { exit, ..report }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    fn id(n: u8) -> TransferId {
        TransferId::from_bytes([n; 16])
    }

    fn context() -> Context {
        let cli = crate::cli::Cli::try_parse_from(["sealpost", "--home", "h", "whoami"]).unwrap();
        Context::new(&cli.global, sealpost_client::Env::system()).unwrap()
    }

    #[test]
    fn what_was_armed_and_what_was_not_are_both_told() {
        let results = [
            (id(1), Ok(TransferState::Available)),
            (id(2), Err(Error::NoShare(id(2)))),
        ];
        let told = report(&context(), &results, &[id(3)]);
        assert_eq!(told.exit, Exit::Refused);
        let lines: Vec<&str> = told.text.lines().collect();
        let says = |line: usize, id: &TransferId, what: &str| {
            lines[line].starts_with(&short_id(id)) && lines[line].contains(what)
        };
        assert!(says(0, &id(1), "opened again"), "{}", told.text);
        assert!(says(1, &id(2), "keeps no half"), "{}", told.text);
        assert!(says(2, &id(3), "no re-arming"), "{}", told.text);
        assert_eq!(
            report(&context(), &[], &[id(3)]).exit,
            Exit::Ok,
            "nobody waits for what was verified"
        );
    }
}
