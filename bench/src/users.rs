//! Users who are logged in already. Many of them, because each may begin at most 60 turns a minute (rate
//! limit).

use std::cell::Cell;

use futures_util::{StreamExt, TryStreamExt, stream};
use shared_core::env::Env;
use shared_core::identity::{ABSOLUTE_LIFETIME, Email, Session};
use shared_core::ids::{SessionId, UserId};
use shared_http::{AppContext, HttpConfig, SessionKeys, Tokens};
use shared_lambda::{system_clock, system_entropy};
use shared_postgres::{Database, DatabaseConfig, NewSession};

use crate::Result;

/// Concurrent sign-ins.
const AT_ONCE: usize = 16;

/// Users, each with a session and one chat, used in rotation.
pub(crate) struct Users {
    signed_in: Vec<(UserId, String)>,
    next: Cell<usize>,
}

/// One user.
pub(crate) struct User<'a> {
    /// The session's token.
    pub(crate) token: &'a str,
    /// The index, from which the chat's id is made.
    pub(crate) number: usize,
    /// The id.
    pub(crate) id: UserId,
}

impl Users {
    /// Signs in `count` users.
    pub(crate) async fn sign_in(count: usize, env: &Env<'_>) -> Result<Self> {
        let origin = HttpConfig::from_env(env)?;
        let tokens = Tokens::new(&SessionKeys::from_env(env)?, &origin);
        let app = AppContext::new(&origin, system_clock(), system_entropy());
        let database = Database::new(&DatabaseConfig::from_env(env)?, system_clock())?;
        let signed_in = stream::iter(0..count)
            .map(|number| sign_in(number, &app, &tokens, &database))
            .buffered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(Self { signed_in, next: Cell::new(0) })
    }

    /// The number of users.
    pub(crate) fn count(&self) -> usize {
        self.signed_in.len()
    }

    /// The next user in rotation.
    pub(crate) fn next(&self) -> User<'_> {
        let number = self.next.get();
        self.next.set((number + 1) % self.count());
        self.user(number)
    }

    /// The user with this index, whose address is `user-<index>@example.com`.
    pub(crate) fn user(&self, number: usize) -> User<'_> {
        let (id, token) = &self.signed_in[number];
        User { token, number, id: *id }
    }
}

async fn sign_in(
    number: usize,
    app: &AppContext,
    tokens: &Tokens,
    database: &Database,
) -> Result<(UserId, String)> {
    let now = app.clock().now();
    let session = NewSession {
        id: SessionId(app.entropy().uuid(now)),
        user_if_new: UserId(app.entropy().uuid(now)),
        user_agent: Some("bench".to_owned()),
        expires_at: now + ABSOLUTE_LIFETIME,
    };
    let email = Email::parse(&format!("user-{number}@example.com"))?;
    let user = database.sign_in(&email, &session, now).await?;
    let session = Session { user: user.id, id: session.id, expires_at: session.expires_at };
    let token = tokens.sign(&session, now);
    Ok((user.id, token.ok_or("there is no key to sign sessions with")?))
}
