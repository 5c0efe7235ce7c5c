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
mod ending;
mod error;
mod jobs;
mod messages;
mod migrations;
mod provider_keys;
mod rds;
mod receipt;
mod request;
mod sessions;
mod turn;
mod turns;
mod usage;
mod users;
mod withdrawal;

pub use config::{DatabaseConfig, Login};
pub use connection::Database;
pub use ending::{Ending, Outcome};
pub use error::Error;
pub use jobs::{DeadTurns, Jobs, UserKey};
pub use migrations::{Destructive, MigrateError, Migrated, migrate, schema_hash};
pub use provider_keys::{KeyChange, KeySettings, KeyStanding, NewKey, StoredKey};
pub use receipt::{OwnKey, Payer};
pub use request::Request;
pub use sessions::{NewSession, SessionsPage};
pub use turn::BegunTurn;
pub use usage::{KeyUsage, TurnPlace, Usage, UsageQuery};
