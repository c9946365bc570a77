//! The way to a gateway: straight, or through the proxy that the environment names (`HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
//!
//! A proxy is asked for a tunnel and sees nothing within: TLS to the gateway, with its pin, is inside. What a proxy is told is the
//! gateway's name, and its own name and password, which are never shown.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::Uri;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder, MaybeHttpsStream};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tower_service::Service;

use super::tls::{self, Trust};
use super::transport::innermost;

/// What the environment says of proxies.
pub(super) struct Proxies {
    matcher: Matcher,
    /// A proxy is named, and its address cannot be used.
    is_malformed: bool,
}

impl Proxies {
    /// As the process's environment says.
    pub(super) fn of_environment() -> Self {
        let named = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        let named = named
            .iter()
            .filter_map(std::env::var_os)
            .find(|value| !value.is_empty());
        let usable = |value: std::ffi::OsString| value.to_str().is_some_and(is_usable);
        Self {
            matcher: Matcher::from_env(),
            is_malformed: named.is_some_and(|value| !usable(value)),
        }
    }

    /// The way to `gateway`.
    pub(super) fn connector(&self, tcp: HttpConnector, gateway: &Uri) -> Connector {
        let way = match self.matcher.intercept(gateway) {
            Some(proxy) => tunnel(&proxy, tcp),
            // Going straight where a proxy was asked for would show the gateway's name to the wrong network.
            None if self.is_malformed && !self.is_exempt(gateway) => Way::Closed(
                "the proxy in HTTPS_PROXY or ALL_PROXY is not an address like http://proxy.example:3128".to_owned(),
            ),
            None => Way::Straight(tcp),
        };
        Connector(way)
    }

    /// Whether `NO_PROXY` names the gateway: then no proxy would be used, whatever its address.
    fn is_exempt(&self, gateway: &Uri) -> bool {
        let no = ["NO_PROXY", "no_proxy"];
        let no = no.iter().find_map(|name| std::env::var(name).ok()).unwrap_or_default();
        let probe = Matcher::builder().all("http://proxy.invalid").no(no).build();
        probe.intercept(gateway).is_none()
    }
}

fn is_usable(proxy: &str) -> bool {
    let any = Uri::from_static("https://gateway.invalid");
    Matcher::builder().all(proxy).build().intercept(&any).is_some()
}

fn tunnel(proxy: &Intercept, tcp: HttpConnector) -> Way {
    let uri = proxy.uri().clone();
    let shown = shown(&uri);
    match uri.scheme_str() {
        Some("http") => Way::Tunnel {
            tunnel: with_auth(Tunnel::new(uri, tcp), proxy),
            shown,
        },
        Some("https") => {
            let Ok((config, _)) = tls::config(Trust::SystemRoots) else {
                return Way::Closed("TLS 1.3 is not available".to_owned());
            };
            let builder = HttpsConnectorBuilder::new().with_tls_config(config);
            let connector = builder.https_only().enable_http1().wrap_connector(tcp);
            Way::SecureTunnel {
                tunnel: with_auth(Tunnel::new(uri, connector), proxy),
                shown,
            }
        }
        _ => Way::Closed(format!(
            "the proxy {shown} is of a kind that this client does not know; name an http:// or https:// proxy"
        )),
    }
}

fn with_auth<C>(tunnel: Tunnel<C>, proxy: &Intercept) -> Tunnel<C> {
    match proxy.basic_auth() {
        Some(auth) => tunnel.with_auth(auth.clone()),
        None => tunnel,
    }
}

/// Where a proxy is, without name and password.
fn shown(proxy: &Uri) -> String {
    let port = proxy.port().map_or(String::new(), |port| format!(":{port}"));
    crate::text::line(&format!("{}{port}", proxy.host().unwrap_or_default()))
}

/// Connects to one gateway.
#[derive(Debug, Clone)]
pub(super) struct Connector(Way);

#[derive(Debug, Clone)]
enum Way {
    Straight(HttpConnector),
    Tunnel {
        tunnel: Tunnel<HttpConnector>,
        shown: String,
    },
    SecureTunnel {
        tunnel: Tunnel<HttpsConnector<HttpConnector>>,
        shown: String,
    },
    /// Why there is none.
    Closed(String),
}

/// Why there is no way to the gateway. What caused it is told in words alone: a proxy's certificate is not the gateway's.
#[derive(Debug)]
pub(super) struct NoWay(String);

impl fmt::Display for NoWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NoWay {}

impl NoWay {
    fn through(shown: &str, error: &(dyn std::error::Error + 'static)) -> Self {
        if error.source().is_some() {
            return Self(format!("the proxy {shown} cannot be reached: {}", innermost(error)));
        }
        // The library keeps the type of this error to itself.
        let said = error.to_string();
        let why = match said.rsplit(": ").next().unwrap_or_default() {
            "proxy authorization required" => {
                "asks for a name and a password, or refuses those that HTTPS_PROXY or ALL_PROXY names (407)"
            }
            "unsuccessful" => "refuses to connect to the gateway; ask whoever runs it",
            "unexpected end of file" => "closed the connection",
            _ => "gave no answer that can be understood",
        };
        Self(format!("the proxy {shown} {why}"))
    }
}

/// A connection on which TLS to the gateway begins.
pub(super) type Stream = MaybeHttpsStream<TokioIo<TcpStream>>;
type Connecting = Pin<Box<dyn Future<Output = Result<Stream, NoWay>> + Send>>;

impl Service<Uri> for Connector {
    type Response = Stream;
    type Error = NoWay;
    type Future = Connecting;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), NoWay>> {
        // None of the connectors within ever has to be waited for.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, gateway: Uri) -> Connecting {
        match self.0.clone() {
            Way::Straight(mut tcp) => Box::pin(async move {
                let connected = tcp.call(gateway).await;
                connected
                    .map(MaybeHttpsStream::Http)
                    .map_err(|error| NoWay(innermost(&error)))
            }),
            Way::Tunnel { mut tunnel, shown } => Box::pin(async move {
                let connected = tunnel.call(gateway).await;
                connected
                    .map(MaybeHttpsStream::Http)
                    .map_err(|error| NoWay::through(&shown, &error))
            }),
            Way::SecureTunnel { mut tunnel, shown } => Box::pin(async move {
                let connected = tunnel.call(gateway).await;
                connected.map_err(|error| NoWay::through(&shown, &error))
            }),
            Way::Closed(why) => Box::pin(std::future::ready(Err(NoWay(why)))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair};
    use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use super::super::ApiError;
    use super::super::transport::{OutBody, Transport};
    use super::*;

    fn way(all: &str, no: &str) -> Way {
        let proxies = Proxies {
            matcher: Matcher::builder().all(all).no(no).build(),
            is_malformed: !is_usable(all),
        };
        let gateway = Uri::from_static("https://gw.example:8443/v1");
        proxies.connector(HttpConnector::new(), &gateway).0
    }

    #[test]
    fn a_proxy_is_used_unless_the_gateway_is_exempt() {
        for proxy in ["http://proxy.example:3128", "proxy.example:3128"] {
            assert!(matches!(way(proxy, ""), Way::Tunnel { shown, .. } if shown == "proxy.example:3128"));
        }
        assert!(matches!(way("https://proxy.example", ""), Way::SecureTunnel { .. }));
        for no in ["gw.example", "*", ".example", "a.example, gw.example"] {
            assert!(matches!(way("http://proxy.example:3128", no), Way::Straight(_)), "{no}");
        }
    }

    #[test]
    fn what_cannot_be_used_is_not_passed_over_in_silence() {
        for proxy in ["ftp://proxy.example", "http://", "socks5://proxy.example:1080"] {
            let Way::Closed(why) = way(proxy, "") else {
                panic!("{proxy} is used")
            };
            assert!(why.contains("http://"), "{why}");
        }
    }

    #[test]
    fn name_and_password_are_never_shown() {
        let way = way("http://somebody:opensesame@proxy.example:3128", "");
        let shown = format!("{way:?}");
        assert!(!shown.contains("somebody") && !shown.contains("opensesame"), "{shown}");
        assert!(!shown.contains("c29tZWJvZHk6b3BlbnNlc2FtZQ"), "{shown}");
        assert!(shown.contains("proxy.example:3128"), "{shown}");
    }

    /// A proxy that makes a tunnel, and opens what goes through it with a certificate of its own making.
    async fn inspecting_proxy() -> String {
        let (authority, leaf) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut issuer = CertificateParams::new(Vec::new()).unwrap();
        issuer.distinguished_name = DistinguishedName::new();
        issuer
            .distinguished_name
            .push(DnType::CommonName, "Clinic Web Inspection");
        let issuer = Issuer::new(issuer, &authority);
        let params = CertificateParams::new(vec!["gw.example".to_owned()]).unwrap();
        let certificate = params.signed_by(&leaf, &issuer).unwrap().der().clone();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(leaf.serialize_der()));
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(stream.read_u8().await.unwrap());
                }
                assert!(head.starts_with(b"CONNECT gw.example:8443 "));
                stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                // The client refuses the handshake.
                let _ = acceptor.accept(stream).await;
            }
        });
        url
    }

    #[tokio::test]
    async fn a_proxy_that_opens_the_tunnel_is_named() {
        let proxies = Proxies {
            matcher: Matcher::builder().all(inspecting_proxy().await).build(),
            is_malformed: false,
        };
        let transport = Transport::new(Trust::Pin([7; 32]), "https://gw.example:8443", &proxies).unwrap();
        let mut request = http::Request::new(OutBody::default());
        *request.uri_mut() = Uri::from_static("https://gw.example:8443/v1/info");
        let refused = transport.send(request).await.unwrap_err();
        assert!(
            matches!(&refused, ApiError::Intercepted(by) if by.contains("Clinic Web Inspection")),
            "{refused}"
        );
    }
}
