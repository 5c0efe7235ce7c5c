//! Database errors; those that a handler can act on are variants of their own.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use shared_core::credits::PaymentDenied;
use shared_core::error_chain;
use shared_core::ids::MessageId;
use tokio_postgres::error::SqlState;

/// A transaction failed; nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The session was logged out, has expired or was idle for too long.
    #[error("the session has ended")]
    SessionEnded,
    /// The user has no such chat.
    #[error("there is no such chat")]
    ChatNotFound,
    /// The message is not in the chat.
    #[error("the message is not in this chat")]
    MessageNotFound,
    /// The user has a message with this id already, in another chat.
    #[error("a message with this id exists")]
    MessageExists,
    /// The chat's last turn has not ended.
    #[error("the answer {0} is still being written")]
    TurnRunning(MessageId),
    /// Duplicate request: the question is stored in this chat, or the idempotency key is used.
    #[error("the turn has begun before")]
    DuplicateTurn,
    /// No allowance and no key pays for the turn, or the plan does not allow it.
    #[error("payment for the turn is denied")]
    PaymentDenied(Box<PaymentDenied>),
    /// The answer to finish is closed already.
    #[error("the answer is not open any more")]
    AnswerNotOpen,
    /// The answer to finish was deleted, with its chat or its user; its turn has ended.
    #[error("the answer is deleted")]
    AnswerGone,
    /// Postgres is unavailable, too slow, or rejects the statement.
    #[error("postgres: {}", described(.0.as_ref()))]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// SQLSTATE codes: `enter_session` raises the first, `begin_turn` the others.
const SESSION_ENDED: &str = "US001";
const CHAT_NOT_FOUND: &str = "US002";
const MESSAGE_NOT_FOUND: &str = "US003";
const PAYMENT_DENIED: &str = "US004";
const TURN_RUNNING: &str = "US005";
const DUPLICATE_TURN: &str = "US006";

impl From<tokio_postgres::Error> for DatabaseError {
    /// Maps SQLSTATE codes and the names of violated constraints.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(db) = error.as_db_error() else {
            return Self::Unavailable(error.into());
        };
        match (db.code().code(), db.constraint()) {
            (SESSION_ENDED, _) => Self::SessionEnded,
            (CHAT_NOT_FOUND, _) => Self::ChatNotFound,
            (MESSAGE_NOT_FOUND, _) => Self::MessageNotFound,
            (PAYMENT_DENIED, _) => match serde_json::from_str(db.detail().unwrap_or_default()) {
                Ok(denied) => Self::PaymentDenied(denied),
                Err(unreadable) => Self::Unavailable(unreadable.into()),
            },
            (TURN_RUNNING, _) => match MessageId::parse(db.detail().unwrap_or_default()) {
                Ok(answer) => Self::TurnRunning(answer),
                Err(malformed) => Self::Unavailable(malformed.into()),
            },
            (DUPLICATE_TURN, _) | (_, Some("turns_by_idempotency_key")) => Self::DuplicateTurn,
            (_, Some("messages_pkey" | "turns_pkey" | "credit_ledger_pkey")) => Self::MessageExists,
            _ => Self::Unavailable(error.into()),
        }
    }
}

impl From<PoolError> for DatabaseError {
    fn from(error: PoolError) -> Self {
        Self::Unavailable(error.into())
    }
}

impl DatabaseError {
    /// A result that the schema does not allow.
    pub(crate) fn unexpected(what: &'static str) -> Self {
        Self::Unavailable(what.into())
    }

    /// Maps a stored value that cannot be parsed to [`Self::Unavailable`].
    pub(crate) fn stored<T, E>(parsed: Result<T, E>) -> Result<T, Self>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        parsed.map_err(|error| Self::Unavailable(error.into()))
    }

    /// Whether the connection was dead: the server went away, or the Lambda environment was frozen for too long.
    pub(crate) fn is_dead_connection(&self) -> bool {
        match self {
            Self::Unavailable(source) => source.downcast_ref().is_some_and(is_dead),
            Self::SessionEnded
            | Self::ChatNotFound
            | Self::MessageNotFound
            | Self::MessageExists
            | Self::TurnRunning(_)
            | Self::DuplicateTurn
            | Self::PaymentDenied(_)
            | Self::AnswerNotOpen
            | Self::AnswerGone => false,
        }
    }
}

/// Closed, reset, or terminated by the server with a shutdown code.
fn is_dead(error: &tokio_postgres::Error) -> bool {
    let is_reset = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    let is_terminated = matches!(
        error.code(),
        Some(
            &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::IDLE_SESSION_TIMEOUT
        )
    );
    error.is_closed() || is_reset || is_terminated
}

/// Formats an error with its causes; of a server's error only the code and the constraint, because its message can
/// contain values of rows.
pub(crate) fn described(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(server) = error.downcast_ref().and_then(tokio_postgres::Error::as_db_error) {
        let constraint = server.constraint().unwrap_or("none");
        return format!("sqlstate {}, constraint {constraint}", server.code().code());
    }
    error_chain(error)
}
