//! `audit list` and `audit verify`.

use sealpost_client::{Error, audit, text, time};
use sealpost_proto::log::{Leaf, LeafOutcome, ObjectKind};
use serde_json::{Value, json};

use crate::cli::Limit;
use crate::context::{Context, People};
use crate::output::{Report, count};

const READING: &str = "Reading the log is itself an event: this reading adds one.";

pub(super) async fn verify(context: &Context) -> Result<Report, Error> {
    let mut session = context.session()?;
    session.update().await?;
    let log = audit::update(&session).await?;
    let size = usize::try_from(log.size).unwrap_or(usize::MAX);
    let text = format!(
        "The audit log is intact: {}, {} new to this device.\n\
         Checked: the gateway's signature, every event's form, each object's chain, time, and that nothing seen before has changed.\n\
         Head: {}\n{READING}",
        count(size, "event"),
        log.new,
        log.root,
    );
    Ok(Report::done(
        text,
        json!({"valid": true, "size": log.size, "root": log.root, "new": log.new}),
    ))
}

pub(super) async fn list(context: &Context, args: &Limit) -> Result<Report, Error> {
    let mut session = context.session()?;
    session.update().await?;
    let people = People::load(&session).await?;
    let log = audit::update(&session).await?;
    let first = log.leaves.len().saturating_sub(args.limit);
    let newest = log.leaves.iter().enumerate().skip(first);
    let mut text = format!("{} in the log, verified", count(log.leaves.len(), "event"));
    let mut events: Vec<Value> = Vec::new();
    for (index, leaf) in newest {
        text.push_str(&line(index, leaf, &people));
        events.push(json!({
            "index": index,
            "event": leaf,
            "actor_address": leaf.actor.id.parse().ok().and_then(|label| people.address(&label).cloned()),
        }));
    }
    text.push_str(&format!("\n{READING}"));
    Ok(Report::done(
        text,
        json!({"size": log.size, "root": log.root, "events": events}),
    ))
}

fn line(index: usize, leaf: &Leaf, people: &People) -> String {
    let person = |id: &str| id.parse().map_or_else(|_| shortened(id), |label| people.name(&label));
    let outcome = match &leaf.outcome {
        LeafOutcome::Ok => String::new(),
        LeafOutcome::Denied(why) => format!("  denied: {}", text::line(why)),
    };
    let (kind, object) = match leaf.object.kind {
        ObjectKind::Person => ("person", person(&leaf.object.id)),
        ObjectKind::Transfer => ("transfer", shortened(&leaf.object.id)),
        ObjectKind::Invite => ("invite", shortened(&leaf.object.id)),
        ObjectKind::Org => ("org", shortened(&leaf.object.id)),
        ObjectKind::Log => ("log", shortened(&leaf.object.id)),
        ObjectKind::Link => ("link", shortened(&leaf.object.id)),
    };
    format!(
        "\n  {index:>6}  {}  {:<20} {}  {kind} {object}{outcome}",
        time::local(leaf.t / 1000),
        leaf.event.name(),
        person(&leaf.actor.id),
    )
}

fn shortened(id: &str) -> String {
    text::line(&id.chars().take(16).collect::<String>())
}
