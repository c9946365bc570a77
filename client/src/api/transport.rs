//! HTTP/1.1 over pinned TLS: one request, one answer, with deadlines. Nothing here knows what is asked or why.
//!
//! HTTP/1.1 on purpose: parts go over several connections in parallel, which is faster for bulk than streams of one.

use std::pin::Pin;
use std::sync::PoisonError;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, Uri};
use http_body_util::BodyExt as _;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::time::Instant;

use super::ApiError;
use super::bulk::{self, Ahead, Gathering, ReadingAhead};
use super::proxy::{Connector, Proxies, Stream};
use super::tls::{self, Refused, Trust};

const MALFORMED: &str = "the gateway's address is malformed";
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the answer's head.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);
/// The same for a request with a long body: enough for a part on a slow line.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(600);
const LONG_BODY: u64 = 64 * 1024;
/// Between two pieces of an answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);
/// What the body of an answer may take beside the time that its bytes take at [`MIN_RATE`].
const BODY_GRACE: Duration = Duration::from_secs(60);
/// Bytes a second of the slowest line that is waited for: a part of 8 MiB then takes half an hour.
const MIN_RATE: u64 = 4 * 1024;
const IDLE_CONNECTIONS: usize = 8;
/// Bodies go out in frames of this size, so that nothing between here and TLS copies a whole part.
const FRAME_LEN: usize = 256 * 1024;

/// A request's body: bytes that are shared with whoever may have to send them again.
#[derive(Debug, Default)]
pub(super) struct OutBody(Bytes);

impl OutBody {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }
}

impl Body for OutBody {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::convert::Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let len = FRAME_LEN.min(self.0.len());
        let frame = self.0.split_to(len);
        Poll::Ready(Some(Ok(Frame::data(frame))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.0.len() as u64)
    }
}

/// To a gateway: what leads there, TLS, and large reads on both sides of it.
type Way = Gathering<HttpsConnector<ReadingAhead<Connector, Stream>>, MaybeHttpsStream<Ahead<Stream>>>;

/// Connections to one gateway.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    client: Client<Way, OutBody>,
    refused: Refused,
}

impl Transport {
    pub(super) fn new(trust: Trust, gateway: &str, proxies: &Proxies) -> Result<Self, ApiError> {
        let gateway: Uri = gateway.parse().map_err(|_| ApiError::Request(MALFORMED))?;
        let (config, refused) = tls::config(trust).map_err(|_| ApiError::Request("TLS 1.3 is not available"))?;
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(config)
            .https_only()
            .enable_http1()
            .wrap_connector(bulk::reading_ahead(proxies.connector(tcp, &gateway)));
        let client = Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(bulk::gathering(connector));
        Ok(Self { client, refused })
    }

    /// The answer's head; the body is still to come.
    pub(super) async fn send(&self, request: Request<OutBody>) -> Result<Response<Incoming>, ApiError> {
        let is_long = request.body().size_hint().lower() > LONG_BODY;
        let timeout = if is_long { UPLOAD_TIMEOUT } else { ANSWER_TIMEOUT };
        let answer = tokio::time::timeout(timeout, self.client.request(request)).await;
        match answer {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if tls::is_wrong_key(&error) => Err(self.why_refused()),
            Ok(Err(error)) => Err(ApiError::Unreachable(innermost(&error))),
            Err(_) => Err(ApiError::Unreachable("no answer in time".to_owned())),
        }
    }
}

impl Transport {
    /// A server with the right certificate and without its key is refused by the handshake alone.
    fn why_refused(&self) -> ApiError {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone();
        refused.unwrap_or(ApiError::WrongKey)
    }
}

/// Appends a body to `into`, at most `limit` bytes, as long as it does not trickle.
pub(super) async fn read_body(mut body: Incoming, limit: usize, into: &mut Vec<u8>) -> Result<(), ApiError> {
    let mut room = limit;
    let start = Instant::now();
    loop {
        let frame = tokio::time::timeout(IDLE_TIMEOUT, body.frame()).await;
        let frame = frame.map_err(|_| ApiError::Unreachable("the answer stopped half-way".to_owned()))?;
        let Some(frame) = frame else {
            return Ok(());
        };
        let frame =
            frame.map_err(|error| ApiError::Unreachable(format!("it broke off half-way: {}", innermost(&error))))?;
        if let Some(data) = frame.data_ref() {
            room = room.checked_sub(data.len()).ok_or(ApiError::Answer("it is too long"))?;
            into.extend_from_slice(data);
        }
        if is_too_slow(start.elapsed(), limit - room) {
            return Err(ApiError::Unreachable("the answer comes too slowly".to_owned()));
        }
    }
}

/// A body that comes for as long as both ends want.
#[derive(Debug)]
pub(crate) struct Endless {
    body: Incoming,
    silence: Duration,
}

impl Endless {
    pub(super) fn new(body: Incoming, silence: Duration) -> Self {
        Self { body, silence }
    }

    /// The next bytes.
    ///
    /// # Errors
    /// [`ApiError::Unreachable`] when it ended, broke, or was silent for too long.
    pub(crate) async fn next(&mut self) -> Result<Bytes, ApiError> {
        loop {
            let frame = tokio::time::timeout(self.silence, self.body.frame()).await;
            let frame = frame.map_err(|_| ApiError::Unreachable("it has been silent for too long".to_owned()))?;
            let frame = frame.ok_or_else(|| ApiError::Unreachable("it ended the feed".to_owned()))?;
            let frame = frame.map_err(|error| ApiError::Unreachable(innermost(&error)))?;
            if let Ok(data) = frame.into_data() {
                return Ok(data);
            }
        }
    }
}

fn is_too_slow(elapsed: Duration, received: usize) -> bool {
    let due = Duration::from_secs(received as u64 / MIN_RATE);
    elapsed > BODY_GRACE.saturating_add(due)
}

/// The last error of the chain: what the system said.
pub(super) fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    // What the TLS library says of either is for programmers.
    if is_no_tls(last) {
        return "what answered does not speak TLS, so it is another program: check address and port".to_owned();
    }
    match last.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(std::io::ErrorKind::UnexpectedEof) => "the connection was closed".to_owned(),
        _ => last.to_string(),
    }
}

fn is_no_tls(error: &(dyn std::error::Error + 'static)) -> bool {
    let within = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    let tls = within.map_or_else(
        || error.downcast_ref::<rustls::Error>(),
        |within| within.downcast_ref::<rustls::Error>(),
    );
    matches!(
        tls,
        Some(rustls::Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
        ))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_that_trickles_is_given_up() {
        let minute = Duration::from_secs(60);
        assert!(!is_too_slow(minute, 0));
        assert!(is_too_slow(minute + Duration::from_millis(1), 0));
        assert!(!is_too_slow(2 * minute, 240 * 1024));
        assert!(is_too_slow(2 * minute + Duration::from_millis(1), 240 * 1024));
        assert!(!is_too_slow(34 * minute, 8 << 20), "a part on a slow line");
    }

    #[test]
    fn an_answer_without_tls_is_told_in_plain_words() {
        let tls = rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType);
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, tls);
        assert!(
            innermost(&error).contains("does not speak TLS"),
            "{}",
            innermost(&error)
        );
        let other = std::io::Error::new(std::io::ErrorKind::InvalidData, rustls::Error::DecryptError);
        assert!(!innermost(&other).contains("does not speak TLS"));
    }

    #[tokio::test]
    async fn a_body_goes_out_in_frames_and_knows_its_length() {
        let bytes = Bytes::from(vec![7; FRAME_LEN + 1]);
        let body = OutBody::new(bytes.clone());
        assert_eq!(body.size_hint().exact(), Some(bytes.len() as u64));
        assert_eq!(body.collect().await.unwrap().to_bytes(), bytes);
        assert!(OutBody::default().is_end_stream());
    }
}
