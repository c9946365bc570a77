//! The live feed (proto/spec/api.md, "The feed"): what arrives for this account, as it arrives.
//!
//! A feed only says that there is something to look at; what counts is in the transfer itself, which is verified where it is
//! opened. Whoever reads a feed keeps the cursor and opens a new feed when one ends.

use std::time::Duration;

use sealpost_proto::api::{FEED_HEAD, FEED_INBOX, FEED_SENT, FeedHead, FeedInbox, FeedSent};
use sealpost_proto::id::TransferId;
use serde::de::DeserializeOwned;

use crate::api::{Api, ApiError, Endless};

/// A feed that says nothing for so long, not even that it is alive, is given up: three times what a gateway waits.
const SILENCE: Duration = Duration::from_secs(45);

/// Longest event: one that the API knows has less than 256 bytes.
const MAX_EVENT: usize = 16 * 1024;

/// What a feed says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedEvent {
    /// The first event: all of the inbox up to this position is left out. Another cursor than the one asked for, smaller or larger,
    /// says that the gateway was put back from a copy: what it holds now comes again, and this is the reader's cursor from now on.
    Head {
        /// Where the feed begins.
        cursor: u64,
    },
    /// A transfer stands in the inbox behind all that were told before: it was sealed, or re-armed after it was held.
    Inbox {
        /// Its position, with which a later feed goes on.
        cursor: u64,
        /// Its id.
        transfer: TransferId,
    },
    /// Something about a transfer that this account sent changed: it was opened, a receipt came, it ended. A hint: after a new
    /// [`FeedEvent::Head`] everything of interest has to be looked at once.
    Sent {
        /// Its id.
        transfer: TransferId,
    },
}

/// An open feed.
#[derive(Debug)]
pub struct Feed {
    bytes: Endless,
    events: Events,
}

impl Feed {
    /// Opens a feed of the inbox behind the position `after`, or of what comes from now on. It takes a connection of its own for as
    /// long as it lives.
    ///
    /// # Errors
    /// [`ApiError`]; of it `too_many_requests` when this account has too many feeds open.
    pub async fn open(api: &Api, after: Option<u64>) -> Result<Self, ApiError> {
        Ok(Self {
            bytes: api.feed(after, SILENCE).await?,
            events: Events::default(),
        })
    }

    /// Waits for the next event. May be dropped while it waits: no event is lost by that.
    ///
    /// # Errors
    /// [`ApiError`] when the connection ended, broke, or was silent for 45 seconds: then a new feed has to be opened, behind the
    /// largest cursor of this one.
    pub async fn next(&mut self) -> Result<FeedEvent, ApiError> {
        loop {
            while let Some(event) = self.events.next()? {
                if let Some(event) = known(&event)? {
                    return Ok(event);
                }
            }
            let bytes = self.bytes.next().await?;
            self.events.push(&bytes);
        }
    }
}

/// An event as it stands in the stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Raw {
    name: String,
    data: String,
}

/// What an event says; nothing, if its name is not known: a newer gateway may have more to say.
fn known(event: &Raw) -> Result<Option<FeedEvent>, ApiError> {
    Ok(match event.name.as_str() {
        FEED_HEAD => {
            let FeedHead { cursor } = data(event)?;
            Some(FeedEvent::Head { cursor })
        }
        FEED_INBOX => {
            let FeedInbox { cursor, transfer } = data(event)?;
            Some(FeedEvent::Inbox { cursor, transfer })
        }
        FEED_SENT => {
            let FeedSent { transfer } = data(event)?;
            Some(FeedEvent::Sent { transfer })
        }
        _ => None,
    })
}

fn data<T: DeserializeOwned>(event: &Raw) -> Result<T, ApiError> {
    serde_json::from_str(&event.data).map_err(|_| ApiError::Answer("the data of an event"))
}

/// Takes a stream of server-sent events apart: lines that end by LF or CRLF, an event at each empty line.
#[derive(Debug, Default)]
struct Events {
    /// What was received and not looked at yet.
    bytes: Vec<u8>,
    /// The event in the making.
    event: Raw,
}

impl Events {
    fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next whole event.
    fn next(&mut self) -> Result<Option<Raw>, ApiError> {
        while let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') {
            let mut line: Vec<u8> = self.bytes.drain(..=end).collect();
            line.pop();
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            let line = String::from_utf8(line).map_err(|_| ApiError::Answer("an event is not a text"))?;
            if !line.is_empty() {
                self.event.take(&line);
                self.check_len()?;
                continue;
            }
            let event = std::mem::take(&mut self.event);
            if event != Raw::default() {
                return Ok(Some(event));
            }
        }
        self.check_len()?;
        Ok(None)
    }

    fn check_len(&self) -> Result<(), ApiError> {
        let has_line = self.bytes.contains(&b'\n');
        let rest = if has_line { 0 } else { self.bytes.len() };
        if rest + self.event.name.len() + self.event.data.len() > MAX_EVENT {
            return Err(ApiError::Answer("an event is too long"));
        }
        Ok(())
    }
}

impl Raw {
    /// Takes a line. Comments, and fields that nothing here needs, say nothing.
    fn take(&mut self, line: &str) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = "event: head\ndata: {\"cursor\":6}\n\n:\n\nevent: inbox\nid: 7\ndata: \
        {\"transfer\":\"000102030405060708090a0b0c0d0e0f\",\"cursor\":7}\n\nevent: weather\ndata: rain\n\nevent: sent\r\ndata:\
        {\"transfer\":\"0f0102030405060708090a0b0c0d0e0f\"}\r\n\r\n";

    fn read(pieces: impl Iterator<Item = Vec<u8>>) -> Result<Vec<FeedEvent>, ApiError> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for piece in pieces {
            events.push(&piece);
            while let Some(event) = events.next()? {
                found.extend(known(&event)?);
            }
        }
        Ok(found)
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut() {
        let expected = [
            FeedEvent::Head { cursor: 6 },
            FeedEvent::Inbox {
                cursor: 7,
                transfer: "000102030405060708090a0b0c0d0e0f".parse().unwrap(),
            },
            FeedEvent::Sent {
                transfer: "0f0102030405060708090a0b0c0d0e0f".parse().unwrap(),
            },
        ];
        for len in 1..STREAM.len() {
            let pieces = STREAM.as_bytes().chunks(len).map(<[u8]>::to_vec);
            assert_eq!(read(pieces).unwrap(), expected, "pieces of {len}");
        }
    }

    #[test]
    fn what_is_no_event_of_the_api_is_refused_and_takes_no_memory() {
        let one = |text: &str| read(std::iter::once(text.as_bytes().to_vec()));
        assert!(one("event: head\ndata: {}\n\n").is_err());
        assert!(one("event: inbox\ndata: {\"cursor\":1}\n\n").is_err());
        assert!(one("data: {\"cursor\":1}\n\n").unwrap().is_empty(), "without a name");
        assert!(
            one("event: head\ndata: {\"cursor\":1}").unwrap().is_empty(),
            "not whole"
        );
        let endless = std::iter::repeat_n(vec![b'x'; 1024], 64);
        assert!(read(endless).is_err(), "a line without an end");
        let endless = std::iter::repeat_n(b"data: 0123456789\n".to_vec(), 10_000);
        assert!(read(endless).is_err(), "an event without an end");
        let comments = std::iter::repeat_n(b":\n".to_vec(), 100_000);
        assert!(read(comments).unwrap().is_empty(), "comments take nothing");
    }
}
