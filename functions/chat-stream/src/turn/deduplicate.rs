//! Idempotency: a duplicate request (a double click, or a client's retry after a lost response) does not
//! ask the model again, but follows the turn that the first request began.

use std::ops::ControlFlow;

use axum::response::Response;
use shared_core::chat::{AnswerStatus, NewTurn, Placement, SendError};
use shared_core::ids::{MessageId, UserId};
use shared_postgres::{BeginTurnError, DuplicateTurn, StoredAnswer, TurnLookup, TurnRef};
use shared_turns::CloseError;
use shared_ui_stream::{DONE, answer_of_frames, event_stream};

use super::TurnContext;
use crate::Deps;
use crate::live::orphaned::close_if_orphaned;
use crate::live::reader::follow;
use crate::live::replay::replay;

/// Breaks with the stream of the turn that the first request began, or continues with the turn to store, because the
/// conflict is gone.
type Resolved = Result<ControlFlow<Response, NewTurn>, SendError>;

/// Finds the turn that `turn` duplicates, or that blocks its chat. `conflict` is the database's error when storing it.
pub(super) async fn resolve(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    conflict: &BeginTurnError,
) -> Resolved {
    let database = deps.database.request(&context.session, context.now);
    match (database.duplicate_of(turn).await?, conflict) {
        (Some(duplicate), _) if duplicate.is_same => attach(deps, context, turn, duplicate).await,
        (Some(duplicate), _) if duplicate.is_by_key => Err(SendError::KeyReused),
        (None, BeginTurnError::Running(answer)) => {
            match database.turn_of(&turn.chat, Some(answer)).await? {
                TurnLookup::Turn(running) if running.status == AnswerStatus::Streaming => {
                    refuse_while_running(deps, context, turn, running).await
                }
                // Race: it has ended meanwhile, or was withdrawn.
                TurnLookup::Turn(_) | TurnLookup::NoTurn | TurnLookup::NoChat => {
                    Ok(ControlFlow::Continue(turn.clone()))
                }
            }
        }
        // Race: it was withdrawn meanwhile.
        (None, BeginTurnError::Duplicate) => Ok(ControlFlow::Continue(turn.clone())),
        (Some(_) | None, _) => Err(SendError::MessageExists),
    }
}

async fn attach(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    DuplicateTurn { turn: first, is_by_key, .. }: DuplicateTurn,
) -> Resolved {
    if first.status == AnswerStatus::Streaming {
        return join(deps, context, turn, first).await;
    }
    let database = deps.database.request(&context.session, context.now);
    let answer = database.stored_answer(&first.answer).await?;
    let answer = answer.ok_or(SendError::MessageExists)?;
    // A turn without any output was not charged, and may be asked again. (The idempotency key finds only
    // charged turns.) Only once per request: many clients at a failing model must not retry forever.
    let broke_off = matches!(first.status, AnswerStatus::Failed | AnswerStatus::Interrupted);
    let is_again = matches!(turn.placement, Placement::Regenerate { .. });
    if broke_off && answer.parts.is_empty() && !is_by_key && !is_again {
        let placement = Placement::Regenerate { question: turn.placement.question().clone() };
        return Ok(ControlFlow::Continue(NewTurn { placement, ..turn.clone() }));
    }
    Ok(ControlFlow::Break(ended(deps, context.session.user, &first.answer, answer).await))
}

/// Follows the running turn, or closes it if it is orphaned.
async fn join(deps: &Deps, context: &TurnContext, turn: &NewTurn, running: TurnRef) -> Resolved {
    let user = context.session.user;
    if let Ok(true) = close_if_orphaned(deps, user, &running).await {
        return Ok(ControlFlow::Continue(turn.clone()));
    }
    let followed = follow(deps.clone(), user, running, 0).await?;
    followed.map(ControlFlow::Break).ok_or(SendError::MessageExists)
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
async fn refuse_while_running(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    running: TurnRef,
) -> Resolved {
    match close_if_orphaned(deps, context.session.user, &running).await {
        Ok(true) => Ok(ControlFlow::Continue(turn.clone())),
        Err(CloseError::Store(error)) => Err(error.into()),
        // Without the cache there is no way to know whether it is orphaned.
        Ok(false) | Err(CloseError::Cache(_)) => Err(SendError::Running { answer: running.answer }),
    }
}
