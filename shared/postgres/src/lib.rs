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
mod counted;
mod dead_turns;
mod destructive;
mod ending;
mod error;
mod finished;
mod jobs;
mod known;
mod messages;
mod migrations;
mod provider_keys;
mod rds;
mod receipt;
mod request;
mod sessions;
mod turn;
mod turns;
mod unpriced;
mod usage;
mod users;
mod withdrawal;

pub use config::{DatabaseConfig, Login};
pub use connection::Database;
pub use dead_turns::StaleTurn;
pub use ending::Ending;
pub use error::Error;
pub use finished::Stored;
pub use jobs::{Jobs, UserKey};
pub use known::{KnownTurn, RepeatedTurn, StoredAnswer};
pub use migrations::{Destructive, MigrateError, Migrated, migrate, schema_hash};
pub use provider_keys::{KeyChange, KeySettings, KeyStanding, NewKey, StoredKey};
pub use receipt::{OwnKey, Payer};
pub use request::Request;
pub use sessions::{NewSession, SessionsPage};
pub use turn::BegunTurn;
pub use unpriced::Unpriced;
pub use usage::{KeyUsage, TurnPlace, Usage, UsageQuery};
