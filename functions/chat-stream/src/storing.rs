//! A turn in the database: how it begins, how it ends, and what the database's errors mean.

use jiff::Timestamp;
use shared_core::answer::Answer;
use shared_core::catalogue::Terms;
use shared_core::plans::Plans;
use shared_core::session::SessionError;
use shared_core::turn::{NewTurn, TurnError};
use shared_http::{ApiError, ErrorCode, Metric};
use shared_postgres::{BegunTurn, Ending, Error as DatabaseError, Outcome, Request};
use tokio::time::{Duration, sleep};

use crate::Deps;

/// Stores the question. One that should be in the chat and is not becomes a new one: it was refused
/// when it was first sent, and now it is sent again.
pub(crate) async fn begin(
    database: &Request<'_>,
    turn: &NewTurn,
    plans: &Plans,
) -> Result<BegunTurn, DatabaseError> {
    match (database.begin_turn(turn, plans).await, turn.as_new_question()) {
        (Err(DatabaseError::MessageNotFound), Some(turn)) => {
            database.begin_turn(&turn, plans).await
        }
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

/// Writes to the database until it is there to be written to.
async fn patiently<F>(write: impl Fn() -> F) -> Result<(), DatabaseError>
where
    F: Future<Output = Result<(), DatabaseError>>,
{
    let mut result = Ok(());
    for wait in TRIES {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        result = write().await;
        match &result {
            // Somebody else closed it; trying again would not change that.
            Ok(()) | Err(DatabaseError::AnswerNotOpen) => break,
            Err(error) => tracing::warn!(%error, "the end of a turn could not be stored"),
        }
    }
    result
}

/// Stores how the turn ended.
pub(crate) async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: Outcome,
) -> Result<(), NotStored> {
    let ending = Ending { answer, outcome, at: deps.edge.clock().now() };
    if patiently(|| deps.database.finish_turn(begun, ending)).await.is_ok() {
        return Ok(());
    }
    tracing::error!(answer = %begun.answer, "an answer is not stored");
    // Of a model that said nothing, nothing is lost.
    if !answer.is_empty() {
        deps.edge.measure(&[Metric::one("AnswerNotStored")], &[("answer", begun.answer.as_str())]);
    }
    Err(NotStored)
}

/// The outcome of a turn whose reader was told of `error`: that the key is refused only if the provider was
/// asked about it.
pub(crate) fn failed(error: &ApiError) -> Outcome {
    let refused_key = error.code() == ErrorCode::KeyRefused;
    Outcome::Failed { code: error.code().as_str(), refused_key }
}

/// Takes back a turn that was never sent, and answers with why.
pub(crate) async fn withdraw(
    deps: &Deps,
    begun: &BegunTurn,
    why: ApiError,
    now: Timestamp,
) -> ApiError {
    let code = why.code().as_str();
    match patiently(|| deps.database.withdraw_turn(begun, code, now)).await {
        Ok(()) => why,
        // Its credits come back all the same, when the sweep finds it.
        Err(error) => TurnError::Unavailable(error.into()).into(),
    }
}

pub(crate) fn turn_error(error: DatabaseError, terms: Terms, plans: &Plans) -> TurnError {
    match error {
        DatabaseError::TurnRefused(refusal) => refusal.explained(terms, plans),
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound => TurnError::ChatNotFound,
        DatabaseError::MessageNotFound => TurnError::MessageNotFound,
        DatabaseError::MessageExists => TurnError::MessageExists,
        DatabaseError::AnswerNotOpen | DatabaseError::Unavailable(_) => {
            TurnError::Unavailable(error.into())
        }
    }
}
