//! `status`: where sent transfers stand.

use std::path::Path;

use sealpost_client::records::SentRecord;
use sealpost_client::status::{self, Delivery, Missing, RecipientStatus, TransferStatus};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::verify::Lateness;
use sealpost_client::{Error, Session, rearm, text, time};
use sealpost_proto::api::{TransferState, TransferSummary};
use serde_json::{Value, json};

use super::{link, resume};
use crate::cli::Status;
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, accepted, count, error_json};
use crate::secrets;

pub(super) async fn run(context: &Context, args: &Status) -> Result<Report, Error> {
    let mut session = context.session()?;
    if args.forget {
        return put_aside(&session, args).await;
    }
    let people = People::load(&session).await?;
    let mut summaries: Vec<TransferSummary> = Vec::new();
    let (mut missing, mut damaged) = (Vec::new(), Vec::new());
    for id in &args.ids {
        match List::Sent.find(&session.api, id).await {
            Ok(summary) => summaries.push(summary),
            Err(error) => missing.push(status::missing_named(&session, id, error)?),
        }
    }
    if args.ids.is_empty() {
        let all = List::Sent.list(&session.api, usize::MAX).await?;
        (missing, damaged) = status::missing(&session, &all)?;
        summaries = all.into_iter().take(args.limit).collect();
    }
    // After the lists: then the mirror holds every directory that an honest receipt in them names.
    session.update().await?;
    // A gateway that lost records may show what this device ended.
    rearm::burn_again(&session, &mut summaries).await?;
    let unfinished = resume::waiting(&session);
    resume::remind(context, &unfinished);
    let mut shown = Shown {
        unfinished: unfinished.iter().map(resume::unfinished_json).collect(),
        ..Shown::default()
    };
    for summary in &summaries {
        match status::status(&session, summary) {
            Ok(status) => shown.add(context, &status, &people),
            Err(error @ (Error::Rejected(_) | Error::Receipt(_) | Error::Anonymous)) => {
                shown.add_invalid(summary, &error);
            }
            Err(Error::State) => shown.add_damaged(&SentRecord::file(&session.state, &summary.transfer)),
            Err(error) => return Err(error),
        }
    }
    let now = session.env.now();
    let more = if args.ids.is_empty() { args.limit } else { missing.len() };
    for transfer in missing.iter().take(more) {
        shown.add_missing(context, transfer, now);
    }
    shown.add_left_out(missing.get(more..).unwrap_or_default());
    for path in &damaged {
        shown.add_damaged(path);
    }
    Ok(shown.report(summaries.len()))
}

/// `status --forget`: only what the gateway does not show can be put aside.
async fn put_aside(session: &Session, args: &Status) -> Result<Report, Error> {
    let mut wanted = Vec::with_capacity(args.ids.len());
    for id in &args.ids {
        match List::Sent.find(&session.api, id).await {
            Ok(summary) => {
                return Err(Error::Input(format!(
                    "The gateway shows transfer {}, so nothing was put aside: that is only for transfers that it does not show any more.",
                    summary.transfer
                )));
            }
            Err(error) => wanted.push(status::missing_named(session, id, error)?),
        }
    }
    let ids = wanted.iter().map(|one| short_id(&one.transfer)).collect::<Vec<_>>();
    let question = format!(
        "Put {} aside? No list names it any more, and nothing reminds you that it may not have arrived.",
        ids.join(", ")
    );
    if !args.yes && !secrets::confirm(&question) {
        return Err(Error::Declined);
    }
    for one in &wanted {
        status::put_aside(session, one)?;
    }
    let put: Vec<_> = wanted.iter().map(|one| one.transfer).collect();
    let text = format!("Put aside: {}.", ids.join(", "));
    let nothing: [Value; 0] = [];
    Ok(Report::done(
        text,
        json!({
            "transfers": nothing,
            "missing": nothing,
            "unfinished": nothing,
            "damaged": nothing,
            "put_aside": put,
        }),
    ))
}

#[derive(Default)]
struct Shown {
    text: String,
    items: Vec<Value>,
    missing: Vec<Value>,
    unfinished: Vec<Value>,
    damaged: Vec<Value>,
    failure: Option<Exit>,
}

impl Shown {
    fn add(&mut self, context: &Context, status: &TransferStatus, people: &People) {
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
                context.hints(&sentence(&recipient.delivery))
            ));
            if let Some(doubt) = &recipient.doubt {
                self.failure.get_or_insert(Exit::NotValid);
                self.text.push_str(&format!("\n    {}", text::line(doubt)));
            }
        }
        for link in &status.links {
            self.text.push_str(&format!(
                "\n  link {:<35} {}{}",
                link::short(&link.link),
                context.hints(&link::sentence(link)),
                link::shown_id(link),
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

    fn add_missing(&mut self, context: &Context, missing: &Missing, now: u64) {
        let mut to: Vec<String> = missing.recipients.iter().map(|a| text::line(a.as_str())).collect();
        if missing.has_link {
            to.push("its link".to_owned());
        }
        let id = short_id(&missing.transfer);
        let what = if missing.expires_at <= now {
            "has expired, and the gateway does not show it any more".to_owned()
        } else if missing.was_accepted {
            self.failure.get_or_insert(Exit::NotValid);
            format!(
                "was accepted, and the gateway does not show it any more: send it again if it was not delivered, and tell your administrator; \
                 `sealpost status --forget {id}` puts it aside"
            )
        } else if missing.is_unfinished {
            format!("is not sealed yet: if no other process is sending it, `sealpost resume {id}` goes on with it")
        } else {
            format!(
                "was not sealed (sending was interrupted): nobody can open it, send it again; `sealpost status --forget {id}` puts it aside"
            )
        };
        self.text
            .push_str(&format!("\n{id}  for {}: {}", to.join(", "), context.hints(&what)));
        self.missing.push(json!({
            "transfer": missing.transfer,
            "recipients": missing.recipients,
            "has_link": missing.has_link,
            "expires_at": missing.expires_at,
            "was_accepted": missing.was_accepted,
            "unfinished": missing.is_unfinished,
        }));
    }

    /// Those beyond the limit: left out, but not passed over.
    fn add_left_out(&mut self, more: &[Missing]) {
        if more.iter().any(|missing| missing.was_accepted) {
            self.failure.get_or_insert(Exit::NotValid);
        }
        if !more.is_empty() {
            let number = count(more.len(), "more transfer");
            self.text.push_str(&format!(
                "\n{number} that the gateway does not show: see them with a greater --limit"
            ));
        }
    }

    fn report(self, number: usize) -> Report {
        let text = format!("{}{}", count(number, "sent transfer"), self.text);
        let report = Report::done(
            text,
            json!({
                "transfers": self.items,
                "missing": self.missing,
                "unfinished": self.unfinished,
                "damaged": self.damaged,
            }),
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
