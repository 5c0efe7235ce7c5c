//! A session: what a verified token says, and how long it lasts.

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{SessionId, UserId};

/// A session ends this long after its login, whatever happens (NIST SP 800-63B-4 AAL1: 30 days).
pub const ABSOLUTE_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// A user's request carries this: a token whose signature, issuer, audience and times were checked.
///
/// It does not yet prove that the session was not revoked; Postgres checks that on the way into
/// every transaction, so no request can read or write a row with a session that was logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Whose session it is.
    pub user: UserId,
    /// Which session it is.
    pub id: SessionId,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Why a request is not somebody's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No cookie, or one that is no token of ours.
    #[error("log in first")]
    Missing,
    /// A token of ours whose time is over, or whose session was logged out.
    #[error("this session has ended; log in again")]
    Ended,
}
