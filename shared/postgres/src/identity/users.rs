//! `users`: one row per email address that has logged in.

use shared_core::identity::{DisplayName, User};
use shared_core::ids::UserId;
use shared_core::store::StoreError;
use tokio_postgres::Row;

use crate::Request;
use crate::error::DatabaseError;

const READ: &str = "select id, email, name, created_at from users where id = $1";

const RENAME: &str = "
    update users
       set name = $2
     where id = $1
    returning id, email, name, created_at";

impl Request<'_> {
    /// The user of this request.
    pub async fn user(&self) -> Result<User, StoreError> {
        one_user(&self.query(READ, &[&self.session.user.0]).await?)
    }

    /// Sets the display name; `None` removes it.
    pub async fn rename(&self, name: Option<&DisplayName>) -> Result<User, StoreError> {
        let name = name.map(DisplayName::as_str);
        one_user(&self.query(RENAME, &[&self.session.user.0, &name]).await?)
    }
}

/// A live session has a user, because deleting a user deletes their sessions.
fn one_user(rows: &[Row]) -> Result<User, StoreError> {
    Ok(user(rows.first().ok_or(StoreError::SessionEnded)?)?)
}

pub(crate) fn user(row: &Row) -> Result<User, DatabaseError> {
    Ok(User {
        id: UserId(row.try_get("id")?),
        email: row.try_get("email")?,
        name: row.try_get("name")?,
        created_at: row.try_get("created_at")?,
    })
}
