//! `status`: where sent transfers stand.

use std::path::Path;

use sealpost_client::records::SentRecord;
use sealpost_client::status::{self, Delivery, Missing, RecipientStatus, TransferStatus};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::verify::Lateness;
use sealpost_client::{Error, text, time};
use sealpost_proto::api::{TransferState, TransferSummary};
use serde_json::{Value, json};

use super::link;
use crate::cli::Status;
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, accepted, count, error_json};

pub(super) async fn run(context: &Context, args: &Status) -> Result<Report, Error> {
    let mut session = context.session()?;
    let people = People::load(&session).await?;
    let mut summaries: Vec<TransferSummary> = Vec::new();
    for id in &args.ids {
        summaries.push(List::Sent.find(&session.api, id).await?);
    }
    let (mut missing, mut damaged) = (Vec::new(), Vec::new());
    if args.ids.is_empty() {
        let all = List::Sent.list(&session.api, usize::MAX).await?;
        (missing, damaged) = status::missing(&session, &all)?;
        summaries = all.into_iter().take(args.limit).collect();
    }
    // After the lists: then the mirror holds every directory that an honest receipt in them names.
    session.update().await?;
    super::resume::remind(context, &session);
    let mut shown = Shown::default();
    for summary in &summaries {
        match status::status(&session, summary) {
            Ok(status) => shown.add(&status, &people),
            Err(error @ (Error::Rejected(_) | Error::Receipt(_) | Error::Anonymous)) => {
                shown.add_invalid(summary, &error);
            }
            Err(Error::State) => shown.add_damaged(&SentRecord::file(&session.state, &summary.transfer)),
            Err(error) => return Err(error),
        }
    }
    for transfer in &missing {
        shown.add_missing(transfer);
    }
    for path in &damaged {
        shown.add_damaged(path);
    }
    Ok(shown.report(summaries.len()))
}

#[derive(Default)]
struct Shown {
    text: String,
    items: Vec<Value>,
    missing: Vec<Value>,
    damaged: Vec<Value>,
    failure: Option<Exit>,
}

impl Shown {
    fn add(&mut self, status: &TransferStatus, people: &People) {
        let names: Vec<String> = status.files.iter().map(|name| text::line(name)).collect();
        self.text.push_str(&format!(
            "\n{}  sealed {}{}  expires {}  {}",
            short_id(&status.transfer),
            time::local(status.sealed_at),
            accepted(&status.accepted, status.sealed_at),
            time::local(status.expires_at),
            if status.is_known {
                abbreviated(&names)
            } else {
                "names not known on this computer: the list of recipients is the gateway's word".to_owned()
            },
        ));
        for recipient in &status.recipients {
            self.text.push_str(&format!(
                "\n  {:<40} {}",
                people.name(&recipient.label),
                sentence(&recipient.delivery)
            ));
            if let Some(doubt) = &recipient.doubt {
                self.failure.get_or_insert(Exit::NotValid);
                self.text.push_str(&format!("\n    {}", text::line(doubt)));
            }
        }
        for link in &status.links {
            self.text.push_str(&format!(
                "\n  link {:<35} {}",
                link::short(&link.link),
                link::sentence(link)
            ));
            if let Some(doubt) = &link.doubt {
                self.failure.get_or_insert(Exit::NotValid);
                self.text.push_str(&format!("\n    {}", text::line(doubt)));
            }
        }
        let recipients: Vec<Value> = status.recipients.iter().map(|r| recipient_json(r, people)).collect();
        self.items.push(json!({
            "transfer": status.transfer,
            "files": status.files,
            "known": status.is_known,
            "sealed_at": status.sealed_at,
            "accepted_at": status.accepted.time,
            "lateness": status.accepted.lateness(status.sealed_at).map(Lateness::word),
            "expires_at": status.expires_at,
            "openings": status.openings,
            "state": status.state,
            "recipients": recipients,
            "links": status.links.iter().map(link::link_json).collect::<Vec<_>>(),
        }));
    }

    fn add_invalid(&mut self, summary: &TransferSummary, error: &Error) {
        let exit = Exit::from(error);
        self.failure.get_or_insert(exit);
        let message = error.to_string();
        self.text.push_str(&format!(
            "\n{}  NOT VALID: {}",
            short_id(&summary.transfer),
            text::line(&message)
        ));
        self.items
            .push(json!({"transfer": summary.transfer, "error": error_json(exit, &message)}));
    }

    /// A record that cannot be read, once.
    fn add_damaged(&mut self, path: &Path) {
        if self.damaged.contains(&json!(path)) {
            return;
        }
        self.failure.get_or_insert(Exit::from(&Error::State));
        self.text.push_str(&format!(
            "\nrecord damaged: {} (restore the client's folder from your backup)",
            path.display()
        ));
        self.damaged.push(json!(path));
    }

    fn add_missing(&mut self, missing: &Missing) {
        let to: Vec<String> = missing.recipients.iter().map(|a| text::line(a.as_str())).collect();
        let what = if missing.was_accepted {
            self.failure.get_or_insert(Exit::NotValid);
            "was accepted, and the gateway does not show it any more: tell your administrator"
        } else if missing.is_unfinished {
            "is not sealed yet (sending was interrupted): `sealpost resume` goes on with it"
        } else {
            "was not sealed (sending was interrupted): nobody can open it, send it again"
        };
        self.text.push_str(&format!(
            "\n{}  for {} {what}",
            short_id(&missing.transfer),
            to.join(", ")
        ));
        self.missing.push(json!({
            "transfer": missing.transfer,
            "recipients": missing.recipients,
            "was_accepted": missing.was_accepted,
            "unfinished": missing.is_unfinished,
        }));
    }

    fn report(self, number: usize) -> Report {
        let text = format!("{}{}", count(number, "sent transfer"), self.text);
        let report = Report::done(
            text,
            json!({"transfers": self.items, "missing": self.missing, "damaged": self.damaged}),
        );
        Report {
            exit: self.failure.unwrap_or(Exit::Ok),
            ..report
        }
    }
}

/// The first three names and how many more there are.
fn abbreviated(names: &[String]) -> String {
    match names {
        [] => "message only".to_owned(),
        [a, b, c, rest @ ..] if !rest.is_empty() => format!("{a}, {b}, {c} and {} more", rest.len()),
        _ => names.join(", "),
    }
}

pub(super) fn sentence(delivery: &Delivery) -> String {
    match delivery {
        Delivery::Sealed => "sealed, not opened yet".to_owned(),
        Delivery::Opened { at: Some(at) } => format!("opened {}, not verified yet", time::local(*at)),
        Delivery::Opened { at: None } => "opened, not verified yet".to_owned(),
        Delivery::Verified { at } => format!("verified {}", time::local(*at)),
        Delivery::Rejected { at, reason } => {
            format!("REJECTED {} ({}): send it again", time::local(*at), reason.as_str())
        }
        Delivery::NotListed => "NOT LISTED by the gateway: tell your administrator".to_owned(),
        Delivery::NotSent => "NOT SENT by this device: tell your administrator".to_owned(),
        Delivery::Over(state) => format!("not delivered: {}", over(*state)),
    }
}

fn over(state: TransferState) -> &'static str {
    match state {
        TransferState::Available => "available",
        TransferState::Expired => "expired",
        TransferState::Revoked => "withdrawn",
        TransferState::Used => "all openings used",
        TransferState::Held => "held: run `sealpost rearm`",
    }
}

pub(super) fn recipient_json(recipient: &RecipientStatus, people: &People) -> Value {
    let (state, at, reason) = match recipient.delivery {
        Delivery::Sealed => ("sealed", None, None),
        Delivery::Opened { at } => ("opened", at, None),
        Delivery::Verified { at } => ("verified", Some(at), None),
        Delivery::Rejected { at, reason } => ("rejected", Some(at), Some(reason)),
        Delivery::Over(TransferState::Revoked) => ("revoked", None, None),
        Delivery::Over(TransferState::Used) => ("used", None, None),
        Delivery::Over(TransferState::Held) => ("held", None, None),
        Delivery::Over(_) => ("expired", None, None),
        Delivery::NotListed => ("not_listed", None, None),
        Delivery::NotSent => ("not_sent", None, None),
    };
    json!({
        "address": people.address(&recipient.label),
        "label": recipient.label,
        "state": state,
        "at": at,
        "reason": reason,
        "openings_used": recipient.openings_used,
        "problem": recipient.doubt,
    })
}
