//! `admin invite`, `admin service`, `admin confirm` and `admin list`.

use std::path::Path;

use sealpost_client::admin::{self, Confirmable};
use sealpost_client::{Error, Session, platform, text, time};
use sealpost_proto::api::{InviteState, InviteSummary, MAX_INVITE_LIFETIME};
use sealpost_proto::id::Address;
use sealpost_proto::key::ServiceLimits;
use serde_json::{Value, json};

use super::service;
use crate::cli::{Admin, Invite};
use crate::context::Context;
use crate::exit::Exit;
use crate::limits;
use crate::output::{Report, count, error_json, note};
use crate::secrets;

/// How a string reaches the person.
const HAND_OVER: &str = "Hand it over outside this gateway, on a USB stick or by a messenger that you both trust, and call the person: \
    whoever has it can enrol as this person. It is too long to be read aloud.";

pub(super) async fn run(context: &Context, args: Admin) -> Result<Report, Error> {
    let mut session = context.session()?;
    session.update_and_check().await?;
    match args {
        Admin::Invite(args) => invite(&mut session, args).await,
        Admin::Service(args) => service::run(&mut session, args).await,
        Admin::List => list(&session).await,
        Admin::Confirm { addresses, yes } => confirm(&mut session, &addresses, yes).await,
    }
}

async fn invite(session: &mut Session, args: Invite) -> Result<Report, Error> {
    let Invite {
        address, expires, out, ..
    } = args;
    let out = out.as_deref();
    if expires > MAX_INVITE_LIFETIME {
        return Err(Error::Input(
            "An invitation can be used for at most 30 days; choose a shorter --expires.".to_owned(),
        ));
    }
    if out.is_some_and(Path::exists) {
        return Err(Error::Input(
            "The file for the enrolment string exists already and is not replaced; name another.".to_owned(),
        ));
    }
    // Limits before keys: nobody ever has the keys of an account without them.
    if args.service {
        service::announce(session, &address, args.limits).await?;
    } else if args.limits.is_any() {
        return Err(Error::Input(
            "--scope, --network and --valid limit a service account; add --service, or leave them out.".to_owned(),
        ));
    }
    let string = admin::invite(session, address, expires).await?;
    let expires_at = session.env.now() + expires;
    let until = time::local(expires_at);
    let limits = limits_of(session, &string.to);
    if let Some(limits) = limits {
        note(&format!(
            "{} is a service account: {}",
            string.to,
            limits::text(limits, session.env.now())
        ));
    }
    let mut json = json!({
        "invite": string.invite,
        "address": string.to,
        "expires_at": expires_at,
        "service": limits::json(limits),
    });
    let text = match out {
        Some(path) => {
            let line = zeroize::Zeroizing::new(format!("{}\n", *string.to_text()));
            let written = platform::write_private_new(path, line.as_bytes());
            written.map_err(|error| Error::file("write", path, error))?;
            if let Value::Object(members) = &mut json {
                members.insert("file".to_owned(), json!(path));
            }
            format!(
                "The enrolment string for {} is in {}; it can be used until {until}.\n\
                 {HAND_OVER}",
                string.to,
                path.display()
            )
        }
        None => {
            if let Value::Object(members) = &mut json {
                members.insert("string".to_owned(), json!(*string.to_text()));
            }
            note(&format!(
                "This string is for {}; it can be used until {until}.\n{HAND_OVER}",
                string.to
            ));
            string.to_text().to_string()
        }
    };
    Ok(Report::done(text, json))
}

/// What a service account may do; none for a person.
fn limits_of<'a>(session: &'a Session, address: &Address) -> Option<&'a ServiceLimits> {
    let label = session.account.label_of(address);
    session.mirror.directory().service(&label)
}

async fn list(session: &Session) -> Result<Report, Error> {
    let invites = admin::invitations(session).await?;
    let items: Vec<Value> = invites
        .iter()
        .map(|invite| {
            json!({
                "invite": invite.invite,
                "address": invite.address,
                "state": invite.state,
                "expires_at": invite.expires_at,
                "posted_at": invite.posted.as_ref().map(|posted| posted.posted_at),
            })
        })
        .collect();
    let mut text = count(invites.len(), "invitation");
    for invite in &invites {
        text.push_str(&format!(
            "\n  {:<40} {}",
            text::line(invite.address.as_str()),
            state(invite)
        ));
    }
    Ok(Report::done(text, json!({"invites": items})))
}

fn state(invite: &InviteSummary) -> String {
    match invite.state {
        InviteState::Open => format!("open until {}", time::local(invite.expires_at)),
        InviteState::Posted => "keys posted: run `sealpost admin confirm`".to_owned(),
        InviteState::Confirmed => "confirmed".to_owned(),
        InviteState::Expired => "expired".to_owned(),
    }
}

/// Confirms one after the other; what fails a check is told and does not keep the others waiting.
async fn confirm(session: &mut Session, addresses: &[Address], yes: bool) -> Result<Report, Error> {
    let invites = admin::invitations(session).await?;
    if let Some(missing) = addresses.iter().find(|a| !invites.iter().any(|i| i.address == **a)) {
        return Err(Error::NotFound(format!(
            "There is no invitation for {missing}; `sealpost admin list` shows them all."
        )));
    }
    let wanted = |invite: &&InviteSummary| addresses.is_empty() || addresses.contains(&invite.address);
    let mut outcome = Outcome::default();
    for invite in invites.iter().filter(wanted) {
        let result = match admin::check_posted(&session.account, invite, session.env.now()) {
            Ok(Some(confirmable)) => confirm_one(session, confirmable, yes).await,
            Ok(None) => continue,
            Err(error) => Err(error),
        };
        outcome.add(result);
    }
    session.update().await?;
    Ok(outcome.report())
}

async fn confirm_one(session: &Session, confirmable: Confirmable, yes: bool) -> Result<Value, Error> {
    let limits = limits_of(session, &confirmable.address);
    let kind = limits.map_or_else(
        || "a person, with all that a person may do".to_owned(),
        |limits| format!("service account: {}", limits::text(limits, session.env.now())),
    );
    let shown = json!({
        "address": confirmable.address,
        "service": limits::json(limits),
        "identity": confirmable.identity,
        "safety_number": confirmable.safety_number,
        "check_number": confirmable.check_number,
    });
    let question = format!(
        "{}, keys posted {}\n  what it is:            {kind}\n  check number:           {}\n  safety number with you: {}\n\
         These keys come from whoever has the enrolment string. Compare the check number by phone: the person sees the same \
         with `sealpost whoami`.\n\
         Sign {} in?",
        text::line(confirmable.address.as_str()),
        time::local(confirmable.posted_at),
        confirmable.check_number,
        confirmable.safety_number,
        if limits.is_some() {
            "this service"
        } else {
            "this person"
        },
    );
    if !yes && !secrets::confirm(&question) {
        return Err(Error::Declined);
    }
    admin::confirm(session, confirmable).await?;
    Ok(shown)
}

#[derive(Default)]
struct Outcome {
    confirmed: Vec<Value>,
    failed: Vec<Value>,
    lines: Vec<String>,
    first_failure: Option<Exit>,
}

impl Outcome {
    fn add(&mut self, result: Result<Value, Error>) {
        match result {
            Ok(person) => {
                let member = |name: &str| person.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
                self.lines.push(format!(
                    "Confirmed {}\n  check number  {}\n  safety number {}",
                    text::line(&member("address")),
                    member("check_number"),
                    member("safety_number")
                ));
                self.confirmed.push(person);
            }
            Err(error) => {
                let exit = Exit::from(&error);
                self.first_failure.get_or_insert(exit);
                self.lines.push(text::line(&error.to_string()));
                self.failed.push(error_json(exit, &error.to_string()));
            }
        }
    }

    fn report(self) -> Report {
        let text = if self.lines.is_empty() {
            "Nobody waits for confirmation.".to_owned()
        } else {
            self.lines.join("\n")
        };
        let report = Report::done(text, json!({"confirmed": self.confirmed, "failed": self.failed}));
        Report {
            exit: self.first_failure.unwrap_or(Exit::Ok),
            ..report
        }
    }
}
