//! Who is behind a proxy: the PROXY protocol, version 2, before TLS begins.
//!
//! Only a connection from a trusted proxy is asked for such a header, and then it must have one; from anybody else the same bytes
//! are no TLS and end the connection. The header is read to its last byte and no further.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use proxy_header::{ParseConfig, Protocol, ProxyHeader};
use tokio::io::{AsyncRead, AsyncReadExt};

/// Time for the header to arrive: a proxy sends it at once.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Signature, command, family and length.
const HEAD: usize = 16;

/// Most bytes after the head: addresses and what proxies add about the connection.
const MAX_REST: usize = 2 * 1024;

/// Says which addresses are those of trusted proxies.
#[derive(Clone)]
pub struct TrustedProxies(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl TrustedProxies {
    /// Those of which `is_trusted` says so.
    pub fn new(is_trusted: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(is_trusted))
    }

    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self::new(|_| false)
    }

    pub(super) fn has(&self, address: IpAddr) -> bool {
        (self.0)(address)
    }
}

impl fmt::Debug for TrustedProxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TrustedProxies")
    }
}

/// Whose connection it is that comes from `proxy`: what the header says, or the proxy itself when it speaks for nobody, as when
/// it looks whether the gateway lives.
///
/// # Errors
/// No whole and well-formed header in time.
pub(super) async fn source(stream: &mut (impl AsyncRead + Unpin), proxy: SocketAddr) -> io::Result<SocketAddr> {
    let header = tokio::time::timeout(TIMEOUT, read(stream)).await??;
    let config = ParseConfig {
        include_tlvs: false,
        allow_v1: false,
        allow_v2: true,
    };
    let (parsed, len) = ProxyHeader::parse(&header, config).map_err(|_| malformed())?;
    match parsed.proxied_address() {
        _ if len != header.len() => Err(malformed()),
        Some(address) if address.protocol == Protocol::Stream => Ok(address.source),
        Some(_) => Err(malformed()),
        None => Ok(proxy),
    }
}

/// A header's bytes, by the length it states.
async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let mut head = [0; HEAD];
    stream.read_exact(&mut head).await?;
    let [.., high, low] = head;
    let rest = usize::from(u16::from_be_bytes([high, low]));
    if rest > MAX_REST {
        return Err(malformed());
    }
    let mut header = head.to_vec();
    header.resize(HEAD + rest, 0);
    let (_, tail) = header.split_at_mut(HEAD);
    stream.read_exact(tail).await?;
    Ok(header)
}

fn malformed() -> io::Error {
    io::Error::from(io::ErrorKind::InvalidData)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";
    const PROXY: &str = "10.0.0.1:7";

    /// A header with this command and family over these bytes.
    pub(in super::super) fn header(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let len = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &len, rest].concat()
    }

    /// A header that says that the connection comes from this IPv4 address.
    pub(in super::super) fn from_v4(address: [u8; 4]) -> Vec<u8> {
        header(
            0x21,
            0x11,
            &[&address[..], &[192, 0, 2, 99], &[0x10, 0, 0x20, 0]].concat(),
        )
    }

    async fn told(bytes: &[u8]) -> Option<String> {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        tokio::io::AsyncWriteExt::write_all(&mut theirs, bytes).await.unwrap();
        let source = source(&mut ours, PROXY.parse().unwrap()).await.ok();
        source.map(|address| address.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn headers_say_who_it_is_or_end_the_connection() {
        let six = [&[0x20; 16][..], &[0x30; 16], &[0, 1, 0, 2]].concat();
        let with_more = [&[192, 0, 2, 7, 192, 0, 2, 99, 0, 1, 0, 2][..], &[4, 0, 1, 9]].concat();
        for (bytes, expected) in [
            (from_v4([192, 0, 2, 7]), Some("192.0.2.7:4096")),
            (header(0x21, 0x11, &with_more), Some("192.0.2.7:1")),
            (
                header(0x21, 0x21, &six),
                Some("[2020:2020:2020:2020:2020:2020:2020:2020]:1"),
            ),
            (header(0x20, 0x00, &[]), Some(PROXY)),
            (header(0x20, 0x11, &with_more), Some(PROXY)),
            (header(0x21, 0x00, &[]), Some(PROXY)),
            (header(0x21, 0x12, &with_more), None),
            (header(0x22, 0x11, &with_more), None),
            (header(0x31, 0x11, &with_more), None),
            (header(0x21, 0x11, &[0; 11]), None),
            (header(0x21, 0x21, &[0; 35]), None),
            (header(0x21, 0x51, &six), None),
            (header(0x21, 0x11, &[0; 2049]), None),
            (from_v4([192, 0, 2, 7])[..27].to_vec(), None),
            (SIGNATURE.to_vec(), None),
            (b"PROXY TCP4 192.0.2.7 192.0.2.99 1 2\r\n".to_vec(), None),
            (vec![22, 3, 1, 0, 200, 1, 0, 0, 196, 3, 3, 0, 0, 0, 0, 0, 0], None),
            (Vec::new(), None),
        ] {
            assert_eq!(told(&bytes).await.as_deref(), expected, "{bytes:?}");
        }
    }
}
