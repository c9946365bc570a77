//! `resume`: what an interruption left unfinished is finished, or thrown away.

use sealpost_client::receive;
use sealpost_client::resume::{self, Finished, Unfinished, Way};
use sealpost_client::send::Resumed;
use sealpost_client::transfers::short_id;
use sealpost_client::{Error, Session, text};
use serde_json::{Value, json};

use super::link::ToldLink;
use super::receive::{item, text as received_text};
use crate::cli::Resume;
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, bytes, count, error_json, note};
use crate::progress;

pub(super) async fn run(context: &Context, args: &Resume) -> Result<Report, Error> {
    let mut session = context.session()?;
    let (all, damaged) = resume::unfinished(&session)?;
    let wanted = match &args.transfer {
        Some(prefix) => vec![find(all, prefix)?],
        None => all,
    };
    let mut shown = Shown::default();
    if args.transfer.is_none() {
        for path in damaged {
            shown.failed(context, &path.display().to_string(), "record", &Error::State);
        }
    }
    if args.discard {
        for one in &wanted {
            shown.discarded(context, one, one.discard(&session));
        }
    } else {
        finish_all(context, &mut session, &wanted, &mut shown).await?;
    }
    let is_single = args.transfer.is_some();
    shown.report(is_single)
}

async fn finish_all(
    context: &Context,
    session: &mut Session,
    wanted: &[Unfinished],
    shown: &mut Shown,
) -> Result<(), Error> {
    // Before anything is asked: who has nothing to resume need not have a gateway that runs.
    if !wanted.is_empty() {
        shown.people = Some(People::load(session).await?);
    }
    for one in wanted {
        let doing = match one.way {
            Way::Out { .. } => "sending",
            Way::In { .. } => "receiving",
        };
        let finished = one.finish(session, progress::bar(doing, context.json)).await;
        // Whoever began it may not have been told the words any more, and they are kept nowhere from now on.
        let link = match &finished {
            Ok(Finished::Sent(Resumed { sent, .. })) => match &sent.link {
                Some(link) => Some((ToldLink::new(session, link).await?, sent.expires_at)),
                None => None,
            },
            _ => None,
        };
        shown.finished(context, one, finished);
        if let Some((told, expires_at)) = link {
            shown.told(context, &told, expires_at);
        }
    }
    for transfer in receive::deliver_receipts(session).await? {
        shown
            .lines
            .push(format!("{}  the receipt has been sent", short_id(&transfer)));
        shown.receipts.push(json!(transfer));
    }
    Ok(())
}

/// The one unfinished transfer whose id begins with `prefix`.
fn find(all: Vec<Unfinished>, prefix: &str) -> Result<Unfinished, Error> {
    let mut matching = all
        .into_iter()
        .filter(|one| one.transfer.to_string().starts_with(prefix));
    let found = matching.next().filter(|_| !prefix.is_empty());
    let found = found.ok_or_else(|| {
        Error::NotFound(format!(
            "No unfinished transfer has an id that begins with {}; `sealpost resume` goes on with all there are.",
            text::line(prefix)
        ))
    })?;
    if matching.next().is_some() {
        return Err(Error::Input(format!(
            "Several unfinished transfers have ids that begin with {prefix}; give more digits."
        )));
    }
    Ok(found)
}

/// What a list says of one: `abcd1234  sending 3 files (5 MiB) to a@b`.
pub(super) fn describe(one: &Unfinished) -> String {
    let id = short_id(&one.transfer);
    match &one.way {
        Way::Out {
            recipients,
            files,
            total,
        } => {
            let mut to: Vec<String> = recipients.iter().map(|to| text::line(to.as_str())).collect();
            if to.is_empty() {
                to.push("whoever has link and words".to_owned());
            }
            format!(
                "{id}  sending {} ({}) to {}",
                count(*files, "file"),
                bytes(*total),
                to.join(", ")
            )
        }
        Way::In { target } => format!("{id}  receiving into {}", text::line(&target.display().to_string())),
    }
}

/// Says on standard error what is unfinished, if something is.
pub(super) fn remind(context: &Context, all: &[Unfinished]) {
    if all.is_empty() {
        return;
    }
    let mut told = count(all.len(), "unfinished transfer");
    for one in all {
        told.push_str(&format!("\n  {}", describe(one)));
    }
    let next = match all {
        [one] => context.command(&format!("resume {}", short_id(&one.transfer))),
        _ => context.command("resume ID"),
    };
    note(&format!("{told}\n`{next}` goes on with it."));
}

/// What is unfinished and waits for somebody: nothing that another process is working on.
pub(super) fn waiting(session: &Session) -> Vec<Unfinished> {
    let all = resume::unfinished(session).map_or_else(|_| Vec::new(), |(all, _)| all);
    all.into_iter().filter(|one| !one.is_busy(session)).collect()
}

/// One for programs.
pub(super) fn unfinished_json(one: &Unfinished) -> Value {
    let mut item = json!({
        "transfer": one.transfer,
        "direction": direction(one),
        "begun_at": one.begun_at,
    });
    let facts = match &one.way {
        Way::Out {
            recipients,
            files,
            total,
        } => json!({"recipients": recipients, "files": files, "bytes": total}),
        Way::In { target } => json!({"folder": target}),
    };
    if let (Value::Object(item), Value::Object(facts)) = (&mut item, facts) {
        item.extend(facts);
    }
    item
}

#[derive(Default)]
struct Shown {
    people: Option<People>,
    lines: Vec<String>,
    sent: Vec<Value>,
    received: Vec<Value>,
    discarded: Vec<Value>,
    receipts: Vec<Value>,
    failed: Vec<Value>,
    errors: Vec<Error>,
    failure: Option<Exit>,
}

impl Shown {
    fn finished(&mut self, context: &Context, one: &Unfinished, finished: Result<Finished, Error>) {
        match finished {
            Ok(Finished::Sent(resumed)) => {
                self.lines.push(format!(
                    "{}: sealed and accepted; {} were there already",
                    describe(one),
                    bytes(resumed.kept_bytes)
                ));
                self.sent.push(json!({
                    "transfer": resumed.sent.transfer,
                    "recipients": resumed.sent.recipients,
                    "bytes": resumed.sent.total,
                    "expires_at": resumed.sent.expires_at,
                    "kept_bytes": resumed.kept_bytes,
                }));
            }
            Ok(Finished::Received(received)) => {
                let Some(people) = &self.people else { return };
                self.lines.push(format!(
                    "{}: {} were there already\n{}",
                    describe(one),
                    bytes(received.kept_bytes),
                    received_text(context, &received, people)
                ));
                self.received.push(item(&received, people, None));
            }
            Err(error) => self.failed_one(context, one, error),
        }
    }

    /// The link of what was sent last.
    fn told(&mut self, context: &Context, told: &ToldLink, expires_at: u64) {
        self.lines.push(told.text(context, expires_at));
        if let Some(Value::Object(sent)) = self.sent.last_mut() {
            sent.insert("link".to_owned(), told.json());
        }
    }

    fn discarded(&mut self, context: &Context, one: &Unfinished, discarded: Result<bool, Error>) {
        let what = match (&discarded, &one.way) {
            (Ok(true), _) => "thrown away; the gateway may have taken it already: `sealpost status` tells",
            (Ok(false), Way::Out { .. }) => "thrown away; nobody can open any part of it",
            (Ok(false), Way::In { .. }) => "thrown away; receive it again from its beginning",
            (Err(_), _) => "",
        };
        match discarded {
            Ok(perhaps_sent) => {
                self.lines.push(format!("{}: {}", describe(one), context.hints(what)));
                self.discarded.push(json!({
                    "transfer": one.transfer,
                    "direction": direction(one),
                    "perhaps_sent": perhaps_sent,
                }));
            }
            Err(error) => self.failed_one(context, one, error),
        }
    }

    fn failed_one(&mut self, context: &Context, one: &Unfinished, error: Error) {
        self.failed(context, &one.transfer.to_string(), direction(one), &error);
        self.errors.push(error);
    }

    fn failed(&mut self, context: &Context, name: &str, direction: &str, error: &Error) {
        let (exit, message) = (Exit::from(error), context.hints(&error.to_string()));
        self.failure.get_or_insert(exit);
        self.lines
            .push(format!("{}: {}", text::line(name), text::line(&message)));
        self.failed
            .push(json!({"transfer": name, "direction": direction, "error": error_json(exit, &message)}));
    }

    /// One that was named fails as a whole.
    fn report(mut self, is_single: bool) -> Result<Report, Error> {
        if is_single && let Some(error) = self.errors.pop() {
            return Err(error);
        }
        if self.lines.is_empty() {
            self.lines.push("Nothing is unfinished.".to_owned());
        }
        let json = json!({
            "sent": self.sent,
            "received": self.received,
            "discarded": self.discarded,
            "receipts": self.receipts,
            "failed": self.failed,
        });
        let report = Report::done(self.lines.join("\n"), json);
        Ok(Report {
            exit: self.failure.unwrap_or(Exit::Ok),
            ..report
        })
    }
}

fn direction(one: &Unfinished) -> &'static str {
    match one.way {
        Way::Out { .. } => "send",
        Way::In { .. } => "receive",
    }
}
