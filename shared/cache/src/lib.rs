//! The Valkey cache, for data that may be lost: one-time codes, sliding-window rate limits, live logs.
//!
//! `ElastiCache` Serverless speaks the cluster protocol only, so every key carries a hash tag (see
//! `keys`) and every key has a time to live. Operations that could race are one atomic Lua
//! script each. Times come from the caller's clock, so that a test can move it; the server's own clock
//! only expires keys.

mod codes;
mod config;
mod connection;
mod keys;
mod live_log;
mod rate_limit;
mod serverless;

pub use codes::Codes;
pub use config::{CacheConfig, Pepper};
pub use connection::{Cache, CacheError};
pub use keys::Subject;
pub use live_log::{Batch, LiveLog, LogContents, LogPage, LogState};
pub use rate_limit::Permit;
pub use serverless::{CacheState, DescribeError, Serverless};
