//! `TCP_NODELAY` on the connections to the Lambda runtime API.
//!
//! The runtime's HTTP client does not set it, so the kernel holds the first small chunks of every
//! streamed answer until the other side acknowledges the ones before: about 40 ms. The client is
//! private to the runtime, but the sockets are this process's own: the kernel lends a second
//! descriptor of each (`pidfd_getfd`), and an option set through it holds for both.

use std::fs;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Mutex;

use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use socket2::SockRef;

/// Sets the option on each new connection to the runtime API, once.
#[derive(Debug)]
pub(crate) struct NoDelay {
    port: u16,
    /// Without concurrency, all requests come by one connection, which is remembered; with it, each
    /// has its own, and none is.
    one_at_a_time: bool,
    /// `socket:[inode]` of the last connection; checking it is one system call.
    seen: Mutex<Option<(i32, String)>>,
}

impl NoDelay {
    /// For the runtime API at `host:port`, as `AWS_LAMBDA_RUNTIME_API` has it.
    pub(crate) fn new(runtime_api: &str, one_at_a_time: bool) -> Self {
        // Lambda says `host:port`; emulators may add a scheme and a path.
        let authority = runtime_api.split_once("://").map_or(runtime_api, |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or("");
        let port = authority.rsplit_once(':').and_then(|(_, port)| port.parse().ok()).unwrap_or(80);
        Self { port, one_at_a_time, seen: Mutex::new(None) }
    }

    /// Called at the start of each invocation: the connection that brought it is open, and carries
    /// the response.
    pub(crate) fn ensure(&self) {
        let Ok(mut seen) = self.seen.lock() else {
            return;
        };
        let still_there = self.one_at_a_time
            && seen.as_ref().is_some_and(|(fd, socket)| socket_of(*fd).as_ref() == Some(socket));
        if !still_there {
            *seen = self.set_on_all();
        }
    }

    fn set_on_all(&self) -> Option<(i32, String)> {
        let this_process = pidfd_open(getpid(), PidfdFlags::empty())
            .inspect_err(|error| tracing::warn!(%error, "cannot look at own sockets; streams begin 40 ms late"))
            .ok()?;
        let mut found = None;
        for entry in fs::read_dir("/proc/self/fd").ok()?.flatten() {
            let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let Some(socket) = socket_of(fd) else {
                continue;
            };
            let Ok(same) = pidfd_getfd(&this_process, fd, PidfdGetfdFlags::empty()) else {
                continue;
            };
            if self.is_runtime_api(&same) && SockRef::from(&same).set_tcp_nodelay(true).is_ok() {
                found = Some((fd, socket));
            }
        }
        found
    }

    fn is_runtime_api(&self, socket: &OwnedFd) -> bool {
        let peer = SockRef::from(socket).peer_addr().ok().and_then(|peer| peer.as_socket());
        peer.as_ref().map(SocketAddr::port) == Some(self.port)
    }
}

fn socket_of(fd: i32) -> Option<String> {
    let target = fs::read_link(Path::new("/proc/self/fd").join(fd.to_string())).ok()?;
    let target = target.to_str()?;
    target.starts_with("socket:").then(|| target.to_owned())
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn it_sets_the_option_on_connections_to_the_runtime_api_and_on_no_others() {
        let (runtime, other) =
            (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
        let to_runtime = TcpStream::connect(runtime.local_addr().unwrap()).unwrap();
        let to_other = TcpStream::connect(other.local_addr().unwrap()).unwrap();
        let no_delay = NoDelay::new(&format!("http://{}/fn", runtime.local_addr().unwrap()), true);
        no_delay.ensure();
        assert!(to_runtime.nodelay().unwrap());
        assert!(!to_other.nodelay().unwrap());

        // A reconnection is found, too.
        drop(to_runtime);
        let again = TcpStream::connect(runtime.local_addr().unwrap()).unwrap();
        no_delay.ensure();
        assert!(again.nodelay().unwrap());
    }

    #[test]
    fn with_concurrent_requests_each_connection_is_found() {
        let runtime = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = runtime.local_addr().unwrap();
        let no_delay = NoDelay::new(&address.to_string(), false);
        let connections = [0, 1].map(|_| {
            let connection = TcpStream::connect(address).unwrap();
            no_delay.ensure();
            connection
        });
        assert!(connections.iter().all(|connection| connection.nodelay().unwrap()));
    }
}
