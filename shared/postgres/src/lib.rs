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
mod finish;
mod jobs;
mod messages;
mod migrations;
mod missing_usage;
mod orphaned_turns;
mod payment;
mod provider_keys;
mod rds;
mod request;
mod sessions;
mod store_finished;
mod turn;
mod turn_ref;
mod turns;
mod usage;
mod usage_columns;
mod users;
mod withdrawal;

pub use config::{DatabaseConfig, Login};
pub use connection::Database;
pub use error::DatabaseError;
pub use finish::TurnEnd;
pub use jobs::{Jobs, UserKey};
pub use migrations::{Destructive, MigrateError, Migrated, migrate, schema_hash};
pub use missing_usage::MissingUsage;
pub use orphaned_turns::OrphanedTurn;
pub use payment::{EncryptedKey, Payer};
pub use provider_keys::{KeyChange, KeyOverview, KeySettings, NewKey, StoredKey};
pub use request::Request;
pub use sessions::{NewSession, SessionsPage};
pub use store_finished::Stored;
pub use turn::BegunTurn;
pub use turn_ref::{DuplicateTurn, StoredAnswer, TurnRef};
pub use usage::{KeyUsage, TurnPlace, Usage, UsageQuery};
