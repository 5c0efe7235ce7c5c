//! Postgres: the only crate that knows SQL.
//!
//! [`Database`] gives out no connection. A request reads and writes through [`Database::request`], which takes a
//! verified [`Session`](shared_core::identity::Session): every transaction begins by entering that session, so a query
//! without a user cannot be written, and a revoked session cannot run one. Signing in has an entry of its own,
//! [`Database::sign_in`]; background jobs use [`Jobs`], and what records payments uses [`Payments`].
//!
//! A transaction costs one round trip: its statements leave in one write, or are one SQL function. What writes more than
//! one table is a function in `functions/`; reads and single-row writes are inline, in the file of their subject.

mod billing;
mod chat;
mod connection;
mod error;
mod identity;
mod keys;
mod migrate;
mod orders;
mod uploads;

pub use billing::missing_usage::MissingUsage;
pub use billing::payment::{EncryptedKey, Payer};
pub use billing::usage::{KeyUsage, UsageOverview, UsageQuery};
pub use chat::begun_turn::BegunTurn;
pub use chat::duplicates::{DuplicateTurn, StoredAnswer, TurnLookup, TurnRef};
pub use chat::finish::TurnEnd;
pub use chat::orphaned::{OrphanedCursor, OrphanedTurn};
pub use chat::restore::StoreResult;
pub use connection::config::{Credentials, DatabaseConfig};
pub use connection::database::Database;
pub use connection::jobs::Jobs;
pub use connection::request::Request;
pub use error::{BeginTurnError, FinishTurnError};
pub use identity::sessions::NewSession;
pub use keys::provider_keys::{KeyChange, KeyOverview, KeySettings, NewKey, StoredKey};
pub use keys::rotation::UserKey;
pub use migrate::{Destructive, MigrateError, Migrated, migrate, schema_hash};
pub use orders::checks::{OrderToCheck, StuckOrders};
pub use orders::create::{CreateOrderError, NewOrder, OrderOrigin};
pub use orders::payments::Payments;
pub use orders::stored::StoredOrder;
pub use uploads::removal::DueUpload;
pub use uploads::reserve::{NewUploadLimits, Reservation, UploadLimits};
