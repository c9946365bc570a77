//! `whoami`.

use sealpost_client::{Error, Session, text};
use sealpost_proto::encoding::hex;
use sealpost_proto::problem::ProblemKind;
use serde_json::json;

use crate::context::Context;
use crate::limits;
use crate::output::Report;

pub(super) async fn run(context: &Context) -> Result<Report, Error> {
    let mut session = context.session()?;
    let me = match session.api.me().await {
        Ok(me) => Some(me),
        Err(error) if error.kind() == Some(ProblemKind::Unconfirmed) => None,
        Err(error) => return Err(error.into()),
    };
    if me.is_some() {
        session.update_and_check().await?;
    }
    let roles: Vec<&str> = me
        .iter()
        .flat_map(|me| {
            [me.registrar.then_some("registrar"), me.auditor.then_some("auditor")]
                .into_iter()
                .flatten()
        })
        .collect();
    let limits = session.mirror.directory().service(&session.account.label());
    let state = if me.is_some() { "confirmed" } else { "unconfirmed" };
    let account = &session.account;
    let organisation = session.mirror.directory().org_name();
    let json = json!({
        "address": account.address,
        "label": account.label(),
        "state": state,
        "roles": roles,
        "service": limits::json(limits),
        "organisation": {"name": organisation, "fingerprint": account.org},
        "gateway": {"id": account.at.gateway, "url": account.at.url, "pin": hex(&account.at.pin)},
        "identity": account.identity.public(),
        "device": account.device.public(),
        "check_number": account.check_number(),
        "encryption_key": account.newest_encryption()?.key.kid(),
        "key_file": session.home.key_file(),
        "directory_size": session.mirror.size(),
    });
    Ok(Report::done(text(&session, state, &roles)?, json))
}

fn text(session: &Session, state: &str, roles: &[&str]) -> Result<String, Error> {
    let account = &session.account;
    let limits = session.mirror.directory().service(&account.label());
    let shown = limits.map(|limits| format!("\nLimits:         {}", limits::text(limits, session.env.now())));
    let check = match state {
        "confirmed" => String::new(),
        _ => format!(
            "\nCheck number:   {} (your administrator sees the same: compare it by phone)",
            account.check_number()
        ),
    };
    let state = match state {
        "confirmed" if limits.is_some() => "service account".to_owned(),
        "confirmed" if roles.is_empty() => "member".to_owned(),
        "confirmed" => format!("member, {}", roles.join(", ")),
        _ => "waits for confirmation by an administrator (`sealpost admin confirm`)".to_owned(),
    };
    let name = text::line(session.mirror.directory().org_name());
    let space = if name.is_empty() { "" } else { " " };
    Ok(format!(
        "{}: {state}{}\n\
         Organisation:   {name}{space}{}\n\
         Gateway:        {} at {}\n\
         Its pin:        {}\n\
         Identity:       {}\n\
         Device:         {}\n\
         Encryption key: {}\n\
         Key file:       {}{check}",
        account.address,
        shown.unwrap_or_default(),
        account.org,
        account.at.gateway,
        account.at.url,
        hex(&account.at.pin),
        account.identity.public(),
        account.device.public(),
        account.newest_encryption()?.key.kid(),
        session.home.key_file().display(),
    ))
}
