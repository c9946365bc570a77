//! `get`: opening a link without an account.

use sealpost_client::get::{self, Door, From, Saved, Visit};
use sealpost_client::transfers::short_id;
use sealpost_client::{Error, receive, text, time};
use sealpost_proto::id::TransferId;
use serde_json::{Value, json};

use super::receive::{contents, contents_json};
use crate::cli::Get;
use crate::context::{Context, state_folder, tell_expired};
use crate::output::{Report, bytes, count, note};
use crate::{progress, secrets};

pub(super) async fn run(context: &Context, args: &Get) -> Result<Report, Error> {
    receive::check_target(&args.out)?;
    let folder = state_folder()?;
    tell_expired(get::remove_expired(&folder, &context.env));
    if is_stdin(args.link_file.as_ref()) && is_stdin(args.words_file.as_ref()) {
        return Err(Error::Input(
            "The standard input is read once: take link or words from a file.".to_owned(),
        ));
    }
    let link = secrets::link(args.link.as_deref(), args.link_file.as_deref())?;
    // Known words are asked for once there is somebody to open for.
    let door = Door::knock(link, args.pin, context.env.clone()).await?;
    let words = secrets::words(args.words_file.as_deref())?;
    let visit = door.open(&words, &folder).await?;
    let (from, transfer) = (visit.from.clone(), visit.transfer());
    let total = visit.manifest.files.iter().map(|file| file.len).sum();
    note(&format!(
        "{}\nUntil {}: {}, {}.",
        shown_from(&from, false),
        time::local(visit.expires_at),
        count(visit.manifest.files.len(), "file"),
        bytes(total),
    ));
    let told = Told::of(&visit);
    let saved = visit.save(&args.out, progress::bar("receiving", context.json)).await?;
    Ok(told.report(&from, &transfer, &saved))
}

fn is_stdin(path: Option<&std::path::PathBuf>) -> bool {
    path.is_some_and(|path| path.as_os_str() == "-")
}

/// From whom, and how that is known. *Verified* is said of what has been fetched and checked whole.
fn shown_from(from: &From, is_fetched: bool) -> String {
    let (address, name) = (text::line(from.address.as_str()), text::line(&from.organisation));
    if from.is_verified {
        let head = if is_fetched { "Verified: from" } else { "From" };
        return format!("{head} {name}, the organisation that your link names. The gateway says: {address}.");
    }
    format!("From whoever gave you these words; the gateway says: {address} of {name}.")
}

/// What is told of a visit once its files are in place.
struct Told {
    manifest: sealpost_sealed::Manifest,
    sealed_at: u64,
    accepted_at: u64,
    expires_at: u64,
}

impl Told {
    fn of(visit: &Visit) -> Self {
        Self {
            manifest: visit.manifest.clone(),
            sealed_at: visit.sealed_at,
            accepted_at: visit.accepted.time,
            expires_at: visit.expires_at,
        }
    }

    fn report(&self, from: &From, transfer: &TransferId, saved: &Saved) -> Report {
        let mut text = format!(
            "Verified: {}  (transfer {}, sealed {})\n  {}",
            count(saved.files.len(), "file"),
            short_id(transfer),
            time::local(self.sealed_at),
            shown_from(from, true),
        );
        text.push_str(&contents(&self.manifest, &saved.files));
        text.push_str(if saved.is_receipted {
            "\n  The sender has your receipt."
        } else {
            "\n  The receipt could not be sent; the same command sends it, and opens nothing anew."
        });
        let mut json = contents_json(&self.manifest, &saved.files);
        let sender: Value = json!({
            "address": from.address,
            "organisation": from.organisation,
            "fingerprint": from.org,
            "verified": from.is_verified,
        });
        json.insert("transfer".to_owned(), json!(transfer));
        json.insert("from".to_owned(), sender);
        json.insert("sealed_at".to_owned(), json!(self.sealed_at));
        json.insert("accepted_at".to_owned(), json!(self.accepted_at));
        json.insert("expires_at".to_owned(), json!(self.expires_at));
        json.insert("receipt_sent".to_owned(), json!(saved.is_receipted));
        Report::done(text, Value::Object(json))
    }
}
