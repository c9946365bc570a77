//! `inbox`: what can be said of transfers before they are opened.

use sealpost_client::resume::{Unfinished, Way};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, Session, receive, text, time, verify};
use sealpost_proto::api::{TransferState, TransferSummary};
use sealpost_proto::id::Hash;
use serde_json::{Value, json};

use crate::cli::Limit;
use crate::context::{Context, People};
use crate::output::{Report, accepted, bytes, count};

pub(super) async fn run(context: &Context, args: &Limit) -> Result<Report, Error> {
    let mut session = context.session()?;
    let people = People::load(&session).await?;
    let transfers = List::In.list(&session.api, args.limit).await?;
    // After the list: then the mirror holds every directory that an honest receipt in it names.
    session.update().await?;
    let mut text = count(transfers.len(), "transfer");
    let mut items = Vec::with_capacity(transfers.len());
    // Receipts that could not be sent before go out now; if they cannot, the next time.
    let _ = receive::deliver_receipts(&session).await;
    let unfinished = super::resume::waiting(&session);
    super::resume::remind(context, &unfinished);
    for summary in &transfers {
        let is_begun = |one: &Unfinished| matches!(one.way, Way::In { .. }) && one.transfer == summary.transfer;
        let begun = unfinished.iter().any(is_begun).then_some(context);
        let (line, item) = describe(&session, summary, &people, begun)?;
        text.push_str(&line);
        items.push(item);
    }
    let is_new = |item: &Value| {
        let is = |name: &str, value: Value| item.get(name) == Some(&value);
        is("received", json!(false)) && is("begun", json!(false)) && is("state", json!("available"))
    };
    if items.iter().any(is_new) {
        text.push_str(&format!("\nNext: {} (or --all)", context.command("receive ID")));
    }
    Ok(Report::done(text, json!({"transfers": items})))
}

/// The line and the item of a transfer; `begun` says with which context to go on if receiving it was interrupted here.
fn describe(
    session: &Session,
    summary: &TransferSummary,
    people: &People,
    begun: Option<&Context>,
) -> Result<(String, Value), Error> {
    let id = short_id(&summary.transfer);
    let overview = match verify::overview(summary, &session.account.at, &session.mirror) {
        Ok(overview) => overview,
        Err(error @ (Error::Rejected(_) | Error::Receipt(_) | Error::Anonymous)) => {
            let line = format!("\n  {id}  NOT VALID: {}", text::line(&error.to_string()));
            let item = json!({"transfer": summary.transfer, "valid": false, "problem": error.to_string()});
            return Ok((line, item));
        }
        Err(error) => return Err(error),
    };
    let (header, seal) = (&overview.header, &overview.seal);
    let is_received = receive::is_received(session, &Hash::from_bytes(header.hash()))?;
    let size = seal.body.payload_len.saturating_sub(48 * seal.body.segments);
    let state = match begun.filter(|_| !is_received && is_open(summary, header.expires_at, session.env.now())) {
        Some(context) => context.hints(&format!("begun here: `sealpost resume {id}` goes on")),
        None => state(summary, header.expires_at, is_received, session.env.now()).to_owned(),
    };
    let label = summary
        .public_label
        .map(|label| format!("  [{}]", label_name(label)))
        .unwrap_or_default();
    let line = format!(
        "\n  {id}  from {}  at most {}  sealed {}{}  expires {}{}  {state}{label}",
        people.name(&overview.sender),
        bytes(size),
        time::local(seal.body.sealed_at),
        accepted(&overview.accepted, seal.body.sealed_at),
        time::local(header.expires_at),
        left(summary),
    );
    let item = json!({
        "transfer": summary.transfer,
        "valid": true,
        "sender": people.address(&overview.sender),
        "sender_label": overview.sender,
        "max_bytes": size,
        "sealed_at": seal.body.sealed_at,
        "accepted_at": overview.accepted.time,
        "lateness": overview.accepted.lateness(seal.body.sealed_at).map(verify::Lateness::word),
        "expires_at": header.expires_at,
        "openings": summary.openings,
        "openings_used": used(summary),
        "state": summary.state,
        "received": is_received,
        "begun": begun.is_some(),
        "public_label": summary.public_label,
    });
    Ok((line, item))
}

fn used(summary: &TransferSummary) -> u32 {
    summary
        .recipients
        .first()
        .map_or(0, |recipient| recipient.openings_used)
}

fn left(summary: &TransferSummary) -> String {
    let left = summary.openings.map(|allowed| allowed.saturating_sub(used(summary)));
    left.map_or(String::new(), |left| {
        format!("  {} left", count(left as usize, "opening"))
    })
}

/// Whether an opening that was begun can go on: it may have been the last.
fn is_open(summary: &TransferSummary, expires_at: u64, now: u64) -> bool {
    matches!(summary.state, TransferState::Available | TransferState::Used) && now < expires_at
}

fn state(summary: &TransferSummary, expires_at: u64, is_received: bool, now: u64) -> &'static str {
    match summary.state {
        _ if is_received => "received",
        TransferState::Available if now < expires_at => "new",
        TransferState::Available | TransferState::Expired => "expired",
        TransferState::Revoked => "withdrawn by the sender",
        TransferState::Used => "all openings used",
        TransferState::Held => "waits for its sender",
    }
}

fn label_name(label: sealpost_proto::api::PublicLabel) -> &'static str {
    use sealpost_proto::api::PublicLabel::{Claims, Referral, Results};
    match label {
        Referral => "referral",
        Results => "results",
        Claims => "claims",
    }
}
