//! A path with a delay and a loss: takes datagrams from two sides, drops some by chance, and gives the others on later, in order.
//! For kernels whose traffic control has no `netem`. What it carries are whole packets (of VXLAN), so both ends run their real TCP
//! over it and see a loss as a loss.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_recv_buffer_size_force;

use super::samples::Numbers;
use crate::run::Outcome;

/// Bytes that wait to be read, for bursts.
const BUFFER: usize = 64 << 20;
const LARGEST: usize = 64 << 10;

/// What the path does to packets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Path {
    /// In one direction.
    pub(super) delay: Duration,
    /// Of ten thousand packets in one direction.
    pub(super) lost: u64,
}

/// One side: our address, and theirs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Side {
    pub(super) here: SocketAddr,
    pub(super) there: SocketAddr,
}

/// A running relay; it ends when dropped.
#[derive(Debug)]
pub(super) struct Relay {
    ends: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// Packets that were given on, and that were dropped.
    pub(super) counts: Arc<[AtomicU64; 2]>,
}

impl Relay {
    /// Relays between both sides.
    pub(super) fn start(one: Side, other: Side, path: Path) -> Outcome<Self> {
        let (left, right) = (Arc::new(socket(one)?), Arc::new(socket(other)?));
        let mut relay = Self {
            ends: Arc::default(),
            threads: Vec::new(),
            counts: Arc::default(),
        };
        relay.way(&left, &right, other.there, path, 1);
        relay.way(&right, &left, one.there, path, 2);
        Ok(relay)
    }

    /// From one socket to the address that the other one talks to.
    fn way(&mut self, from: &Arc<UdpSocket>, by: &Arc<UdpSocket>, to: SocketAddr, path: Path, seed: u64) {
        let (queue, queued) = channel();
        let (from, by) = (Arc::clone(from), Arc::clone(by));
        let (ends, counts) = (Arc::clone(&self.ends), Arc::clone(&self.counts));
        self.threads
            .push(thread::spawn(move || take(&from, &queue, path, seed, &ends, &counts)));
        self.threads.push(thread::spawn(move || give(&queued, &by, to)));
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // It only moves packets; it has nothing to report.
            let _ = thread.join();
        }
    }
}

fn socket(side: Side) -> Outcome<UdpSocket> {
    let socket = UdpSocket::bind(side.here)?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    set_socket_recv_buffer_size_force(&socket, BUFFER)?;
    Ok(socket)
}

type Due = (Instant, Vec<u8>);

fn take(from: &UdpSocket, queue: &Sender<Due>, path: Path, seed: u64, ends: &AtomicBool, counts: &[AtomicU64; 2]) {
    let [given, dropped] = counts;
    let mut chance = Numbers::new(seed);
    let mut packet = vec![0; LARGEST];
    while !ends.load(Ordering::Relaxed) {
        let len = match from.recv(&mut packet) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            // The other side is not there yet.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
            Err(_) => return,
        };
        if chance.next() % 10_000 < path.lost {
            dropped.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        given.fetch_add(1, Ordering::Relaxed);
        let bytes = packet.get(..len).unwrap_or_default().to_vec();
        if queue.send((Instant::now() + path.delay, bytes)).is_err() {
            return;
        }
    }
}

fn give(queued: &Receiver<Due>, by: &UdpSocket, to: SocketAddr) {
    for (due, packet) in queued {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        // A path may lose what it cannot carry.
        let _ = by.send_to(&packet, to);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near() -> UdpSocket {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_secs(10)))
            .expect("a timeout");
        socket
    }

    fn at(socket: &UdpSocket) -> SocketAddr {
        socket.local_addr().expect("an address")
    }

    /// Sends numbered packets through a relay that loses so many of ten thousand, and gives what arrived.
    fn through(lost: u64, packets: u32) -> (Vec<u32>, u64) {
        let (one, other) = (near(), near());
        let (left, right) = (at(&near()), at(&near()));
        let side = |here, there: &UdpSocket| Side { here, there: at(there) };
        let path = Path {
            delay: Duration::from_millis(1),
            lost,
        };
        let relay = Relay::start(side(left, &one), side(right, &other), path);
        // Buffers of this size may need a right that the test does not have.
        let Ok(relay) = relay else { return (Vec::new(), 0) };
        for n in 0..packets {
            one.send_to(&n.to_be_bytes(), left).expect("sent");
        }
        let mut arrived = Vec::new();
        let count = |n: usize| relay.counts[n].load(Ordering::Relaxed);
        while count(0) + count(1) < u64::from(packets) || (arrived.len() as u64) < count(0) {
            let mut packet = [0; 4];
            if count(0) > arrived.len() as u64 {
                other.recv(&mut packet).expect("a packet");
                arrived.push(u32::from_be_bytes(packet));
            }
        }
        (arrived, count(1))
    }

    #[test]
    fn packets_arrive_in_order_and_some_are_lost() {
        let (arrived, lost) = through(0, 50);
        assert_eq!(lost, 0);
        assert!(arrived.is_empty() || arrived == (0..50).collect::<Vec<_>>());
        let (arrived, lost) = through(5_000, 200);
        assert!(arrived.is_sorted());
        assert!(arrived.is_empty() || (50..150).contains(&lost), "{lost}");
    }
}
