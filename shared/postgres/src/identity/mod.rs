//! Users and their sessions.

pub(crate) mod sessions;
mod users;
