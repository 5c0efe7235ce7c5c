//! A user on the wire: what logging in and `/api/me` answer.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::account::User;
use utoipa::ToSchema;
use uuid::Uuid;

/// A user, as they see themselves.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserBody {
    /// The user's id.
    pub id: Uuid,
    /// The address that they log in with.
    pub email: String,
    /// What they want to be called.
    pub name: Option<String>,
    /// When they first logged in.
    pub created_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self { id: user.id.0, email: user.email, name: user.name, created_at: user.created_at }
    }
}
