//! A user's own account.

use jiff::Timestamp;

use crate::ids::{SessionId, UserId};

/// A user, as they see themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The address they log in with.
    pub email: String,
    /// What they want to be called, if they said so.
    pub name: Option<String>,
    /// When they first logged in.
    pub created_at: Timestamp,
}

/// One of a user's logins, as they see it in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// The session's id.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to about ten minutes.
    pub last_seen_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// What the browser called itself at login.
    pub user_agent: Option<String>,
}

/// Longest display name, in characters.
pub const LONGEST_NAME: usize = 100;

/// A display name: trimmed, 1 to 100 characters, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Accepts what a person would call themselves.
    pub fn parse(raw: &str) -> Result<Self, AccountError> {
        let name = raw.trim();
        let length = name.chars().count();
        if length == 0 || length > LONGEST_NAME || name.chars().any(char::is_control) {
            return Err(AccountError::MalformedName);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why something about an account failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not a display name.
    #[error("a name has 1 to {LONGEST_NAME} characters and no line breaks")]
    MalformedName,
    /// Not a cursor that we gave out.
    #[error("that cursor is not one that this list gave out")]
    MalformedCursor,
    /// The session was logged out or has expired.
    #[error(transparent)]
    Session(#[from] crate::session::SessionError),
    /// Postgres is away.
    #[error("your account cannot be reached right now; try again in a minute")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_a_person_would_write() {
        assert_eq!(DisplayName::parse("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
        for raw in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(DisplayName::parse(raw).is_err(), "{raw}");
        }
    }
}
