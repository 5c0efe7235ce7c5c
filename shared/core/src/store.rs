//! Failures of a store that every use case has in common.

/// An error with its causes, for the log.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// A store did not do what it was asked for; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The session of the request was revoked, has expired or was idle for too long.
    #[error("the session has ended")]
    SessionEnded,
    /// The store is unreachable, too slow, or returned what its schema does not allow.
    #[error("{0}")]
    Unavailable(#[source] BoxError),
}
