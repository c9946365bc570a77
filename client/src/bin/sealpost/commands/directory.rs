//! `directory list`: the people whom one can send to.

use sealpost_client::{Error, text};
use sealpost_proto::key::fingerprint;
use serde_json::{Value, json};

use crate::context::{Context, People};
use crate::limits;
use crate::output::Report;

pub(super) async fn list(context: &Context) -> Result<Report, Error> {
    let mut session = context.session()?;
    session.update_and_check().await?;
    let people = People::load(&session).await?;
    let directory = session.mirror.directory();
    let own = session.account.identity.public();
    let now = session.env.now();
    let mut text = format!("{} ({})", text::line(directory.org_name()), directory.org());
    let mut items: Vec<Value> = Vec::new();
    for member in directory.members() {
        let is_self = member.identity == own;
        let is_valid = directory.recipient(&member.label, now).is_some();
        let number = (!is_self).then(|| fingerprint::safety_number(&own, &member.identity));
        let limits = directory.service(&member.label);
        let mut remark = match (is_self, is_valid, &number) {
            (true, ..) => "you".to_owned(),
            (_, false, _) if limits.is_some() => "cannot be sent to now".to_owned(),
            (_, false, _) => "revoked or not valid today: cannot be sent to".to_owned(),
            (.., number) => format!("safety number {}", number.clone().unwrap_or_default()),
        };
        if let Some(limits) = limits {
            remark.push_str(&format!("; service account: {}", limits::text(limits, now)));
        }
        text.push_str(&format!("\n  {:<40} {remark}", people.name(&member.label)));
        items.push(json!({
            "address": people.address(&member.label),
            "label": member.label,
            "identity": member.identity,
            "self": is_self,
            "can_be_sent_to": is_valid,
            "service": limits::json(limits),
            "registrar": directory.is_registrar(&member.label, now),
            "safety_number": number,
        }));
    }
    let organisation = json!({"name": directory.org_name(), "fingerprint": directory.org()});
    Ok(Report::done(
        text,
        json!({"organisation": organisation, "people": items}),
    ))
}
