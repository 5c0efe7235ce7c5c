//! A session: the claims of a verified token, and its lifetime.

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{SessionId, UserId};

/// A session's absolute lifetime after its login, regardless of use (NIST SP 800-63B-4 AAL1: 30 days).
pub const ABSOLUTE_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// A verified session token: its signature, issuer, audience and times were checked.
///
/// Revocation is not checked yet: Postgres does that at the start of every transaction, so no
/// request can read or write a row with a session that was logged out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session's user.
    pub user: UserId,
    /// The session's id.
    pub id: SessionId,
    /// Its absolute expiry.
    pub expires_at: Timestamp,
}

/// Why a request is not authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// No cookie, or not a valid token.
    #[error("log in first")]
    Missing,
    /// The token has expired, or its session was logged out.
    #[error("this session has ended; log in again")]
    Ended,
}
