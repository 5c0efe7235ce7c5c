//! Persists the end of a turn in the database, or in the inbox while the database is unavailable.

use std::fmt::Display;

use jiff::Timestamp;
use shared_core::chat::{Answer, FinishedTurn, Outcome, SendError};
use shared_http::{ApiError, ErrorCode};
use shared_inbox::{Inbox, InboxError};
use shared_lambda::Metric;
use shared_postgres::{BegunTurn, FinishTurnError, TurnEnd};
use shared_turns::inbox_item;
use tokio::time::{Duration, sleep, timeout};

use crate::Deps;

/// The answer is stored neither in the database nor in the inbox.
pub(super) struct NotStored;

/// The delay before each try: the server may be restarting.
const TRIES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(100), Duration::from_millis(500)];
/// A client waits for the end of the answer; a write that takes longer goes to the inbox.
const STORE_WITHIN: Duration = Duration::from_millis(1500);

/// Retries a write while the database is unavailable; `is_final` says of an error that a retry would not change it.
async fn with_retries<F, E>(write: impl Fn() -> F, is_final: impl Fn(&E) -> bool) -> Result<(), E>
where
    F: Future<Output = Result<(), E>>,
    E: Display,
{
    let mut result = Ok(());
    for wait in TRIES {
        if !wait.is_zero() {
            sleep(wait).await;
        }
        result = write().await;
        match &result {
            Ok(()) => break,
            Err(error) if is_final(error) => break,
            Err(error) => tracing::warn!(%error, "could not store the end of a turn"),
        }
    }
    result
}

/// Stores the turn's end in the database, or if that is unavailable in the inbox, from which the sweep
/// stores it later.
pub(super) async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: &Outcome,
) -> Result<(), NotStored> {
    let at = deps.app.clock().now();
    let end = TurnEnd { answer, outcome, at };
    // Another process has closed it, or it was deleted.
    let is_final = |error: &FinishTurnError| !matches!(error, FinishTurnError::Store(_));
    let finish = || deps.database.finish_turn(begun, end);
    let store = || timeout(STORE_WITHIN, with_retries(finish, is_final));
    let about = [("answer", begun.answer.as_str())];
    match store().await {
        // The user deleted the chat meanwhile.
        Ok(Ok(()) | Err(FinishTurnError::AnswerGone)) => return Ok(()),
        Ok(Err(FinishTurnError::AnswerNotOpen)) => {}
        // It may have been committed after all: storing the end is idempotent.
        Ok(Err(_)) | Err(_) => {
            match put_into_inbox(&deps.inbox, &begun.finished(answer, outcome, at)).await {
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

async fn put_into_inbox(inbox: &Inbox, turn: &FinishedTurn) -> Result<(), InboxError> {
    inbox.put_item(&inbox_item(turn)?).await
}

/// The outcome of a turn that failed with `error`. `KeyRefused` marks the key as refused: by then the
/// provider has confirmed it.
pub(super) fn failed(error: &ApiError) -> Outcome {
    let refused_key = error.code() == ErrorCode::KeyRefused;
    Outcome::Failed { code: error.code().as_str().into(), refused_key }
}

/// Withdraws a turn that was never sent to the provider; returns the error for its client.
pub(super) async fn withdraw(
    deps: &Deps,
    begun: &BegunTurn,
    why: ApiError,
    now: Timestamp,
) -> ApiError {
    let code = why.code().as_str();
    match with_retries(|| deps.database.withdraw_turn(begun, code, now), |_| false).await {
        Ok(()) => why,
        // The sweep will release its credits.
        Err(error) => SendError::from(error).into(),
    }
}
