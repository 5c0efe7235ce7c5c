//! Postgres and Valkey on one machine, without Docker and without root.
//!
//! [`Servers`] are those of `make dev`: fixed ports, persistent data. [`TestDatabase`] and [`TestCache`]
//! give a test a database and a key prefix of its own on [`TestServers`], one pair for all tests of a
//! checkout. [`PrivateServers`] belong to one test, which may stop and start them.
//!
//! `local/install` puts the programs into `.local/bin`. The servers listen on 127.0.0.1 only and accept
//! every local client without a password, so they are for a developer's machine and nothing else. Valkey
//! runs as a cluster of one node, because production speaks the cluster protocol: a command with keys of
//! several slots is refused here too.

mod blocking;
mod error;
mod home;
mod install;
mod memory;
mod ports;
mod postgres;
mod private;
mod process;
mod server;
mod servers;
mod settings;
mod test_cache;
mod test_database;
mod test_servers;
mod unprivileged;
mod valkey;

pub use error::StackError;
pub use ports::free_port;
pub use private::PrivateServers;
pub use server::Server;
pub use servers::{Servers, forget};
pub use settings::Settings;
pub use test_cache::TestCache;
pub use test_database::TestDatabase;
pub use test_servers::{TestServers, stop_test_servers};
