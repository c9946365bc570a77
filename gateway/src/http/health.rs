//! Health, for who runs the gateway: on a listener of its own, in plain HTTP, and nothing in it about anybody.
//!
//! `GET /healthz` answers as long as the process does. `GET /readyz` says what works and answers 503 when the gateway cannot
//! serve: because it stops, or because nothing can be written down. What only needs the operator's attention (a disk that fills,
//! a damaged journal, a clock in doubt, a sweep that fails) is told and keeps the answer at 200: those who have transfers here
//! can still open them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::uri::Authority;
use http::{HeaderValue, StatusCode, header};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// What is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether requests can be served.
    pub ready: bool,
    /// Whether the gateway is stopping.
    pub stopping: bool,
    /// Whether records can be written.
    pub ledger: LedgerHealth,
    /// Whether all of the journal is what was written.
    pub journal: JournalHealth,
    /// Room for ciphertext.
    pub disk: DiskHealth,
    /// Percent of the data folder's file system in use.
    pub disk_used_percent: Option<u8>,
    /// Whether the clock can be trusted.
    pub clock: ClockHealth,
    /// Whether what is due is destroyed.
    pub sweep: SweepHealth,
    /// When the last sweep that did all it had to ended, unix seconds.
    pub sweep_succeeded_at: Option<u64>,
}

/// Whether records can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LedgerHealth {
    /// They can.
    Writable,
    /// The disk is full: nothing can be done that has to be written down, until there is room.
    Full,
    /// It has stopped, or does not answer.
    Stopped,
}

/// Whether all of the journal is what was written. A start reads its last part alone; the rest is read while it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum JournalHealth {
    /// It is being read; nothing bad was found yet.
    Verifying,
    /// It is.
    Verified,
    /// It is not: the log says which file, and the operator has to act.
    Damaged,
}

/// Room for ciphertext.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskHealth {
    /// There is room.
    Ok,
    /// New transfers are refused.
    RefusesTransfers,
    /// Parts are refused as well.
    RefusesParts,
    /// The file system does not say.
    Unknown,
}

/// Whether the clock can be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClockHealth {
    /// It can.
    Ok,
    /// It has stepped: nothing that expires is destroyed.
    Stepped,
    /// It is behind the journal: nothing that expires is destroyed.
    Behind,
    /// Nothing says that it is synchronised.
    NotSynchronised,
}

/// Whether what is due is destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepHealth {
    /// It is.
    Ok,
    /// The last sweep left something undone.
    Failing,
}

/// Looks how the gateway is.
#[async_trait]
pub trait HealthChecks: Send + Sync {
    /// How it is now.
    async fn report(&self) -> Report;
}

/// Connections at once: monitors ask one by one, and what others hold open must not use up the gateway's descriptors.
const CONNECTIONS: usize = 16;

/// Time for a connection with its request and answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Tells health at `listener`, for as long as it is waited for. One request a connection.
///
/// # Errors
/// The listener failed.
pub async fn tell_health(listener: TcpListener, checks: Arc<dyn HealthChecks>) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .layer(from_fn(check_host))
        .with_state(checks);
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        let (socket, _) = listener.accept().await?;
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let served = http1::Builder::new()
                .keep_alive(false)
                .serve_connection(TokioIo::new(socket), service);
            // Who is too slow, or speaks something else, is cut off and asks again.
            let _ = timeout(DEADLINE, served).await;
        });
    }
}

/// Refuses a name that is not this machine's: a page in a browser here can make its own name mean this address.
async fn check_host(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let authority = host.and_then(|host| host.parse::<Authority>().ok());
    let name = authority.as_ref().map_or("", |authority| authority.host());
    let is_address = name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok();
    if is_address || name.eq_ignore_ascii_case("localhost") {
        return next.run(request).await;
    }
    StatusCode::MISDIRECTED_REQUEST.into_response()
}

async fn readyz(State(checks): State<Arc<dyn HealthChecks>>) -> Response {
    let report = checks.report().await;
    let status = if report.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let no_store = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    (status, [no_store], Json(report)).into_response()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    struct Told(Report);

    #[async_trait]
    impl HealthChecks for Told {
        async fn report(&self) -> Report {
            self.0.clone()
        }
    }

    async fn ask(report: Report, path: &str) -> String {
        ask_as(report, path, "127.0.0.1:8444").await
    }

    async fn ask_as(report: Report, path: &str, host: &str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = async {
            let mut socket = TcpStream::connect(address).await.unwrap();
            let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
            socket.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            socket.read_to_string(&mut answer).await.unwrap();
            answer
        };
        tokio::select! {
            answer = asked => answer,
            ended = tell_health(listener, Arc::new(Told(report))) => panic!("{ended:?}"),
        }
    }

    #[tokio::test]
    async fn life_and_readiness_are_two_things() {
        let well = Report {
            ready: true,
            stopping: false,
            ledger: LedgerHealth::Writable,
            journal: JournalHealth::Verified,
            disk: DiskHealth::RefusesTransfers,
            disk_used_percent: Some(88),
            clock: ClockHealth::Ok,
            sweep: SweepHealth::Ok,
            sweep_succeeded_at: Some(7),
        };
        let answer = ask(well.clone(), "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let (_, json) = answer.split_once("\r\n\r\n").unwrap();
        let expected = r#"{"ready":true,"stopping":false,"ledger":"writable","journal":"verified","disk":"refuses_transfers","disk_used_percent":88,"clock":"ok","sweep":"ok","sweep_succeeded_at":7}"#;
        assert_eq!(json, expected);
        let ill = Report { ready: false, ..well };
        assert!(ask(ill.clone(), "/readyz").await.starts_with("HTTP/1.1 503"));
        assert!(ask(ill.clone(), "/healthz").await.starts_with("HTTP/1.1 200"));
        assert!(ask(ill.clone(), "/metrics").await.starts_with("HTTP/1.1 404"));
        for (host, status) in [
            ("localhost:8444", "200"),
            ("[::1]:8444", "200"),
            ("rebound.example", "421"),
            ("", "421"),
        ] {
            let answer = ask_as(ill.clone(), "/healthz", host).await;
            assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{host}: {answer}");
        }
    }
}
