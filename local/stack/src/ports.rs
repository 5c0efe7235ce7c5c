//! Ports of 127.0.0.1, all below 32768: the kernel gives higher ones to outgoing connections, and a
//! server that wants one of those would fail to start now and then.

use std::hash::{BuildHasher as _, RandomState};
use std::net::{Ipv4Addr, TcpListener};

use crate::StackError;

/// Where free ports are looked for. A Valkey there has its bus in 12768..22768, so the two never meet.
const FIRST: u16 = 22768;
const COUNT: u16 = 10_000;

/// A port on which nothing listens, and neither on the one that a Valkey there would use as its bus.
/// Begins at random, so that two processes that look at the same time find different ones.
pub fn free_port() -> Result<u16, StackError> {
    let start = random() % u64::from(COUNT);
    (start..start + u64::from(COUNT))
        .filter_map(|offset| u16::try_from(offset % u64::from(COUNT)).ok())
        .map(|offset| FIRST + offset)
        .find(|&port| is_free(port) && is_free(bus_port(port)))
        .ok_or(StackError::NoFreePort)
}

/// Whether a server could listen there.
pub(crate) fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

/// The port of a Valkey's cluster bus. The default, 10000 above the port, is among those of outgoing
/// connections; this one is not.
pub(crate) fn bus_port(port: u16) -> u16 {
    if port >= 11_024 { port - 10_000 } else { port + 10_000 }
}

/// A number that another process is unlikely to draw; good for names, not for secrets.
pub(crate) fn random() -> u64 {
    RandomState::new().hash_one(0)
}
