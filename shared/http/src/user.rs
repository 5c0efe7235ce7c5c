//! A user on the wire: the response of logging in and of `/api/me`.

use jiff::Timestamp;
use serde::Serialize;
use shared_core::identity::User;
use utoipa::ToSchema;
use uuid::Uuid;

/// The signed-in user.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = User)]
pub struct UserBody {
    /// The user's id.
    pub id: Uuid,
    /// The e-mail address that the user logs in with.
    pub email: String,
    /// The user's display name, if set.
    pub name: Option<String>,
    /// When the user first logged in.
    pub created_at: Timestamp,
}

impl From<User> for UserBody {
    fn from(user: User) -> Self {
        Self { id: user.id.0, email: user.email, name: user.name, created_at: user.created_at }
    }
}
