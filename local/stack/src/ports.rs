//! Ports of 127.0.0.1, all below 32768: higher ones are ephemeral ports of outgoing connections, and a
//! server on one of those would sometimes fail to start.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::StackError;

/// The first of the ports that are tried. A Valkey there has its bus in 12768..22768, so the two ranges
/// never overlap.
const FIRST: u16 = 22768;
const COUNT: u16 = 10_000;

/// Returns a port on which nothing listens, and whose bus port for a Valkey is free too. Begins at random,
/// to avoid a race between two processes that look at the same time.
pub fn free_port() -> Result<u16, StackError> {
    let start = random() % u64::from(COUNT);
    (start..start + u64::from(COUNT))
        .filter_map(|offset| u16::try_from(offset % u64::from(COUNT)).ok())
        .map(|offset| FIRST + offset)
        .find(|&port| is_free(port) && is_free(bus_port(port)))
        .ok_or(StackError::NoFreePort)
}

/// Whether a server can listen there.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port of a Valkey's cluster bus. The default, 10000 above the port, is an ephemeral port; this one is
/// not.
pub(crate) fn bus_port(port: u16) -> u16 {
    if port >= 11_024 { port - 10_000 } else { port + 10_000 }
}

/// A number that another process is unlikely to draw; for unique names, not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
