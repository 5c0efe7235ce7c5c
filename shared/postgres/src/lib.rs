//! Postgres: the only place that knows SQL.
//!
//! [`Database`] gives out no connection. A request reads and writes through
//! [`Database::request`], which takes a verified [`Session`](shared_core::session::Session): every
//! transaction begins by entering that session, so a query without a user cannot be written, and a
//! session that was logged out cannot run one. Logging in has its own door, [`Database::sign_in`].
//!
//! A transaction costs one round trip: its statements leave in one write, or are one function.

mod chats;
mod config;
mod connect;
mod connection;
mod destructive;
mod error;
mod messages;
mod migrations;
mod rds;
mod request;
mod sessions;
mod turn;
mod users;

pub use config::{DatabaseConfig, Login};
pub use connection::Database;
pub use error::Error;
pub use migrations::{Destructive, MigrateError, Migrated, migrate, schema_hash};
pub use request::Request;
pub use sessions::{NewSession, SessionsPage};
pub use turn::{BegunTurn, Ending, Outcome};
