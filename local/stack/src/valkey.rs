//! Valkey, as a cluster of one node.
//!
//! A primary that has just started refuses commands for two seconds, because the rest of its cluster might
//! have replaced it meanwhile (`CLUSTER_WRITABLE_DELAY`, fixed in its source). A cluster of one node has no
//! such race, and two seconds would be most of a start. Replicas do not wait; so every start writes a
//! `nodes.conf` in which this node is the replica of a primary that never existed, and promotes it as an
//! operator does after losing the primary: `CLUSTER FAILOVER TAKEOVER`. Then it is a primary with all
//! slots, 0.1 s after its start. Should a later version not accept that, the promotion comes late and the
//! start takes its two seconds.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::StackError;
use crate::error::At as _;
use crate::install::Programs;
use crate::ports::bus_port;
use crate::server::{Data, Program};

/// The ids of this node and of the one that never existed: any 40 hexadecimal digits.
const NODE: &str = "1111111111111111111111111111111111111111";
const LOST: &str = "2222222222222222222222222222222222222222";

/// Forces the promotion after this time, by which a replica knows that it covers all slots, if it ever
/// does.
const PROMOTE_ANYWAY: Duration = Duration::from_millis(500);

pub(crate) struct Valkey {
    programs: Programs,
    data: PathBuf,
    port: u16,
    kind: Data,
}

impl Valkey {
    /// A Valkey with its data in `directory`/valkey.
    pub(crate) fn new(programs: Programs, directory: &Path, port: u16, kind: Data) -> Self {
        Self { programs, data: directory.join("valkey"), port, kind }
    }

    /// `redis://127.0.0.1:port`.
    pub(crate) fn url(port: u16) -> String {
        format!("redis://127.0.0.1:{port}")
    }

    /// The content of `nodes.conf`. The lost primary needs an address, or it counts as failed at once;
    /// nothing listens on port 1.
    fn nodes(&self) -> String {
        let (port, bus) = (self.port, bus_port(self.port));
        format!(
            "{NODE} 127.0.0.1:{port}@{bus} myself,slave {LOST} 0 0 0 connected\n\
             {LOST} 127.0.0.1:1@1 master - 0 0 1 connected 0-16383\n\
             vars currentEpoch 1 lastVoteEpoch 0\n"
        )
    }

    fn try_ready(&self, age: Duration) -> io::Result<bool> {
        let mut client = Client::connect(self.port)?;
        let ok = client.ask("CLUSTER INFO")?.contains("cluster_state:ok");
        let nodes = client.ask("CLUSTER NODES")?;
        if !nodes.contains("myself,slave") && !nodes.contains("myself,replica") {
            return Ok(ok);
        }
        if ok || age > PROMOTE_ANYWAY {
            client.ask("CLUSTER FAILOVER TAKEOVER")?;
            client.ask(&format!("CLUSTER FORGET {LOST}"))?;
        }
        Ok(false)
    }
}

impl Program for Valkey {
    fn name(&self) -> &'static str {
        "Valkey"
    }

    fn data(&self) -> &Path {
        &self.data
    }

    fn port(&self) -> u16 {
        self.port
    }

    fn ports(&self) -> Vec<u16> {
        vec![self.port, bus_port(self.port)]
    }

    fn port_variable(&self) -> &'static str {
        "LOCAL_CACHE_PORT"
    }

    fn prepare(&self) -> Result<(), StackError> {
        fs::create_dir_all(&self.data).at("make", &self.data)?;
        let nodes = self.data.join("nodes.conf");
        fs::write(&nodes, self.nodes()).at("write", &nodes)
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.programs.path("valkey-server"));
        let mut set = |name: &str, value: &str| {
            command.arg(name).arg(value);
        };
        set("--port", &self.port.to_string());
        set("--bind", "127.0.0.1");
        set("--cluster-enabled", "yes");
        set("--cluster-port", &bus_port(self.port).to_string());
        set("--cluster-announce-ip", "127.0.0.1");
        // The append-only file survives `kill -9`; periodic snapshots would lose the latest writes.
        set("--appendonly", "yes");
        set("--save", "");
        match self.kind {
            Data::Kept => set("--appendfsync", "everysec"),
            Data::Disposable => set("--appendfsync", "no"),
        }
        // A title of its own would hide the data directory, by which the process is recognised.
        set("--set-proc-title", "no");
        command.arg("--dir").arg(&self.data);
        command
    }

    fn is_ready(&self, _pid: i32, age: Duration) -> bool {
        // An error means that it does not listen yet, or still loads its data.
        self.try_ready(age).unwrap_or(false)
    }

    fn advice(&self, _log: &str) -> &'static str {
        ""
    }
}

/// A minimal client for the start.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(port: u16) -> io::Result<Self> {
        let patience = Duration::from_secs(1);
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, patience)?;
        stream.set_read_timeout(Some(patience))?;
        Ok(Self(BufReader::new(stream)))
    }

    /// Sends one command in the protocol's inline form; returns a status or a bulk string.
    fn ask(&mut self, command: &str) -> io::Result<String> {
        let mut line = format!("{command}\r\n");
        self.0.get_mut().write_all(line.as_bytes())?;
        line.clear();
        self.0.read_line(&mut line)?;
        let line = line.trim_end();
        if let Some(length) = line.strip_prefix('$') {
            let length: usize = length.parse().map_err(io::Error::other)?;
            let mut text = vec![0; length + 2];
            self.0.read_exact(&mut text)?;
            return Ok(String::from_utf8_lossy(&text).into_owned());
        }
        match line.strip_prefix('+') {
            Some(status) => Ok(status.to_owned()),
            None => Err(io::Error::other(line.to_owned())),
        }
    }
}
