//! A turn in the database: how it begins, how it ends, and what the database's errors mean.

use shared_core::answer::Answer;
use shared_core::session::SessionError;
use shared_core::turn::{NewTurn, TurnError};
use shared_http::{ApiError, Metric};
use shared_postgres::{BegunTurn, Ending, Error as DatabaseError, Outcome, Request};
use tokio::time::{Duration, sleep};

use crate::Deps;

/// Stores the question. One that should be in the chat and is not becomes a new one: it was refused
/// when it was first sent, and now it is sent again.
pub(crate) async fn begin(
    database: &Request<'_>,
    turn: &NewTurn,
) -> Result<BegunTurn, DatabaseError> {
    match (database.begin_turn(turn).await, turn.as_new_question()) {
        (Err(DatabaseError::MessageNotFound), Some(turn)) => database.begin_turn(&turn).await,
        (result, _) => result,
    }
}

/// The answer is in nobody's keeping but the reader's.
pub(crate) struct NotStored;

/// How long to wait before each try: the server may be restarting, or failing over.
const TRIES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Stores how the turn ended.
pub(crate) async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: Outcome,
) -> Result<(), NotStored> {
    let ending = Ending { answer, outcome, at: deps.edge.clock().now() };
    for wait in TRIES {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        match deps.database.finish_turn(begun, ending).await {
            Ok(()) => return Ok(()),
            // Somebody else closed it; trying again would not change that.
            Err(DatabaseError::AnswerNotOpen) => break,
            Err(error) => tracing::warn!(%error, "an answer could not be stored"),
        }
    }
    tracing::error!(answer = %begun.answer, "an answer is not stored");
    // Of a model that said nothing, nothing is lost.
    if !answer.is_empty() {
        deps.edge.measure(&[Metric::one("AnswerNotStored")], &[("answer", begun.answer.as_str())]);
    }
    Err(NotStored)
}

/// The outcome of a turn whose reader was told of `error`.
pub(crate) fn failed(error: &ApiError) -> Outcome {
    Outcome::Failed { code: error.code().as_str() }
}

pub(crate) fn turn_error(error: DatabaseError) -> TurnError {
    match error {
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound => TurnError::ChatNotFound,
        DatabaseError::MessageNotFound => TurnError::MessageNotFound,
        DatabaseError::MessageExists => TurnError::MessageExists,
        DatabaseError::AnswerNotOpen | DatabaseError::Unavailable(_) => {
            TurnError::Unavailable(error.into())
        }
    }
}
