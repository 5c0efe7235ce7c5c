//! `sessions`: one row per login, the source of truth about revocation.

use jiff::Timestamp;
use shared_core::identity::{Email, SessionSummary, User};
use shared_core::ids::{SessionId, UserId};
use shared_core::page::{Cursor, Page, PageRequest};
use shared_core::store::StoreError;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;
use uuid::Uuid;

use super::users::user;
use crate::connection::page::after;
use crate::error::DatabaseError;
use crate::{Database, Request};

const SIGN_IN: &str = "
    select id, email, name, created_at
      from sign_in($1, $2, $3, $4, $5, $6)";

const LIST: &str = "
    select id, created_at, last_seen_at, expires_at, user_agent
      from sessions
     where user_id = $1
       and revoked_at is null
       and expires_at > $2
       and (created_at, id) < ($3, $4)
     order by created_at desc, id desc
     limit $5";

const REVOKE: &str = "
    update sessions
       set revoked_at = $2
     where id = $1";

const REVOKE_ALL: &str = "
    update sessions
       set revoked_at = $2
     where user_id = $1
       and revoked_at is null";

/// A session to open.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The session's id.
    pub id: SessionId,
    /// The id that the user gets if this is their first login.
    pub user_if_new: UserId,
    /// The browser's `User-Agent`; the first 300 characters are kept.
    pub user_agent: Option<String>,
    /// When it expires, however much it is used.
    pub expires_at: Timestamp,
}

/// The limit of `sessions.user_agent`, in characters.
const LONGEST_USER_AGENT: usize = 300;

impl Database {
    /// Signs in the owner of `email`, whose ownership was just proved by a one-time code: creates the user on the
    /// first login, and opens a session.
    pub async fn sign_in(
        &self,
        email: &Email,
        session: &NewSession,
        now: Timestamp,
    ) -> Result<User, StoreError> {
        let agent = session.user_agent.as_deref();
        let agent: Option<String> =
            agent.map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect());
        let params: &[&(dyn ToSql + Sync)] = &[
            &email.as_str(),
            &session.user_if_new.0,
            &session.id.0,
            &agent,
            &now,
            &session.expires_at,
        ];
        let rows = self.query(SIGN_IN, params).await?;
        Ok(user(rows.first().ok_or_else(|| DatabaseError::unexpected("no user"))?)?)
    }
}

impl Request<'_> {
    /// A page of the user's live sessions, newest first.
    pub async fn sessions(&self, page: &PageRequest) -> Result<Page<SessionSummary>, StoreError> {
        let (at, id) = after(page);
        // A cursor of another list continues by its time alone.
        let id = Uuid::parse_str(id).unwrap_or_default();
        let params: &[&(dyn ToSql + Sync)] =
            &[&self.session.user.0, &self.now, &at, &id, &page.rows()];
        let rows = self.query(LIST, params).await?;
        let sessions = rows.iter().map(summary).collect::<Result<_, _>>()?;
        let cursor =
            |last: &SessionSummary| Cursor { at: last.created_at, id: last.id.0.to_string() };
        Ok(page.page(sessions, cursor))
    }

    /// Ends this session.
    pub async fn log_out(&self) -> Result<(), StoreError> {
        self.query(REVOKE, &[&self.session.id.0, &self.now]).await?;
        Ok(())
    }

    /// Ends all of the user's sessions, this one too.
    pub async fn log_out_everywhere(&self) -> Result<(), StoreError> {
        self.query(REVOKE_ALL, &[&self.session.user.0, &self.now]).await?;
        Ok(())
    }
}

fn summary(row: &Row) -> Result<SessionSummary, DatabaseError> {
    Ok(SessionSummary {
        id: SessionId(row.try_get("id")?),
        created_at: row.try_get("created_at")?,
        last_seen_at: row.try_get("last_seen_at")?,
        expires_at: row.try_get("expires_at")?,
        user_agent: row.try_get("user_agent")?,
    })
}
