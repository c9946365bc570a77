//! Who comes in, and the end of a server: nobody can keep others out or hold it up.

use std::time::Instant;

use axum::routing::get;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::*;
use crate::config;
use crate::tls::{server_tls, tests::client_of};

const IDLE: Duration = Duration::from_secs(1);

struct Running {
    address: SocketAddr,
    connector: TlsConnector,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn start(router: Router, deadline: Duration) -> Running {
    start_behind(router, deadline, TrustedProxies::none()).await
}

async fn start_behind(router: Router, deadline: Duration, proxies: TrustedProxies) -> Running {
    let folder = tempfile::tempdir().unwrap();
    let tls = server_tls(&config::Tls::default(), folder.path(), "gw.example").unwrap();
    let connector = TlsConnector::from(Arc::new(client_of(folder.path())));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ServerLimits {
        connections: 8,
        connections_per_address: 3,
        exempt_loopback: false,
        idle_timeout: IDLE,
        shutdown_deadline: deadline,
    };
    let (stop, stopped) = oneshot::channel();
    let server = Server::new(router, tls.config, limits, proxies);
    let shutdown = async move { drop(stopped.await) };
    Running {
        address,
        connector,
        stop,
        server: tokio::spawn(server.run(listener, shutdown)),
        _folder: folder,
    }
}

impl Running {
    async fn ask(&self, path: &str) -> TlsStream<TcpStream> {
        let socket = TcpStream::connect(self.address).await.unwrap();
        self.ask_on(socket, path).await
    }

    async fn ask_on(&self, socket: TcpStream, path: &str) -> TlsStream<TcpStream> {
        let name = ServerName::try_from("gw.example").unwrap();
        let mut stream = self.connector.connect(name, socket).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: gw.example\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }
}

#[tokio::test]
async fn clients_that_never_end_are_cut_at_the_deadline() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let stuck = move || {
        arrived.send(()).unwrap();
        std::future::pending::<&str>()
    };
    let router = Router::new().route("/stuck", get(stuck));
    let deadline = Duration::from_millis(300);
    let running = start(router, deadline).await;
    let _silent = TcpStream::connect(running.address).await.unwrap();
    let mut asking = running.ask("/stuck").await;
    arrivals.recv().await.unwrap();
    let begun = Instant::now();
    running.stop.send(()).unwrap();
    running.server.await.unwrap();
    assert!(begun.elapsed() >= deadline && begun.elapsed() < Duration::from_secs(5));
    let mut rest = Vec::new();
    assert!(
        asking.read_to_end(&mut rest).await.is_err() || rest.is_empty(),
        "it was cut off"
    );
}

#[tokio::test]
async fn what_runs_may_end_and_what_idles_is_closed_at_once() {
    let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
    let slow = move || async move {
        arrived.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(300)).await;
        "done"
    };
    let router = Router::new()
        .route("/slow", get(slow))
        .route("/", get(|| async { "hello" }));
    let running = start(router, Duration::from_secs(60)).await;
    let mut idle = running.ask("/").await;
    let mut hello = vec![0; 512];
    assert!(idle.read(&mut hello).await.unwrap() > 0);
    let mut slow = running.ask("/slow").await;
    arrivals.recv().await.unwrap();
    let begun = Instant::now();
    running.stop.send(()).unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.ends_with("done"),
        "{answer}"
    );
    running.server.await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(10),
        "the idle connection did not hold it up"
    );
}

/// Whether the server closes this socket without a byte.
async fn is_closed(socket: &mut TcpStream) -> bool {
    let mut byte = [0];
    let read = tokio::time::timeout(Duration::from_secs(5), socket.read(&mut byte)).await;
    matches!(read, Ok(Ok(0) | Err(_)))
}

#[tokio::test]
async fn one_address_gets_its_share_and_no_more() {
    let running = start(
        Router::new().route("/", get(|| async { "hello" })),
        Duration::from_secs(1),
    )
    .await;
    let mut answered = running.ask("/").await;
    let mut hello = vec![0; 512];
    assert!(answered.read(&mut hello).await.unwrap() > 0);
    let _silent = [
        TcpStream::connect(running.address).await.unwrap(),
        TcpStream::connect(running.address).await.unwrap(),
    ];
    let mut fourth = TcpStream::connect(running.address).await.unwrap();
    assert!(is_closed(&mut fourth).await, "before any handshake");
    drop(answered);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut again = running.ask("/").await;
    assert!(again.read(&mut hello).await.unwrap() > 0, "a place was free again");
}

#[test]
fn handshakes_leave_room_for_connections() {
    let limits = ServerLimits {
        connections: 256,
        connections_per_address: 64,
        exempt_loopback: true,
        idle_timeout: IDLE,
        shutdown_deadline: Duration::ZERO,
    };
    let doors = Doors::new(&limits, TrustedProxies::none());
    assert!(doors.handshakes.available_permits() < doors.connections.available_permits());
    assert!(
        doors.handshakes.available_permits() > limits.connections_per_address,
        "one address cannot take all handshakes"
    );
}

/// HTTP/2 without a request: what a client does that only wants to take room. It answers pings, and so seems to be alive.
#[tokio::test]
async fn a_connection_without_a_request_is_closed() {
    let running = start(Router::new(), Duration::from_secs(1)).await;
    let socket = TcpStream::connect(running.address).await.unwrap();
    let name = ServerName::try_from("gw.example").unwrap();
    let mut tls = rustls::ClientConfig::clone(running.connector.config());
    tls.alpn_protocols = vec![b"h2".to_vec()];
    let connector = TlsConnector::from(Arc::new(tls));
    let begun = Instant::now();
    let mut stream = connector.connect(name, socket).await.unwrap();
    stream
        .write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0")
        .await
        .unwrap();
    let answers = async {
        let mut head = [0; 9];
        while stream.read_exact(&mut head).await.is_ok() {
            let mut payload = vec![0; usize::from(head[2])];
            stream.read_exact(&mut payload).await.unwrap();
            let (is_ping, is_answer) = (head[3] == 6, head[4] & 1 == 1);
            if is_ping && !is_answer {
                head[4] = 1;
                stream.write_all(&[&head[..], &payload].concat()).await.unwrap();
            }
        }
    };
    tokio::time::timeout(IDLE * 8, answers).await.expect("it was closed");
    assert!(begun.elapsed() >= IDLE);
}

/// Answers with the address that the server took for the caller's.
async fn whoami(request: axum::extract::Request) -> String {
    request.extensions().get::<Peer>().unwrap().0.to_string()
}

async fn answer(stream: &mut TlsStream<TcpStream>) -> String {
    let mut answer = vec![0; 512];
    let len = stream.read(&mut answer).await.unwrap();
    let answer = String::from_utf8(answer[..len].to_vec()).unwrap();
    answer.rsplit("\r\n").next().unwrap().to_owned()
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_address_is_the_one_that_it_states() {
    let router = Router::new().route("/", get(whoami));
    let trusted = TrustedProxies::new(|address| address.is_loopback());
    let running = start_behind(router, Duration::from_secs(1), trusted).await;
    let connect = async |header: &[u8]| {
        let mut socket = TcpStream::connect(running.address).await.unwrap();
        socket.write_all(header).await.unwrap();
        socket
    };
    let stated = proxied::tests::from_v4([192, 0, 2, 7]);
    let mut asking = running.ask_on(connect(&stated).await, "/").await;
    assert_eq!(answer(&mut asking).await, "192.0.2.7");
    let local = proxied::tests::header(0x20, 0, &[]);
    let mut checking = running.ask_on(connect(&local).await, "/").await;
    assert_eq!(answer(&mut checking).await, "127.0.0.1");

    // The share of connections is the stated address's, not the proxy's.
    let mut more = Vec::new();
    for _ in 0..2 {
        more.push(running.ask_on(connect(&stated).await, "/").await);
        assert_eq!(answer(more.last_mut().unwrap()).await, "192.0.2.7");
    }
    assert!(is_closed(&mut connect(&stated).await).await, "the fourth");
    let other = proxied::tests::from_v4([192, 0, 2, 8]);
    let mut neighbour = running.ask_on(connect(&other).await, "/").await;
    assert_eq!(answer(&mut neighbour).await, "192.0.2.8");

    for malformed in [
        &b"GET / HTTP/1.1\r\n\r\n......"[..],
        &proxied::tests::header(0x21, 0x12, &[0; 12]),
    ] {
        assert!(is_closed(&mut connect(malformed).await).await);
    }
    let mut headless = TcpStream::connect(running.address).await.unwrap();
    headless
        .write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 0, 0, 0, 0, 0, 0, 0, 0])
        .await
        .unwrap();
    assert!(is_closed(&mut headless).await, "a handshake without a header");
}

#[tokio::test]
async fn nobody_else_states_an_address() {
    let router = Router::new().route("/", get(whoami));
    let trusted = TrustedProxies::new(|address| !address.is_loopback());
    let running = start_behind(router, Duration::from_secs(1), trusted).await;
    let mut socket = TcpStream::connect(running.address).await.unwrap();
    socket
        .write_all(&proxied::tests::from_v4([192, 0, 2, 7]))
        .await
        .unwrap();
    let mut alert = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), socket.read_to_end(&mut alert)).await;
    assert!(
        ended.is_ok() && alert.first().is_none_or(|kind| *kind == 21),
        "a TLS alert at most: {alert:?}"
    );
    let mut asking = running.ask("/").await;
    assert_eq!(answer(&mut asking).await, "127.0.0.1");
}
