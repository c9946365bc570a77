//! An HTTP proxy such as hospitals have between their network and the world: it knows `CONNECT` alone, counts, and keeps what it was
//! asked.

use std::io::{self, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Longest head of a request.
const MAX_HEAD: usize = 8 * 1024;

/// What a proxy does with whoever asks for a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It makes one to where it was asked for.
    Tunnel,
    /// It makes one to this port of the local machine, whatever it was asked for.
    Elsewhere(u16),
    /// It says no with this status line's end, such as `403 Forbidden`.
    Refusal(&'static str),
}

/// A proxy on a free port. It runs until the process ends.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Starts one.
    ///
    /// # Errors
    /// When there is no free port.
    pub fn start(answer: Answer) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let seen = Arc::clone(&asked);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let seen = Arc::clone(&seen);
                // A connection that breaks is the client's to notice.
                thread::spawn(move || serve(client, answer, &seen));
            }
        });
        Ok(Self { port, asked })
    }

    /// Its address without a name and a password: `127.0.0.1:3128`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The heads of all requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn serve(mut client: TcpStream, answer: Answer, asked: &Mutex<Vec<String>>) -> io::Result<()> {
    let head = head(&mut client)?;
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let is_connect = head.starts_with("CONNECT ");
    asked.lock().unwrap_or_else(PoisonError::into_inner).push(head);
    let target = match answer {
        _ if !is_connect => return refuse(&mut client, "405 Method Not Allowed"),
        Answer::Refusal(status) => return refuse(&mut client, status),
        Answer::Elsewhere(port) => format!("127.0.0.1:{port}"),
        Answer::Tunnel => target,
    };
    let Ok(server) = TcpStream::connect(target) else {
        return refuse(&mut client, "502 Bad Gateway");
    };
    client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let copied = io::copy(&mut from_client, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
        copied
    });
    let (mut from_server, mut to_client) = (server, client);
    io::copy(&mut from_server, &mut to_client)?;
    let _ = to_client.shutdown(Shutdown::Write);
    let _ = up.join();
    Ok(())
}

fn refuse(client: &mut TcpStream, status: &str) -> io::Result<()> {
    client.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes())
}

/// Reads to the empty line that ends a head.
fn head(client: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend_from_slice(&byte);
        if head.len() > MAX_HEAD {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}
