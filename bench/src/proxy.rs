//! A simulated network between a subject and a server: forwards bytes after a delay, and counts round
//! trips.
//!
//! Threads and `sleep`, because the runtime's timer counts in whole milliseconds.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::clock::nanos;

/// Busy-waits for the end of each delay: the kernel wakes a sleeping thread late, by more than what is
/// measured here.
const AWAKE: Duration = Duration::from_micros(300);

/// A proxy. Its threads end with its connections, the last with the process.
pub(crate) struct Proxy {
    /// The port that it listens on.
    pub(crate) port: u16,
    counts: Arc<Counts>,
}

/// The traffic through a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Round trips: bursts from the client that were followed by a burst from the server.
    pub(crate) round_trips: u64,
    /// Bytes from the client.
    pub(crate) sent: u64,
    /// Bytes from the server.
    pub(crate) received: u64,
}

impl Traffic {
    /// No traffic.
    pub(crate) const NONE: Self = Self { round_trips: 0, sent: 0, received: 0 };

    /// The traffic since `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self {
            round_trips: self.round_trips - before.round_trips,
            sent: self.sent - before.sent,
            received: self.received - before.received,
        }
    }

    /// The maximum of each field.
    pub(crate) fn max(self, other: Self) -> Self {
        Self {
            round_trips: self.round_trips.max(other.round_trips),
            sent: self.sent.max(other.sent),
            received: self.received.max(other.received),
        }
    }
}

#[derive(Default)]
struct Counts {
    delay: AtomicU64,
    round_trips: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

/// The side that sent last on a connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

impl Proxy {
    /// Starts forwarding every connection to `server`.
    pub(crate) fn start(server: SocketAddr) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let counts = Arc::new(Counts::default());
        let shared = Arc::clone(&counts);
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                // If the server is unreachable, the connection ends.
                let _ = connect(client, server, &shared);
            }
        });
        Ok(Self { port, counts })
    }

    /// Delays everything by `delay` from now on, in each direction.
    pub(crate) fn delay_by(&self, delay: Duration) {
        self.counts.delay.store(nanos(delay), Ordering::Relaxed);
    }

    /// The traffic so far.
    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            round_trips: self.counts.round_trips.load(Ordering::Relaxed),
            sent: self.counts.sent.load(Ordering::Relaxed),
            received: self.counts.received.load(Ordering::Relaxed),
        }
    }
}

fn connect(client: TcpStream, server: SocketAddr, counts: &Arc<Counts>) -> io::Result<()> {
    let server = TcpStream::connect(server)?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let last = Arc::new(Mutex::new(Side::Server));
    let ways =
        [(Side::Client, client.try_clone()?, server.try_clone()?), (Side::Server, server, client)];
    for (side, from, to) in ways {
        let (counts, last) = (Arc::clone(counts), Arc::clone(&last));
        let (pass_on, passed) = channel();
        thread::spawn(move || deliver(&passed, to));
        thread::spawn(move || {
            let mut buffer = vec![0; 64 * 1024];
            listen(from, &mut buffer, |bytes| {
                counts.count(side, bytes.len(), &last);
                let delay = Duration::from_nanos(counts.delay.load(Ordering::Relaxed));
                pass_on.send((Instant::now() + delay, bytes.to_vec())).is_ok()
            });
        });
    }
    Ok(())
}

impl Counts {
    fn count(&self, side: Side, bytes: usize, last: &Mutex<Side>) {
        let before = {
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            std::mem::replace(&mut *last, side)
        };
        let total = match side {
            Side::Client => &self.sent,
            Side::Server => &self.received,
        };
        total.fetch_add(bytes as u64, Ordering::Relaxed);
        if (before, side) == (Side::Client, Side::Server) {
            self.round_trips.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn listen(mut from: TcpStream, buffer: &mut [u8], mut on_bytes: impl FnMut(&[u8]) -> bool) {
    while let Ok(length @ 1..) = from.read(buffer) {
        if !on_bytes(&buffer[..length]) {
            return;
        }
    }
}

fn deliver(passed: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    while let Ok((due, bytes)) = passed.recv() {
        let wait = due.saturating_duration_since(Instant::now());
        thread::sleep(wait.saturating_sub(AWAKE));
        while Instant::now() < due {
            std::hint::spin_loop();
        }
        if to.write_all(&bytes).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Both);
}
