//! Which hosts are this machine.

use std::net::IpAddr;

/// Whether a host's name or address is this machine's own, so that what is sent there crosses no network.
pub fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback())
}
