//! Connections: where the database is, how it is reached, and who may use it how.

pub(crate) mod config;
pub(crate) mod connector;
pub(crate) mod database;
pub(crate) mod jobs;
pub(crate) mod page;
mod rds;
pub(crate) mod request;
