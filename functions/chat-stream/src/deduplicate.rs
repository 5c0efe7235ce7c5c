//! Idempotency: a duplicate request (a double click, or a client's retry after a lost response) does not
//! ask the model again, but follows the turn that the first request began.

use axum::response::Response;
use shared_core::chat::AnswerStatus;
use shared_core::ids::{MessageId, UserId};
use shared_core::turn::{NewTurn, Placement, TurnError};
use shared_http::{DONE, answer_of_frames, event_stream};
use shared_postgres::{DatabaseError, DuplicateTurn, StoredAnswer, TurnRef};

use crate::Deps;
use crate::begin::turn_error;
use crate::orphaned::{CloseError, close_if_orphaned};
use crate::reader::follow;
use crate::replay::replay;
use crate::turn::TurnContext;

/// How to go on with a question that could not be stored as a new one.
pub(crate) enum Duplicate {
    /// A duplicate request: the stream of the turn that the first one began.
    Follow(Response),
    /// The conflict is gone: retry storing, with this turn.
    Retry(NewTurn),
}

/// Finds the turn that `turn` duplicates. `why` is the database's error when storing it.
pub(crate) async fn resolve_duplicate(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    why: &DatabaseError,
) -> Result<Duplicate, TurnError> {
    let database = deps.database.request(&context.session, context.now);
    let known = database.duplicate_of(turn).await.map_err(turn_error)?;
    match (known, why) {
        (Some(known), _) if known.is_same => attach(deps, context, turn, known).await,
        (Some(known), _) if known.is_by_key => Err(TurnError::KeyReused),
        (None, DatabaseError::TurnRunning(answer)) => {
            let running = database.turn_of(&turn.chat, Some(answer)).await.map_err(turn_error)?;
            match running {
                Some(running) if running.status == AnswerStatus::Streaming => {
                    in_the_way(deps, context, turn, running).await
                }
                // Race: it has ended meanwhile, or was withdrawn.
                Some(_) | None => Ok(Duplicate::Retry(turn.clone())),
            }
        }
        // Race: it was withdrawn meanwhile.
        (None, DatabaseError::DuplicateTurn) => Ok(Duplicate::Retry(turn.clone())),
        (Some(_) | None, _) => Err(TurnError::MessageExists),
    }
}

async fn attach(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    DuplicateTurn { turn: known, is_by_key, .. }: DuplicateTurn,
) -> Result<Duplicate, TurnError> {
    if known.status == AnswerStatus::Streaming {
        return join(deps, context, turn, known).await;
    }
    let database = deps.database.request(&context.session, context.now);
    let answer = database.stored_answer(&known.answer).await.map_err(turn_error)?;
    let answer = answer.ok_or(TurnError::MessageExists)?;
    // A turn without any output was not charged, and may be asked again. (The idempotency key finds only
    // charged turns.) Only once per request: many clients at a failing model must not retry forever.
    let broke_off = matches!(known.status, AnswerStatus::Failed | AnswerStatus::Interrupted);
    let is_again = matches!(turn.placement, Placement::Regenerate { .. });
    if broke_off && answer.parts.is_empty() && !is_by_key && !is_again {
        let placement = Placement::Regenerate { question: turn.placement.question().clone() };
        return Ok(Duplicate::Retry(NewTurn { placement, ..turn.clone() }));
    }
    Ok(Duplicate::Follow(ended(deps, context.session.user, &known.answer, answer).await))
}

/// Follows the running turn, or closes it if it is orphaned.
async fn join(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    running: TurnRef,
) -> Result<Duplicate, TurnError> {
    let user = context.session.user;
    if let Ok(true) = close_if_orphaned(deps, user, &running).await {
        return Ok(Duplicate::Retry(turn.clone()));
    }
    let followed = follow(deps.clone(), user, running, 0).await?;
    followed.map(Duplicate::Follow).ok_or(TurnError::MessageExists)
}

/// Replays an ended answer: from its live log if that is complete, or else from the database. The log may say
/// `interrupted` of an answer whose true end was stored later.
async fn ended(deps: &Deps, user: UserId, id: &MessageId, answer: StoredAnswer) -> Response {
    match deps.cache.live_log(user, id).read_all().await {
        Ok(log) if is_complete(&log.frames, answer.status) => event_stream(log.frames.into()),
        Ok(_) | Err(_) => replay(id, answer),
    }
}

fn is_complete(frames: &[u8], status: AnswerStatus) -> bool {
    let has_finished = || answer_of_frames(frames, None).finish_reason().is_some();
    frames.ends_with(DONE.as_bytes()) && (status != AnswerStatus::Complete || has_finished())
}

/// Refuses the question because another turn of the chat is running; closes that turn if it is orphaned.
async fn in_the_way(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    running: TurnRef,
) -> Result<Duplicate, TurnError> {
    match close_if_orphaned(deps, context.session.user, &running).await {
        Ok(true) => Ok(Duplicate::Retry(turn.clone())),
        Err(CloseError::Database(error)) => Err(turn_error(error)),
        // Without the cache there is no way to know whether it is orphaned.
        Ok(false) | Err(CloseError::Cache(_)) => Err(TurnError::Running { answer: running.answer }),
    }
}
