//! `audit list` and `audit verify`.

use sealpost_client::audit::Restarted;
use sealpost_client::{Error, audit, text, time};
use sealpost_proto::log::{Leaf, LeafOutcome, ObjectKind};
use serde_json::{Value, json};

use crate::cli::Limit;
use crate::context::{Context, People};
use crate::exit::Exit;
use crate::output::{Report, count};

const READING: &str = "Reading the log is itself an event: this reading adds one.";

pub(super) async fn verify(context: &Context) -> Result<Report, Error> {
    let mut session = context.session()?;
    session.update().await?;
    let log = audit::update(&session).await?;
    let size = usize::try_from(log.size).unwrap_or(usize::MAX);
    let mut text = format!(
        "The audit log is intact: {}, {} new to this device.\n\
         Checked: the gateway's signature, every event's form, each object's chain, time, and that nothing seen before has changed.\n\
         Head: {}\n{READING}",
        count(size, "event"),
        log.new,
        log.root,
    );
    let mut exit = Exit::Ok;
    if let Some(restarted) = &log.restarted {
        text.push_str(&loss(restarted));
        if restarted.skipped > 0 {
            exit = Exit::Log;
        }
    }
    let report = Report::done(
        text,
        json!({
            "valid": true,
            "size": log.size,
            "root": log.root,
            "new": log.new,
            "restarted": log.restarted.as_ref().map(restarted),
        }),
    );
    Ok(Report { exit, ..report })
}

/// What the log says of the one before it, which ended in a loss.
fn loss(restarted: &Restarted) -> String {
    let Restarted { restart, ended, .. } = restarted;
    let records = restart.records.map_or_else(
        || "how many is not known".to_owned(),
        |records| format!("at least {records}"),
    );
    let skipped = match restarted.skipped {
        0 => String::new(),
        skipped => format!(
            "\nOf {skipped} of the logs before it this device has seen nothing, and nothing shows how the log before each of them ended: tell \
             your administrator and privacy officer. This is said until the folders of the logs before the gap are moved out of the client's \
             folder."
        ),
    };
    format!(
        "{skipped}\nThe log was restarted after a loss on {}: {} ended with {} entries, of which the gateway still has {}. Records from number {} \
         on are lost, {records}. This device keeps the {} entries that it had seen of it, in {}.",
        time::local(restarted.at),
        text::line(&ended.origin),
        ended.size,
        restart.kept,
        restart.first,
        restarted.seen,
        restarted.folder.display(),
    )
}

fn restarted(restarted: &Restarted) -> Value {
    json!({
        "at": restarted.at,
        "skipped": restarted.skipped,
        "log": restarted.restart.log,
        "ended": restarted.ended.origin,
        "ended_size": restarted.ended.size,
        "kept": restarted.restart.kept,
        "first_lost_record": restarted.restart.first,
        "lost_records": restarted.restart.records,
        "seen": restarted.seen,
    })
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
