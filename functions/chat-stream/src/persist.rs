//! How a turn ends in the database, or beside it.

use jiff::Timestamp;
use shared_core::answer::Answer;
use shared_core::outcome::Outcome;
use shared_core::turn::TurnError;
use shared_http::{ApiError, ErrorCode, Metric};
use shared_postgres::{BegunTurn, DatabaseError, TurnEnd};
use tokio::time::{Duration, sleep, timeout};

use crate::Deps;

/// The answer is in nobody's keeping but the reader's.
pub(crate) struct NotStored;

/// How long to wait before each try: the server may be restarting.
const TRIES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500)];
/// A reader waits for the end of the answer; what takes longer goes to the inbox.
const STORE_WITHIN: Duration = Duration::from_millis(1500);

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
            Ok(()) | Err(DatabaseError::AnswerNotOpen | DatabaseError::AnswerGone) => break,
            Err(error) => tracing::warn!(%error, "the end of a turn could not be stored"),
        }
    }
    result
}

/// Stores how the turn ended: in the database, or if that is away, in the inbox, from which the sweep
/// stores it when it is back.
pub(crate) async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: &Outcome,
) -> Result<(), NotStored> {
    let at = deps.app.clock().now();
    let end = TurnEnd { answer, outcome, at };
    let store = || timeout(STORE_WITHIN, patiently(|| deps.database.finish_turn(begun, end)));
    let about = [("answer", begun.answer.as_str())];
    match store().await {
        // Who has deleted the chat meanwhile does not miss the answer.
        Ok(Ok(()) | Err(DatabaseError::AnswerGone)) => return Ok(()),
        Ok(Err(DatabaseError::AnswerNotOpen)) => {}
        // Whether it was stored after all does not matter: what comes second changes nothing.
        Ok(Err(_)) | Err(_) => {
            match deps.inbox.put_turn(&begun.finished(answer, outcome, at)).await {
                Ok(()) => {
                    tracing::warn!(answer = %begun.answer, "an answer is in the inbox, to be stored later");
                    deps.app.measure(&[Metric::one("TurnInInbox")], &about);
                    return Ok(());
                }
                Err(error) => {
                    tracing::error!(%error, "the inbox is away, too");
                    if let Ok(Ok(())) = store().await {
                        return Ok(());
                    }
                }
            }
        }
    }
    tracing::error!(answer = %begun.answer, "an answer is not stored");
    // Of a model that said nothing, nothing is lost.
    if !answer.is_empty() {
        deps.app.measure(&[Metric::one("AnswerNotStored")], &about);
    }
    Err(NotStored)
}

/// The outcome of a turn whose reader was told of `error`: that the key is refused only if the provider was
/// asked about it.
pub(crate) fn failed(error: &ApiError) -> Outcome {
    let refused_key = error.code() == ErrorCode::KeyRefused;
    Outcome::Failed { code: error.code().as_str().into(), refused_key }
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
