//! Errors: [`DatabaseError`] inside this crate, and outside of it [`StoreError`], or the error of a turn's beginning or
//! end, which has what only that can fail with.

use std::error::Error as _;

use deadpool_postgres::PoolError;
use shared_core::billing::PaymentDenied;
use shared_core::error_chain;
use shared_core::ids::MessageId;
use shared_core::store::StoreError;
use tokio_postgres::error::SqlState;

/// Raised by `enter_session`, and the others by `begin_turn`.
const SESSION_ENDED: &str = "US001";
const CHAT_NOT_FOUND: &str = "US002";
const MESSAGE_NOT_FOUND: &str = "US003";
const PAYMENT_DENIED: &str = "US004";
const TURN_RUNNING: &str = "US005";
const DUPLICATE_TURN: &str = "US006";
/// Raised by `attach_files`.
const UPLOAD_NOT_FOUND: &str = "US009";
const UPLOAD_MISSING: &str = "US010";

/// A transaction failed; nothing of it was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The server refused a statement, or the connection broke.
    #[error("postgres: {}", described(.0))]
    Server(#[from] tokio_postgres::Error),
    /// No connection could be opened in time.
    #[error("postgres: {}", described(.0))]
    Connection(#[from] PoolError),
    /// The transaction did not end in time.
    #[error("postgres: the transaction took too long")]
    TimedOut,
    /// The result is not one that the schema allows.
    #[error("postgres: unexpected: {0}")]
    Unexpected(&'static str),
    /// A stored value cannot be read.
    #[error("postgres: a stored value cannot be read: {0}")]
    Malformed(#[source] Box<dyn std::error::Error + Send + Sync>),
}

impl DatabaseError {
    /// The result is not one that the schema allows.
    pub(crate) fn unexpected(what: &'static str) -> Self {
        Self::Unexpected(what)
    }

    /// A stored value that this program can read, as it wrote it.
    pub(crate) fn stored<T, E>(parsed: Result<T, E>) -> Result<T, Self>
    where
        E: std::error::Error + Send + Sync + 'static,
    {
        parsed.map_err(|error| Self::Malformed(error.into()))
    }

    /// Whether the connection was dead: its server went away, or the environment slept too long.
    pub(crate) fn is_dead_connection(&self) -> bool {
        match self {
            Self::Server(error) => is_dead(error),
            Self::Connection(_) | Self::TimedOut | Self::Unexpected(_) | Self::Malformed(_) => {
                false
            }
        }
    }

    /// SQLSTATE, detail and constraint of an error that the server has raised.
    pub(crate) fn raised(&self) -> Option<(&str, &str, Option<&str>)> {
        let Self::Server(error) = self else { return None };
        let error = error.as_db_error()?;
        Some((error.code().code(), error.detail().unwrap_or_default(), error.constraint()))
    }
}

impl From<DatabaseError> for StoreError {
    fn from(error: DatabaseError) -> Self {
        match error.raised() {
            Some((SESSION_ENDED, _, _)) => Self::SessionEnded,
            Some(_) | None => Self::Unavailable(error.into()),
        }
    }
}

/// Why a turn did not begin. Nothing is stored and nothing reserved.
#[derive(Debug, thiserror::Error)]
pub enum BeginTurnError {
    /// The user has no such chat: it was deleted at this moment.
    #[error("there is no such chat")]
    ChatNotFound,
    /// The question to edit or to regenerate is not in the chat.
    #[error("the message is not in this chat")]
    MessageNotFound,
    /// The user has a message with this id already, in another chat.
    #[error("a message with this id exists")]
    MessageExists,
    /// Another turn of the chat is running, with this answer.
    #[error("the answer {0} is still being written")]
    Running(MessageId),
    /// Duplicate request: the question is stored in this chat, or the idempotency key is used.
    #[error("the turn has begun before")]
    Duplicate,
    /// The user has no such upload as the question names.
    #[error("a file of the question does not exist")]
    UploadNotFound,
    /// An upload of the question is not ready.
    #[error("a file of the question is not there yet")]
    UploadMissing,
    /// No allowance and no key pays for the turn, or the plan does not allow it.
    #[error("payment for the turn is denied")]
    PaymentDenied(Box<PaymentDenied>),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<DatabaseError> for BeginTurnError {
    /// A constraint's name is the rule that was broken.
    fn from(error: DatabaseError) -> Self {
        let malformed = |error: Box<dyn std::error::Error + Send + Sync>| {
            Self::Store(DatabaseError::Malformed(error).into())
        };
        match error.raised() {
            Some((CHAT_NOT_FOUND, ..)) => Self::ChatNotFound,
            Some((MESSAGE_NOT_FOUND, ..)) => Self::MessageNotFound,
            Some((UPLOAD_NOT_FOUND, ..)) => Self::UploadNotFound,
            Some((UPLOAD_MISSING, ..)) => Self::UploadMissing,
            Some((PAYMENT_DENIED, detail, _)) => match serde_json::from_str(detail) {
                Ok(denied) => Self::PaymentDenied(denied),
                Err(error) => malformed(error.into()),
            },
            Some((TURN_RUNNING, answer, _)) => match MessageId::parse(answer) {
                Ok(answer) => Self::Running(answer),
                Err(error) => malformed(error.into()),
            },
            Some((DUPLICATE_TURN, ..) | (_, _, Some("turns_by_idempotency_key"))) => {
                Self::Duplicate
            }
            Some((_, _, Some("messages_pkey" | "turns_pkey" | "credit_ledger_pkey"))) => {
                Self::MessageExists
            }
            Some(_) | None => Self::Store(error.into()),
        }
    }
}

/// Why a turn's end was not stored.
#[derive(Debug, thiserror::Error)]
pub enum FinishTurnError {
    /// The answer is closed already, with another end.
    #[error("the answer is not open any more")]
    AnswerNotOpen,
    /// The answer was deleted, with its chat or its user; its turn has ended.
    #[error("the answer is deleted")]
    AnswerGone,
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Closed, broken off, or ended by a server that announces its shutdown.
fn is_dead(error: &tokio_postgres::Error) -> bool {
    let broke_off = error.source().is_some_and(<dyn std::error::Error>::is::<std::io::Error>);
    let shutdown = matches!(
        error.code(),
        Some(
            &SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::IDLE_SESSION_TIMEOUT
        )
    );
    error.is_closed() || broke_off || shutdown
}

/// Describes an error with its causes. Of a server's error only the code and the constraint, because its message can
/// hold values of rows.
pub(crate) fn described(error: &(dyn std::error::Error + 'static)) -> String {
    if let Some(server) = error.downcast_ref().and_then(tokio_postgres::Error::as_db_error) {
        let constraint = server.constraint().unwrap_or("none");
        return format!("sqlstate {}, constraint {constraint}", server.code().code());
    }
    error_chain(error)
}
