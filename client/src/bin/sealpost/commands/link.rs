//! `link list|rearm|burn`, and what `send` tells of a link that it made.

use sealpost_client::api::{Api, ApiError, Trust};
use sealpost_client::link::DrawnLink;
use sealpost_client::records::SentRecord;
use sealpost_client::status::{self, Delivery, LinkStatus, TransferStatus};
use sealpost_client::transfers::{List, short_id};
use sealpost_client::{Error, Session, rearm, text, time};
use sealpost_proto::api::{LinkState, TransferState};
use sealpost_proto::encoding::hex;
use sealpost_proto::id::Hash;
use sealpost_proto::link::{Link as LinkText, link_hash};
use sealpost_proto::problem::ProblemKind;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::cli::{Limit, Link};
use crate::context::Context;
use crate::exit::Exit;
use crate::output::{Report, count};
use crate::secrets;

/// Fewest digits by which a link may be named.
const MIN_DIGITS: usize = 4;
/// Digits that are shown.
const SHOWN_DIGITS: usize = 8;

pub(super) async fn run(context: &Context, args: &Link) -> Result<Report, Error> {
    match args {
        Link::List(limit) => list(context, limit).await,
        Link::Rearm { link } => unlock(context, link).await,
        Link::Burn { link, yes } => burn(context, link, *yes).await,
    }
}

/// A link with its words, to be told once.
#[derive(Debug)]
pub(super) struct ToldLink {
    link: DrawnLink,
    text: Zeroizing<String>,
    /// What the recipient needs to recognise a gateway for which no public authority vouches.
    pin: Option<String>,
}

impl ToldLink {
    pub(super) async fn new(session: &Session, link: &DrawnLink) -> Result<Self, Error> {
        let account = &session.account;
        Ok(Self {
            link: link.clone(),
            text: link.text(&account.at, &account.org)?,
            pin: (!is_publicly_trusted(session).await).then(|| hex(&account.at.pin)),
        })
    }

    pub(super) fn text(&self, context: &Context, expires_at: u64) -> String {
        let pin = self.pin.as_ref().map(|pin| format!(" --pin {pin}")).unwrap_or_default();
        let (how, command) = if self.link.has_secret() {
            (
                "Link, itself half of the key: send it on a channel that you trust, and not through this gateway or together with the words",
                format!("sealpost get{pin}"),
            )
        } else {
            (
                "Link, which holds no secret: send it in any way you like",
                format!("sealpost get {}{pin}", *self.text),
            )
        };
        format!(
            "\n\n{how}\n\n    {}\n\nWords: read these words to the recipient over the telephone; do not send them with the link\n\n    {}\n\n\
             It can be opened {} until {}, with\n    {command}\n\
             The words are told now and kept nowhere. If they are lost: `{}`, and send it again.",
            *self.text,
            self.link.words().to_uppercase().replace(' ', "   "),
            count(self.link.openings() as usize, "time"),
            time::local(expires_at),
            context.command(&format!("link burn {}", short(&self.link.hash()))),
        )
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "link": self.link.hash(),
            "text": *self.text,
            "has_secret": self.link.has_secret(),
            "words": self.link.words(),
            "openings": self.link.openings(),
            "pin": self.pin,
        })
    }
}

/// Whether somebody who has nothing but the link can know the gateway.
async fn is_publicly_trusted(session: &Session) -> bool {
    let account = &session.account;
    let api = Api::trusting(
        Trust::SystemRoots,
        account.at.clone(),
        account.device.clone(),
        session.env.clone(),
    );
    match api {
        Ok(api) => api.info().await.is_ok(),
        Err(_) => false,
    }
}

/// The beginning of a link's hash, which tells the links of one person apart.
pub(super) fn short(link: &Hash) -> String {
    link.to_string().chars().take(SHOWN_DIGITS).collect()
}

async fn list(context: &Context, limit: &Limit) -> Result<Report, Error> {
    let mut session = context.session()?;
    let transfers = transfers(&mut session).await?;
    let all = transfers
        .iter()
        .flat_map(|status| status.links.iter().map(move |link| (status, link)));
    let shown: Vec<_> = all.take(limit.limit).collect();
    let mut text = count(shown.len(), "link");
    let mut items = Vec::with_capacity(shown.len());
    let mut exit = Exit::Ok;
    for (status, link) in shown {
        text.push_str(&format!("\n{}", line(context, status, link)));
        if let Some(doubt) = &link.doubt {
            exit = Exit::NotValid;
            text.push_str(&format!("\n    {}", text::line(doubt)));
        }
        items.push(json!({"transfer": status.transfer, "expires_at": status.expires_at, "link": link_json(link)}));
    }
    let report = Report::done(text, json!({"links": items}));
    Ok(Report { exit, ..report })
}

fn line(context: &Context, status: &TransferStatus, link: &LinkStatus) -> String {
    let text = link
        .text
        .clone()
        .unwrap_or_else(|| "(its secret is not kept, so it cannot be shown)".to_owned());
    format!(
        "{}  of transfer {}  until {}{}  {}\n  {text}",
        short(&link.link),
        short_id(&status.transfer),
        time::local(status.expires_at),
        shown_id(link),
        context.hints(&sentence(link)),
    )
}

/// How the id begins that stands in a link's text, which is none of its other numbers.
pub(super) fn shown_id(link: &LinkStatus) -> String {
    let shown = link.id.as_ref().map(|id| format!("  its text has id {id}..."));
    shown.unwrap_or_default()
}

/// Where a link stands.
pub(super) fn sentence(link: &LinkStatus) -> String {
    use TransferState::{Available, Expired, Held, Revoked};
    let state = match (link.state, link.transfer, link.delivery) {
        (None, ..) => "NOT LISTED by the gateway: tell your administrator".to_owned(),
        (Some(LinkState::Burned), ..) => "burned".to_owned(),
        (_, Expired, _) => "expired".to_owned(),
        (_, Revoked, _) => "withdrawn".to_owned(),
        (_, Held, _) => "held: run `sealpost rearm`".to_owned(),
        // The last opening may still be going on.
        (Some(LinkState::Used), Available, delivery @ Delivery::Opened { .. }) => super::status::sentence(&delivery),
        (Some(LinkState::Used), ..) => "all openings used".to_owned(),
        (Some(LinkState::Open), ..) => "open".to_owned(),
        (Some(LinkState::Locked), ..) => "LOCKED after ten wrong tries: `sealpost link rearm` unlocks it".to_owned(),
    };
    let mut text = format!(
        "{state}, opened {} of {}",
        link.openings_used,
        count(link.openings as usize, "time")
    );
    if link.failures > 0 {
        text.push_str(&format!(", {} wrong in a row", count_tries(link.failures)));
    }
    match link.delivery {
        Delivery::Verified { at } => text.push_str(&format!(", verified {}", time::local(at))),
        Delivery::Rejected { at, reason } => {
            text.push_str(&format!(
                ", REJECTED {} ({}): send it again",
                time::local(at),
                reason.as_str()
            ));
        }
        _ => {}
    }
    text
}

fn count_tries(failures: u32) -> String {
    if failures == 1 {
        "1 try".to_owned()
    } else {
        format!("{failures} tries")
    }
}

/// A link for programs.
pub(super) fn link_json(link: &LinkStatus) -> Value {
    let (receipt, at, reason) = match link.delivery {
        Delivery::Verified { at } => (Some("verified"), Some(at), None),
        Delivery::Rejected { at, reason } => (Some("rejected"), Some(at), Some(reason)),
        _ => (None, None, None),
    };
    json!({
        "link": link.link,
        "id": link.id,
        "text": link.text,
        "state": link.state,
        "transfer_state": link.transfer,
        "openings": link.openings,
        "openings_used": link.openings_used,
        "wrong_tries": link.failures,
        "receipt": receipt,
        "receipt_assurance": receipt.map(|_| "link"),
        "receipt_at": at,
        "reason": reason,
        "problem": link.doubt,
    })
}

async fn unlock(context: &Context, named: &str) -> Result<Report, Error> {
    let mut session = context.session()?;
    let link = find(&mut session, named).await?;
    let state = session.api.rearm_link(&link).await;
    let state = state.map_err(|error| ended(&link, error))?.state;
    let text = match state {
        TransferState::Held => "is unlocked, but its transfer is held: run `sealpost rearm` first",
        _ => "is unlocked: the same words open it again",
    };
    let text = format!("Link {} {}.", short(&link), context.hints(text));
    Ok(Report::done(text, json!({"link": link, "state": "open"})))
}

/// What a refusal means to the one whose link it is.
fn ended(link: &Hash, error: ApiError) -> Error {
    let why = match error.kind() {
        Some(ProblemKind::Revoked) => "is burned, or its transfer is withdrawn",
        Some(ProblemKind::Expired) => "has expired with its transfer",
        Some(ProblemKind::LimitReached) => "is used up: its transfer has no opening left",
        _ => return error.into(),
    };
    let link = short(link);
    Error::Ended(format!(
        "Your link {link} {why}, so nothing unlocks it; send the files again by a new link."
    ))
}

async fn burn(context: &Context, named: &str, yes: bool) -> Result<Report, Error> {
    let mut session = context.session()?;
    let link = find(&mut session, named).await?;
    let question = format!(
        "Burn link {}? Nobody can open it any more; what was saved already stays saved.",
        short(&link)
    );
    if !yes && !secrets::confirm(&question) {
        return Err(Error::Declined);
    }
    SentRecord::burn(&session.state, &link, &session.env)?;
    let state = session.api.burn_link(&link).await?.state;
    let text = format!(
        "Link {} is burned: nobody can open it any more. What was saved already stays saved.",
        short(&link)
    );
    Ok(Report::done(
        text,
        json!({"link": link, "state": "burned", "transfer_state": state}),
    ))
}

/// Own transfers that have links, the newest first.
async fn transfers(session: &mut Session) -> Result<Vec<TransferStatus>, Error> {
    let mut all = List::Sent.list(&session.api, usize::MAX).await?;
    session.update().await?;
    all.retain(|summary| !summary.links.is_empty());
    rearm::burn_again(session, &mut all).await?;
    all.iter().map(|summary| status::status(session, summary)).collect()
}

/// A link by its text or by the beginning of its number.
async fn find(session: &mut Session, named: &str) -> Result<Hash, Error> {
    if named.contains(";s=") {
        return Err(Error::Input(
            "That link is itself half of the key, and it now stands in your shell's history: name a link by its number in `sealpost link list`."
                .to_owned(),
        ));
    }
    let prefix = match LinkText::parse(named.trim()) {
        Ok(link) => link_hash(&link.link_id()).to_string(),
        Err(_) => named.trim().to_ascii_lowercase(),
    };
    if prefix.len() < MIN_DIGITS || !prefix.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(Error::Input(
            "Name a link by its text or by the first four or more digits of its number in `sealpost link list`."
                .to_owned(),
        ));
    }
    let all = List::Sent.list(&session.api, usize::MAX).await?;
    let hashes = all.iter().flat_map(|summary| &summary.links).map(|link| link.link);
    let mut matching = hashes.filter(|hash| hash.to_string().starts_with(&prefix));
    let found = matching.next().ok_or_else(|| {
        Error::NotFound("No link of yours has this number; `sealpost link list` shows them.".to_owned())
    })?;
    if matching.next().is_some() {
        return Err(Error::Input(
            "Several links have numbers that begin so; give more digits.".to_owned(),
        ));
    }
    Ok(found)
}
