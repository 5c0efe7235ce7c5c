//! `sessions`: one row per login. The truth about whether a session still lives.

use jiff::Timestamp;
use shared_core::account::{SessionSummary, User};
use shared_core::email::Email;
use shared_core::ids::{SessionId, UserId};
use uuid::Uuid;

use crate::users::{self, user};
use crate::{Database, DatabaseError, Request};

const LOGIN: &str = "select set_config('app.login_email', $1, true)";

/// From here on the transaction is the user's: the row that `LOGIN` let it see says whose.
const BECOME: &str = "
    select set_config('app.user_id', id::text, true)
      from users
     where email = current_login_email()";

const OPEN: &str = "
    insert into sessions (id, user_id, user_agent, created_at, last_seen_at, expires_at)
    values ($1, current_user_id(), $2, $3, $3, $4)";

const LIST: &str = "
    select id, created_at, last_seen_at, expires_at, user_agent
      from sessions
     where user_id = $1
       and revoked_at is null
       and expires_at > $2
       and ($3::uuid is null or id < $3)
     order by id desc
     limit $4";

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
    /// What the browser calls itself; the first 300 characters are kept.
    pub user_agent: Option<String>,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
}

/// Some of a user's sessions, newest first.
#[derive(Clone, Debug)]
pub struct SessionsPage {
    /// The sessions.
    pub items: Vec<SessionSummary>,
    /// Where the next page begins, if there is one.
    pub next: Option<SessionId>,
}

/// `sessions.user_agent` takes no more.
const LONGEST_USER_AGENT: usize = 300;

impl Database {
    /// Logs in the owner of `email`, who has just proved that it is theirs: makes the user on their
    /// first login, and opens a session.
    pub async fn sign_in(
        &self,
        email: &Email,
        session: &NewSession,
        now: Timestamp,
    ) -> Result<User, DatabaseError> {
        let user_agent: Option<String> = session
            .user_agent
            .as_ref()
            .map(|agent| agent.chars().take(LONGEST_USER_AGENT).collect());
        let user_agent = &user_agent;
        self.retrying(|client| async move {
            let (login, upsert, become_user, open) = tokio::try_join!(
                biased;
                client.prepare_cached(LOGIN),
                client.prepare_cached(users::UPSERT),
                client.prepare_cached(BECOME),
                client.prepare_cached(OPEN),
            )?;
            let address = email.as_str();
            let ((), _, row, _, _, ()) = tokio::try_join!(
                biased;
                client.batch_execute("begin"),
                async { client.execute(&login, &[&address]).await },
                async { client.query_one(&upsert, &[&session.user_if_new.0, &address, &now]).await },
                client.execute(&become_user, &[]),
                async { client.execute(&open, &[&session.id.0, user_agent, &now, &session.expires_at]).await },
                client.batch_execute("commit"),
            )?;
            user(&row)
        })
        .await
    }
}

impl Request<'_> {
    /// The user's live sessions, newest first, from `after` on.
    pub async fn sessions(
        &self,
        after: Option<Uuid>,
        limit: usize,
    ) -> Result<SessionsPage, DatabaseError> {
        let one_more = i64::try_from(limit + 1).unwrap_or(i64::MAX);
        let rows = self.query(LIST, &[&self.session.user.0, &self.now, &after, &one_more]).await?;
        let mut items = rows
            .iter()
            .map(|row| {
                Ok(SessionSummary {
                    id: SessionId(row.try_get(0)?),
                    created_at: row.try_get(1)?,
                    last_seen_at: row.try_get(2)?,
                    expires_at: row.try_get(3)?,
                    user_agent: row.try_get(4)?,
                })
            })
            .collect::<Result<Vec<_>, DatabaseError>>()?;
        let more = items.len() > limit;
        items.truncate(limit);
        let next = items.last().filter(|_| more).map(|last| last.id);
        Ok(SessionsPage { items, next })
    }

    /// Ends this session.
    pub async fn log_out(&self) -> Result<(), DatabaseError> {
        self.query(REVOKE, &[&self.session.id.0, &self.now]).await.map(drop)
    }

    /// Ends all of the user's sessions, this one too.
    pub async fn log_out_everywhere(&self) -> Result<(), DatabaseError> {
        self.query(REVOKE_ALL, &[&self.session.user.0, &self.now]).await.map(drop)
    }
}
