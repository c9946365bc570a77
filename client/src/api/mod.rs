//! Signed requests to one gateway: retries, refusals, and the bytes of answers. The typed calls stand in [`calls`](self).
//!
//! A request is signed anew for every attempt. What is repeated is safe to repeat: reads, parts (which are idempotent), and
//! posts under the same Idempotency-Key.

mod bulk;
mod calls;
mod error;
mod proxy;
mod tls;
mod transport;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use sealpost_proto::crypto::SigningKey;
use sealpost_proto::enrolment::GatewayAddress;
use sealpost_proto::http_signature::{self, Seen};
use sealpost_proto::id::Hash;
use sealpost_proto::problem::Problem;
use sealpost_proto::tree::tree_head;

pub use error::ApiError;
use proxy::Proxies;
pub use tls::Trust;
pub(crate) use transport::Endless;
use transport::{OutBody, Transport, read_body};

use crate::env::Env;

/// Waits before the second and each further attempt.
const BACKOFF: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(600),
    Duration::from_millis(1_800),
    Duration::from_millis(5_400),
];
/// Attempts at a gateway that has not answered at all so far: it is probably not there.
const FIRST_ATTEMPTS: usize = 3;
/// Longest wait that a gateway may ask for.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(15);
const MAX_PROBLEM_LEN: usize = 64 * 1024;

/// A client of one gateway, for one device.
#[derive(Debug)]
pub struct Api {
    at: GatewayAddress,
    transport: Transport,
    device: SigningKey,
    seen: Mutex<Seen>,
    /// Whether the gateway has ever answered this client.
    has_answered: AtomicBool,
    env: Env,
}

/// What is asked, before it is signed.
#[derive(Debug, Clone)]
struct Ask<'a> {
    method: Method,
    path: &'a str,
    query: String,
    content_type: Option<&'static str>,
    body: Bytes,
    part_root: Option<Hash>,
    range: Option<std::ops::Range<u64>>,
    idempotency_key: Option<String>,
    /// Longest answer.
    limit: usize,
}

impl Api {
    /// A client of the gateway at `at` whose requests `device` signs. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ApiError::Request`] when TLS 1.3 is not available.
    pub fn new(at: GatewayAddress, device: SigningKey, env: Env) -> Result<Self, ApiError> {
        let trust = Trust::Pin(at.pin);
        Self::trusting(trust, at, device, env)
    }

    /// The same with another trust than in the pin of `at`: for somebody who has none.
    ///
    /// # Errors
    /// As [`Api::new`].
    pub fn trusting(trust: Trust, at: GatewayAddress, device: SigningKey, env: Env) -> Result<Self, ApiError> {
        let seen = Seen {
            origin: at.gateway.directory_origin(),
            size: 0,
            root: Hash::from_bytes(tree_head(&[])),
        };
        Ok(Self {
            transport: Transport::new(trust, &at.url, &Proxies::of_environment())?,
            at,
            device,
            seen: Mutex::new(seen),
            has_answered: AtomicBool::new(false),
            env,
        })
    }

    /// The gateway.
    #[must_use]
    pub fn at(&self) -> &GatewayAddress {
        &self.at
    }

    /// Tells the gateway with every request from now on how much of its directory this client has seen.
    pub fn set_seen(&self, size: u64, root: Hash) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.size = size;
        seen.root = root;
    }

    /// Asks until there is an answer, a definite refusal, or no use in asking again. `answer` is filled from the start.
    async fn ask_into(&self, ask: &Ask<'_>, answer: &mut Vec<u8>) -> Result<(), ApiError> {
        let mut attempts = 0;
        loop {
            answer.clear();
            let (error, wanted) = match self.attempt(ask, answer).await {
                Ok(()) => return Ok(()),
                Err(failed) => failed,
            };
            let is_there = self.has_answered.load(Ordering::Relaxed);
            attempts += 1;
            let may_again = error.is_transient() && (is_there || attempts < FIRST_ATTEMPTS);
            let Some(wait) = BACKOFF.get(attempts - 1).filter(|_| may_again) else {
                return Err(error);
            };
            tokio::time::sleep(wanted.unwrap_or(*wait)).await;
        }
    }

    async fn ask(&self, ask: &Ask<'_>) -> Result<Vec<u8>, ApiError> {
        let mut answer = Vec::new();
        self.ask_into(ask, &mut answer).await?;
        Ok(answer)
    }

    /// One attempt; a failure comes with the wait that the gateway asked for.
    async fn attempt(&self, ask: &Ask<'_>, answer: &mut Vec<u8>) -> Result<(), (ApiError, Option<Duration>)> {
        let body = self.begun(ask).await?;
        let read = read_body(body, ask.limit, answer).await;
        read.map_err(|error| (self.at_url(error), None))
    }

    /// The body of a good answer, of which nothing was read yet.
    async fn begun(&self, ask: &Ask<'_>) -> Result<Incoming, (ApiError, Option<Duration>)> {
        let request = self.signed(ask).map_err(|error| (error, None))?;
        let sent = self.transport.send(request).await;
        let response = sent.map_err(|error| (self.at_url(error), None))?;
        self.has_answered.store(true, Ordering::Relaxed);
        if !response.status().is_success() {
            let wait = retry_after(response.headers());
            let error = self.refusal(response, wait).await;
            return Err((error, wait.map(|wait| wait.min(MAX_RETRY_AFTER))));
        }
        if ask.range.is_some() && response.status() != StatusCode::PARTIAL_CONTENT {
            return Err((ApiError::Answer("it ignores the range asked for"), None));
        }
        Ok(response.into_body())
    }

    /// One attempt to ask for an answer that does not end by itself; it may be silent for `silence`.
    async fn endless(&self, ask: &Ask<'_>, silence: Duration) -> Result<Endless, ApiError> {
        let body = self.begun(ask).await.map_err(|(error, _)| error)?;
        Ok(Endless::new(body, silence))
    }

    /// Says where it was tried.
    fn at_url(&self, error: ApiError) -> ApiError {
        match error {
            ApiError::Unreachable(why) => ApiError::Unreachable(format!("{}: {why}", self.at.url)),
            other => other,
        }
    }

    async fn refusal(&self, response: Response<Incoming>, wait: Option<Duration>) -> ApiError {
        let status = response.status().as_u16();
        let mut body = Vec::new();
        if let Err(error) = read_body(response.into_body(), MAX_PROBLEM_LEN, &mut body).await {
            return error;
        }
        let problem = serde_json::from_slice(&body).unwrap_or_else(|_| Problem {
            urn: String::new(),
            title: String::new(),
            status,
            req_id: String::new(),
            reason: None,
            time: None,
        });
        ApiError::Refused {
            problem: Box::new(Problem { status, ..problem }),
            local_time: self.env.now(),
            retry_after: wait.map(|wait| wait.as_secs()),
        }
    }

    fn signed(&self, ask: &Ask<'_>) -> Result<Request<OutBody>, ApiError> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).to_string();
        let authority = self.at.authority();
        let has_body = !matches!(ask.method, Method::GET | Method::DELETE);
        let length = has_body.then(|| ask.body.len().to_string());
        let has_digest = matches!(ask.method, Method::POST | Method::PATCH);
        let digest = has_digest.then(|| http_signature::content_digest(&ask.body));
        let part_root = ask.part_root.as_ref().map(http_signature::part_root);
        let parts = http_signature::Request {
            method: ask.method.as_str(),
            authority,
            path: ask.path,
            query: &ask.query,
            seen: Some(&seen),
            content_digest: digest.as_deref(),
            content_length: length.as_deref(),
            idempotency_key: ask.idempotency_key.as_deref(),
            part_root: part_root.as_deref(),
        };
        let signature = http_signature::sign(&parts, &self.device, self.env.now(), self.env.draw())
            .map_err(|_| ApiError::Request("a signed header is missing"))?;
        let separator = if ask.query.is_empty() { "" } else { "?" };
        let uri = format!("{}{}{separator}{}", self.at.url, ask.path, ask.query);
        let range = ask.range.as_ref();
        let headers = [
            ("sealpost-seen", Some(seen)),
            ("content-digest", digest),
            ("content-length", length),
            ("content-type", ask.content_type.map(str::to_owned)),
            ("idempotency-key", ask.idempotency_key.clone()),
            ("sealpost-part-root", part_root),
            (
                "range",
                range.map(|r| format!("bytes={}-{}", r.start, r.end.saturating_sub(1))),
            ),
            ("signature-input", Some(signature.input)),
            ("signature", Some(signature.signature)),
        ];
        let mut request = Request::new(OutBody::new(ask.body.clone()));
        *request.method_mut() = ask.method.clone();
        *request.uri_mut() = uri
            .parse()
            .map_err(|_| ApiError::Request("the gateway's address is malformed"))?;
        for (name, value) in headers {
            let Some(value) = value else { continue };
            let value = HeaderValue::from_str(&value).map_err(|_| ApiError::Request("a header is malformed"))?;
            request.headers_mut().insert(HeaderName::from_static(name), value);
        }
        Ok(request)
    }

    /// A new Idempotency-Key (UUID version 4).
    #[must_use]
    pub fn idempotency_key(&self) -> String {
        uuid::Builder::from_random_bytes(self.env.draw())
            .into_uuid()
            .to_string()
    }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::account::tests::account;

    fn api() -> Api {
        let account = account();
        Api::new(account.at, account.device, Env::system()).unwrap()
    }

    #[test]
    fn a_post_carries_what_its_signature_covers() {
        let api = api();
        let ask = Ask {
            method: Method::POST,
            path: "/v1/transfers",
            query: String::new(),
            content_type: Some("application/json"),
            body: Bytes::from_static(b"{}"),
            part_root: None,
            range: None,
            idempotency_key: Some(api.idempotency_key()),
            limit: 10,
        };
        let request = api.signed(&ask).unwrap();
        let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap());
        let received =
            http_signature::ReceivedSignature::parse(header("signature-input").unwrap(), header("signature").unwrap());
        let parts = http_signature::Request {
            method: "POST",
            authority: "gw.example:8443",
            path: "/v1/transfers",
            query: "",
            seen: header("sealpost-seen"),
            content_digest: header("content-digest"),
            content_length: header("content-length"),
            idempotency_key: header("idempotency-key"),
            part_root: None,
        };
        received.unwrap().verify(&parts).unwrap();
    }

    #[tokio::test]
    async fn nobody_there_is_unreachable() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let mut at = account().at;
        at.url = format!("https://127.0.0.1:{port}");
        let api = Api::new(at, account().device, Env::system()).unwrap();
        let ask = Ask {
            method: Method::GET,
            path: "/v1/info",
            query: String::new(),
            content_type: None,
            body: Bytes::new(),
            part_root: None,
            range: None,
            idempotency_key: None,
            limit: 10,
        };
        let (error, _) = api.attempt(&ask, &mut Vec::new()).await.unwrap_err();
        assert!(matches!(error, ApiError::Unreachable(_)), "{error}");
        assert!(error.to_string().contains(&api.at.url), "{error}");
    }
}
