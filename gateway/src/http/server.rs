//! Sockets: accepting, TLS, HTTP/1.1 and HTTP/2 with bounded memory, and an end that does not wait for stuck clients.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use tower::ServiceExt;

use self::activity::{Activity, answering};
use self::addresses::{Addresses, Place};
use self::bulk::{Gather, ReadAhead, SpareBuffers};
pub(super) use self::line::Line;
use self::line::stopped;
pub use self::proxied::TrustedProxies;
use super::middleware::{MAX_HEADER_BYTES, MAX_HEADERS, Peer};

mod activity;
mod addresses;
mod bulk;
mod line;
mod proxied;

/// Time for a TLS handshake together with the wait for room, for the head of a request, and of HTTP/1.1, where hyper has one
/// clock for both, for the pause before the next one.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of one stream, and of one connection, that may be on their way before they are read: enough for a fast network, and
/// times the connections a bound on memory.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const FRAME: u32 = 256 * 1024;

/// For so long a peer may acknowledge nothing of what was sent, or take nothing in: then it is gone, and its feeds hold no place
/// of its person any more.
#[cfg(target_os = "linux")]
const VANISHED: Duration = Duration::from_secs(60);

const MAX_STREAMS: u32 = 64;
/// Read buffer of an HTTP/1.1 connection; longer heads are refused.
const BUFFER: usize = 32 * 1024;
const SEND_BUFFER: usize = 1 << 20;
const PING: Duration = Duration::from_secs(30);

/// How many, and how long.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Connections at once; more wait to be accepted.
    pub connections: usize,
    /// Connections at once from one address (IPv4 /32, IPv6 /64); more are closed at once.
    pub connections_per_address: usize,
    /// Whether connections from this machine are not counted by address.
    pub exempt_loopback: bool,
    /// Time after which a connection without a request in flight is closed.
    pub idle_timeout: Duration,
    /// Time for requests that run when the gateway stops.
    pub shutdown_deadline: Duration,
}

/// Serves a router over TLS.
#[expect(missing_debug_implementations, reason = "the TLS acceptor has none")]
pub struct Server {
    router: Router,
    tls: TlsAcceptor,
    limits: ServerLimits,
    http: Arc<Versions>,
    doors: Arc<Doors>,
}

/// Who comes in: one machine has its share alone, and whoever has not finished a handshake takes no connection's room.
#[derive(Debug)]
struct Doors {
    addresses: Arc<Addresses>,
    proxies: TrustedProxies,
    /// Connections of trusted proxies that did not say whose they are.
    unheaded: Arc<AtomicU64>,
    handshakes: Arc<Semaphore>,
    connections: Arc<Semaphore>,
    spare: SpareBuffers,
}

impl Doors {
    fn new(limits: &ServerLimits, proxies: TrustedProxies) -> Self {
        Self {
            addresses: Addresses::new(limits.connections_per_address, limits.exempt_loopback),
            proxies,
            unheaded: Arc::default(),
            handshakes: Arc::new(Semaphore::new(limits.connections.div_ceil(2))),
            connections: Arc::new(Semaphore::new(limits.connections)),
            spare: SpareBuffers::default(),
        }
    }
}

impl Doors {
    fn read_ahead(&self, socket: TcpStream) -> ReadAhead<TcpStream> {
        ReadAhead::new(socket, self.spare.clone())
    }

    /// A place for one more connection of `peer`.
    fn place(&self, peer: SocketAddr) -> Option<Place> {
        let place = self.addresses.admit(peer.ip());
        if place.is_none() {
            tracing::debug!("closing a connection of an address that has its share");
        }
        place
    }

    /// Who is behind a trusted proxy.
    async fn behind(&self, socket: &mut TcpStream, proxy: SocketAddr) -> Option<SocketAddr> {
        match proxied::source(socket, proxy).await {
            Ok(peer) => Some(peer),
            Err(error) => {
                let count = self.unheaded.fetch_add(1, Ordering::Relaxed) + 1;
                tracing::warn!(%error, %proxy, count, "a trusted proxy did not say whose connection it is; closing it");
                None
            }
        }
    }
}

/// A socket whose handshake may begin.
struct Arrived {
    socket: TcpStream,
    peer: SocketAddr,
    /// None as long as a proxy has not said whose the connection is.
    place: Option<Place>,
    handshake: OwnedSemaphorePermit,
}

/// A connection with its peer, who has a place and room.
struct Entered {
    stream: TlsStream<ReadAhead<TcpStream>>,
    peer: SocketAddr,
    _place: Place,
    room: OwnedSemaphorePermit,
}

impl Server {
    /// A server of `router`, behind `proxies` or none.
    #[must_use]
    pub fn new(router: Router, tls: Arc<rustls::ServerConfig>, limits: ServerLimits, proxies: TrustedProxies) -> Self {
        Self {
            router,
            tls: TlsAcceptor::from(tls),
            doors: Arc::new(Doors::new(&limits, proxies)),
            limits,
            http: Arc::new(Versions::new()),
        }
    }

    /// Serves until `shutdown` is ready, then lets running requests end until the deadline.
    pub async fn run(self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let (stop, stopping) = watch::channel(false);
        let mut connections = JoinSet::new();
        tokio::pin!(shutdown);
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                arrived = accept(&listener, &self.doors) => {
                    connections.spawn(self.connection(arrived, stopping.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
        drop(listener);
        // A receiver is held here, so that sending cannot fail.
        let _ = stop.send(true);
        let ended = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.shutdown_deadline, ended)
            .await
            .is_err()
        {
            tracing::warn!("cutting off connections that did not end in time");
        }
        connections.shutdown().await;
    }

    /// One connection, from its handshake to its end.
    fn connection(
        &self,
        arrived: Arrived,
        mut stopping: watch::Receiver<bool>,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (router, tls, http) = (self.router.clone(), self.tls.clone(), Arc::clone(&self.http));
        let (doors, idle_timeout) = (Arc::clone(&self.doors), self.limits.idle_timeout);
        async move {
            let entered = tokio::select! {
                entered = enter(&doors, &tls, arrived) => entered,
                () = stopped(&mut stopping) => return,
            };
            let Some(Entered {
                stream,
                peer,
                _place,
                room,
            }) = entered
            else {
                return;
            };
            let line = Line::new(room, stopping.clone());
            let activity = Activity::new();
            let counting = activity.clone();
            let service = service_fn(move |request: hyper::Request<hyper::body::Incoming>| {
                let in_flight = counting.begin();
                let mut request = request.map(Body::new);
                request.extensions_mut().insert(Peer(peer.ip()));
                request.extensions_mut().insert(line.clone());
                let answer = router.clone().oneshot(request);
                async move { Ok::<_, Infallible>(answering(answer.await?, in_flight)) }
            });
            let connection = http.of(&stream).serve_connection(TokioIo::new(Gather(stream)), service);
            tokio::pin!(connection);
            let result = tokio::select! {
                result = connection.as_mut() => result,
                () = stopped(&mut stopping) => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
                () = activity.idle_for(idle_timeout) => {
                    connection.as_mut().graceful_shutdown();
                    // A request may just have come; and whoever does not answer the farewell is cut off.
                    tokio::select! {
                        result = connection => result,
                        () = activity.idle_for(HEAD_TIMEOUT) => Ok(()),
                    }
                }
            };
            if let Err(error) = result {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

/// Lets a connection in: finds out whose it is, shakes hands, and takes room for it.
async fn enter(doors: &Doors, tls: &TlsAcceptor, arrived: Arrived) -> Option<Entered> {
    let Arrived {
        mut socket,
        mut peer,
        place,
        handshake: _handshake,
    } = arrived;
    let place = match place {
        Some(place) => place,
        None => {
            peer = doors.behind(&mut socket, peer).await?;
            doors.place(peer)?
        }
    };
    let Some((stream, room)) = shake_hands(tls, doors.read_ahead(socket), Arc::clone(&doors.connections)).await else {
        tracing::debug!("a TLS handshake failed");
        return None;
    };
    Some(Entered {
        stream,
        peer,
        _place: place,
        room,
    })
}

/// A TLS handshake, and room for the connection; none if it fails or takes too long.
async fn shake_hands(
    tls: &TlsAcceptor,
    socket: ReadAhead<TcpStream>,
    room: Arc<Semaphore>,
) -> Option<(TlsStream<ReadAhead<TcpStream>>, OwnedSemaphorePermit)> {
    let shaken = async {
        let stream = tls.accept(socket).await.ok()?;
        Some((stream, room.acquire_owned().await.ok()?))
    };
    tokio::time::timeout(HEAD_TIMEOUT, shaken).await.ok().flatten()
}

/// The next connection, once there is room for its handshake. One of an address that has its share is closed at once. A
/// failure to accept (too many files, a peer gone) is not the end.
async fn accept(listener: &TcpListener, doors: &Doors) -> Arrived {
    loop {
        let Ok(handshake) = Arc::clone(&doors.handshakes).acquire_owned().await else {
            // The semaphore is never closed.
            std::future::pending::<()>().await;
            continue;
        };
        match listener.accept().await {
            Ok((socket, peer)) => {
                let is_proxy = doors.proxies.has(peer.ip());
                let place = if is_proxy { None } else { doors.place(peer) };
                if !is_proxy && place.is_none() {
                    continue;
                }
                // Without it small answers wait for the peer's acknowledgements.
                let _ = socket.set_nodelay(true);
                #[cfg(target_os = "linux")]
                let _ = socket2::SockRef::from(&socket).set_tcp_user_timeout(Some(VANISHED));
                return Arrived {
                    socket,
                    peer,
                    place,
                    handshake,
                };
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// How each version of HTTP is served. The handshake says which it is; whoever looks at the first bytes instead keeps them in a
/// larger buffer for as long as the connection lives.
struct Versions {
    http1: Builder<TokioExecutor>,
    http2: Builder<TokioExecutor>,
}

impl Versions {
    fn new() -> Self {
        Self {
            http1: http_builder().http1_only(),
            http2: http_builder().http2_only(),
        }
    }

    fn of(&self, stream: &TlsStream<ReadAhead<TcpStream>>) -> &Builder<TokioExecutor> {
        let (_, session) = stream.get_ref();
        if session.alpn_protocol() == Some(b"h2") {
            &self.http2
        } else {
            &self.http1
        }
    }
}

fn http_builder() -> Builder<TokioExecutor> {
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_frame_size(FRAME)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING)
        .keep_alive_timeout(HEAD_TIMEOUT);
    builder
}

#[cfg(test)]
mod tests;
