//! A question that was sent before: by a double click, or by a client that never heard an answer. It is
//! not asked again; whoever sent it follows the turn that it began.

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

/// What is to be done about a question that could not be stored as a new one.
pub(crate) enum Repeated {
    /// It was asked before.
    Follow(Response),
    /// What was in its way is gone: it is to be stored as this.
    Again(NewTurn),
}

/// Finds out what `turn` repeats. `why` is what the database said to it.
pub(crate) async fn repeated(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    why: &DatabaseError,
) -> Result<Repeated, TurnError> {
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
                // It has ended meanwhile, or was taken back.
                Some(_) | None => Ok(Repeated::Again(turn.clone())),
            }
        }
        // It has been taken back meanwhile.
        (None, DatabaseError::DuplicateTurn) => Ok(Repeated::Again(turn.clone())),
        (Some(_) | None, _) => Err(TurnError::MessageExists),
    }
}

async fn attach(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    DuplicateTurn { turn: known, is_by_key, .. }: DuplicateTurn,
) -> Result<Repeated, TurnError> {
    if known.status == AnswerStatus::Streaming {
        return join(deps, context, turn, known).await;
    }
    let database = deps.database.request(&context.session, context.now);
    let answer = database.stored_answer(&known.answer).await.map_err(turn_error)?;
    let answer = answer.ok_or(TurnError::MessageExists)?;
    // Nothing was said and nothing was charged: it is as if it had not been asked. (Known by its key is only
    // what was charged.) Once: of a crowd that meets a failing model, nobody asks it for ever.
    let broke_off = matches!(known.status, AnswerStatus::Failed | AnswerStatus::Interrupted);
    let is_again = matches!(turn.placement, Placement::Regenerate { .. });
    if broke_off && answer.parts.is_empty() && !is_by_key && !is_again {
        let placement = Placement::Regenerate { question: turn.placement.question().clone() };
        return Ok(Repeated::Again(NewTurn { placement, ..turn.clone() }));
    }
    Ok(Repeated::Follow(ended(deps, context.session.user, &known.answer, answer).await))
}

/// The turn is running, unless whoever ran it is gone.
async fn join(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    running: TurnRef,
) -> Result<Repeated, TurnError> {
    let user = context.session.user;
    if let Ok(true) = close_if_orphaned(deps, user, &running).await {
        return Ok(Repeated::Again(turn.clone()));
    }
    let followed = follow(deps.clone(), user, running, 0).await?;
    followed.map(Repeated::Follow).ok_or(TurnError::MessageExists)
}

/// An answer that has ended: as it was told, if its log still has all of that, or else as it is stored. It may
/// have come to its true end after its log was given one.
async fn ended(deps: &Deps, user: UserId, id: &MessageId, answer: StoredAnswer) -> Response {
    match deps.cache.live_log(user, id).read_all().await {
        Ok(said) if tells_all(&said.frames, answer.status) => event_stream(said.frames.into()),
        Ok(_) | Err(_) => replay(id, answer),
    }
}

fn tells_all(frames: &[u8], status: AnswerStatus) -> bool {
    let has_finished = || answer_of_frames(frames, None).finish_reason().is_some();
    frames.ends_with(DONE.as_bytes()) && (status != AnswerStatus::Complete || has_finished())
}

/// Another turn of the chat is running, unless it has died.
async fn in_the_way(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
    running: TurnRef,
) -> Result<Repeated, TurnError> {
    match close_if_orphaned(deps, context.session.user, &running).await {
        Ok(true) => Ok(Repeated::Again(turn.clone())),
        Err(CloseError::Database(error)) => Err(turn_error(error)),
        // Without the cache nobody can tell whether it has died.
        Ok(false) | Err(CloseError::Cache(_)) => Err(TurnError::Running { answer: running.answer }),
    }
}
