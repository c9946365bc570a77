//! `GET /v1/feed`: server-sent events for as long as the caller may have them.
//!
//! What happens here is framing and time; what is said, and in which order, the use case decides. Before anything is sent the
//! grant is asked for again, so that a device that is revoked hears nothing more, and its feed ends with the next line.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream;
use http::{HeaderValue, Version, header};
use sealpost_proto::api::{FEED_HEAD, FEED_INBOX, FEED_KEEP_ALIVE, FEED_SENT, FeedHead};
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::ApiError;
use super::server::Line;
use crate::access::{Action, Gatekeeper, Grant};
use crate::service::{Feed, FeedEvent};

/// A comment: says that the connection lives.
const ALIVE: &[u8] = b":\n\n";

/// `?after=`: the cursor behind which a feed begins.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FeedQuery {
    #[serde(default)]
    after: Option<u64>,
}

/// A feed that is being sent.
struct Live {
    /// What is said first.
    head: Option<Bytes>,
    feed: Feed,
    grant: Grant,
    gatekeeper: Arc<Gatekeeper>,
    /// None where there is no connection, as in tests of routes.
    line: Option<Line>,
}

pub(super) async fn feed(
    State(api): State<Api>,
    query: Result<Query<FeedQuery>, QueryRejection>,
    request: Request,
) -> Result<Response, ApiError> {
    let line = request.extensions().get::<Line>().cloned();
    let is_alone = request.version() < Version::HTTP_2;
    let grant = api.admit(request, Action::ReadTransfers).await?;
    let Query(FeedQuery { after }) = query?;
    let (head, feed) = api.service.feed(&grant, after).await?;
    let live = Live {
        head: Some(first(head)),
        feed,
        grant,
        gatekeeper: api.gatekeeper,
        line,
    };
    let mut close = None;
    if is_alone {
        // Nothing comes on this connection any more; feeds are counted by themselves.
        live.line.iter().for_each(Line::give_up_room);
        close = Some((header::CONNECTION, HeaderValue::from_static("close")));
    }
    let events = stream::unfold(live, |mut live| async move {
        let said = live.next().await?;
        Some((Ok::<_, Infallible>(said), live))
    });
    let mut answer = Response::new(Body::from_stream(events));
    let event_stream = (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    answer.headers_mut().extend(std::iter::once(event_stream).chain(close));
    Ok(answer)
}

impl Live {
    /// The next bytes; none when the feed has ended.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(head) = self.head.take() {
            return Some(head);
        }
        let alive = Duration::from_secs(FEED_KEEP_ALIVE);
        let said = tokio::select! {
            said = tokio::time::timeout(alive, self.feed.next()) => said,
            () = stopped(&mut self.line) => return None,
        };
        if let Err(error) = self.gatekeeper.renew(&self.grant).await {
            tracing::info!(%error, "a feed ends: it would not be granted any more");
            return None;
        }
        match said {
            Ok(Ok(events)) => Some(frames(&events)),
            Ok(Err(error)) => {
                tracing::warn!(?error, "a feed ends early");
                None
            }
            Err(_) => Some(Bytes::from_static(ALIVE)),
        }
    }
}

async fn stopped(line: &mut Option<Line>) {
    match line {
        Some(line) => line.stopped().await,
        None => std::future::pending().await,
    }
}

fn first(head: FeedHead) -> Bytes {
    let mut text = String::new();
    frame(&mut text, FEED_HEAD, None, &head);
    text.into()
}

fn frames(events: &[FeedEvent]) -> Bytes {
    let mut text = String::with_capacity(events.len() * 128);
    for event in events {
        match event {
            FeedEvent::Inbox(inbox) => frame(&mut text, FEED_INBOX, Some(inbox.cursor), inbox),
            FeedEvent::Sent(sent) => frame(&mut text, FEED_SENT, None, sent),
        }
    }
    text.into()
}

/// An event. Its data is JSON on one line.
fn frame(text: &mut String, name: &str, id: Option<u64>, data: &impl Serialize) {
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    // Numbers and ids have no form that JSON lacks.
    let data = serde_json::to_string(data).unwrap_or_default();
    text.push_str(&format!("event: {name}\n{id}data: {data}\n\n"));
}

#[cfg(test)]
mod tests {
    use sealpost_proto::api::{FeedInbox, FeedSent};
    use sealpost_proto::id::TransferId;

    use super::*;

    #[test]
    fn events_are_framed_as_the_specification_says() {
        let transfer = TransferId::from_bytes([7; 16]);
        let events = [
            FeedEvent::Inbox(FeedInbox { transfer, cursor: 41 }),
            FeedEvent::Sent(FeedSent { transfer }),
        ];
        let id = "07".repeat(16);
        let expected = format!(
            "event: inbox\nid: 41\ndata: {{\"transfer\":\"{id}\",\"cursor\":41}}\n\nevent: sent\ndata: {{\"transfer\":\"{id}\"}}\n\n"
        );
        assert_eq!(frames(&events), expected);
        assert_eq!(first(FeedHead { cursor: 40 }), "event: head\ndata: {\"cursor\":40}\n\n");
    }
}
