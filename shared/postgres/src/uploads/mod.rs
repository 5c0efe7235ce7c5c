//! Uploads: reserved, completed, read, and removed.

pub(crate) mod removal;
pub(crate) mod reserve;
mod stored;
