//! A user's own account.

use jiff::Timestamp;

use crate::ids::{SessionId, UserId};
use crate::store::StoreError;

/// A user's own profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The user's id.
    pub id: UserId,
    /// The address they log in with.
    pub email: String,
    /// Their display name, if set.
    pub name: Option<String>,
    /// When they first logged in.
    pub created_at: Timestamp,
}

/// One of a user's sessions, as listed to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionSummary {
    /// The session's id.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it was last used, to about ten minutes.
    pub last_seen_at: Timestamp,
    /// Its absolute expiry.
    pub expires_at: Timestamp,
    /// The `User-Agent` header of the login.
    pub user_agent: Option<String>,
}

/// Longest display name, in characters.
pub const LONGEST_NAME: usize = 100;

/// A display name: trimmed, 1 to 100 characters, no control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DisplayName(String);

impl DisplayName {
    /// Trims and validates `raw`.
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

/// Why an account operation failed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Not a valid display name.
    #[error("a name has 1 to {LONGEST_NAME} characters and no line breaks")]
    MalformedName,
    /// Postgres failed.
    #[error("your account cannot be reached right now; try again in a minute")]
    Store(#[from] StoreError),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_display_name_is_trimmed_and_validated() {
        assert_eq!(DisplayName::parse("  Ada Lovelace ").unwrap().as_str(), "Ada Lovelace");
        for raw in ["", "   ", "a\nb", &"x".repeat(101)] {
            assert!(DisplayName::parse(raw).is_err(), "{raw}");
        }
    }
}
