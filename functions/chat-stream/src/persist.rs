//! Persists the end of a turn in the database, or in the inbox while the database is unavailable.

use jiff::Timestamp;
use shared_core::answer::Answer;
use shared_core::outcome::Outcome;
use shared_core::turn::TurnError;
use shared_http::{ApiError, ErrorCode, Metric};
use shared_postgres::{BegunTurn, DatabaseError, TurnEnd};
use tokio::time::{Duration, sleep, timeout};

use crate::Deps;

/// The answer is stored neither in the database nor in the inbox.
pub(crate) struct NotStored;

/// The delay before each try: the server may be restarting.
const TRIES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500)];
/// A client waits for the end of the answer; a write that takes longer goes to the inbox.
const STORE_WITHIN: Duration = Duration::from_millis(1500);

/// Retries a write while the database is unavailable.
async fn with_retries<F>(write: impl Fn() -> F) -> Result<(), DatabaseError>
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
            // Another process closed it, or it was deleted; a retry would not change that.
            Ok(()) | Err(DatabaseError::AnswerNotOpen | DatabaseError::AnswerGone) => break,
            Err(error) => tracing::warn!(%error, "could not store the end of a turn"),
        }
    }
    result
}

/// Stores the turn's end in the database, or if that is unavailable in the inbox, from which the sweep
/// stores it later.
pub(crate) async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: &Outcome,
) -> Result<(), NotStored> {
    let at = deps.app.clock().now();
    let end = TurnEnd { answer, outcome, at };
    let store = || timeout(STORE_WITHIN, with_retries(|| deps.database.finish_turn(begun, end)));
    let about = [("answer", begun.answer.as_str())];
    match store().await {
        // The user deleted the chat meanwhile.
        Ok(Ok(()) | Err(DatabaseError::AnswerGone)) => return Ok(()),
        Ok(Err(DatabaseError::AnswerNotOpen)) => {}
        // It may have been committed after all: storing the end is idempotent.
        Ok(Err(_)) | Err(_) => {
            match deps.inbox.put_turn(&begun.finished(answer, outcome, at)).await {
                Ok(()) => {
                    tracing::warn!(answer = %begun.answer, "put an answer into the inbox, to be stored later");
                    deps.app.measure(&[Metric::one("TurnInInbox")], &about);
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(%error, "the inbox is unavailable, too");
                    if let Ok(Ok(())) = store().await {
                        return Ok(());
                    }
                }
            }
        }
    }
    tracing::error!(answer = %begun.answer, "could not store an answer");
    // An empty answer is no loss.
    if !answer.is_empty() {
        deps.app.measure(&[Metric::one("AnswerNotStored")], &about);
    }
    Err(NotStored)
}

/// The outcome of a turn that failed with `error`. `KeyRefused` marks the key as refused: by then the
/// provider has confirmed it.
pub(crate) fn failed(error: &ApiError) -> Outcome {
    let refused_key = error.code() == ErrorCode::KeyRefused;
    Outcome::Failed { code: error.code().as_str().into(), refused_key }
}

/// Withdraws a turn that was never sent to the provider; returns the error for its client.
pub(crate) async fn withdraw(
    deps: &Deps,
    begun: &BegunTurn,
    why: ApiError,
    now: Timestamp,
) -> ApiError {
    let code = why.code().as_str();
    match with_retries(|| deps.database.withdraw_turn(begun, code, now)).await {
        Ok(()) => why,
        // The sweep will release its credits.
        Err(error) => TurnError::Unavailable(error.into()).into(),
    }
}
