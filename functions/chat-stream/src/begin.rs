//! Begins a turn: stores its question, or finds that it is a duplicate request.

use std::borrow::Cow;

use axum::response::Response;
use shared_cache::{CacheError, Permit, Subject};
use shared_core::catalogue::ModelPricing;
use shared_core::plans::{Plan, Plans};
use shared_core::session::SessionError;
use shared_core::turn::{NewTurn, TurnError};
use shared_postgres::{BegunTurn, DatabaseError};

use crate::Deps;
use crate::deduplicate::{Duplicate, resolve_duplicate};
use crate::turn::TurnContext;

/// The result of beginning a turn.
pub(crate) enum Beginning {
    /// The question is stored and its answer is open; with the user's rate limit permit.
    Begun(Box<BegunTurn>, Result<Permit, CacheError>),
    /// A duplicate request: the stream of the turn that the first one began.
    Duplicate(Response),
}

/// Makes one round trip to each system, concurrently.
pub(crate) async fn begin(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
) -> Result<Beginning, TurnError> {
    if !deps.openrouter.is_warm() {
        deps.tasks.spawn(deps.openrouter.clone().warm());
    }
    let user = Subject::User(context.session.user);
    let limits: Vec<_> = deps.plans.all().map(Plan::turn_limit).collect();
    let (permit, stored) = tokio::join!(
        deps.cache.acquire_any(&user, "turns", &limits, context.now),
        store_question(deps, context, turn),
    );
    match (stored, permit) {
        (Ok(Stored::Begun(begun)), permit) => Ok(Beginning::Begun(begun, permit)),
        (Ok(Stored::Duplicate(response)), permit) => {
            // A duplicate request does not count against the rate limit.
            if let Ok(permit) = permit {
                deps.cache.release(permit).await.ok();
            }
            Ok(Beginning::Duplicate(response))
        }
        // Refused turns keep their permit: a user over the rate limit gets that error instead.
        (Err(error), Ok(permit)) => Err(permit.allowed_by_any().err().map_or(error, Into::into)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// The result of storing a question.
enum Stored {
    Begun(Box<BegunTurn>),
    Duplicate(Response),
}

/// How often storing is tried: each retry acts on what the one before found, and none finds the same twice.
const TRIES: usize = 3;

/// Stores the question. An edit or a regeneration of a question that is not in the chat becomes a new
/// question: its first request was refused, and this is the client's retry.
async fn store_question(
    deps: &Deps,
    context: &TurnContext,
    turn: &NewTurn,
) -> Result<Stored, TurnError> {
    let database = deps.database.request(&context.session, context.now);
    let mut turn = Cow::Borrowed(turn);
    let mut tries = 1;
    loop {
        let error = match database.begin_turn(&turn, &deps.plans).await {
            Ok(begun) => return Ok(Stored::Begun(begun.into())),
            Err(error) => error,
        };
        let next = match (&error, turn.as_new_question()) {
            (DatabaseError::MessageNotFound, question) => question,
            (DatabaseError::TurnRunning(_) | DatabaseError::DuplicateTurn, _) => {
                match resolve_duplicate(deps, context, &turn, &error).await? {
                    Duplicate::Follow(response) => return Ok(Stored::Duplicate(response)),
                    Duplicate::Retry(turn) => Some(turn),
                }
            }
            (_, _) => None,
        };
        match next {
            Some(next) if tries < TRIES => turn = Cow::Owned(next),
            Some(_) | None => return Err(refused(error, turn.pricing, &deps.plans)),
        }
        tries += 1;
    }
}

fn refused(error: DatabaseError, pricing: ModelPricing, plans: &Plans) -> TurnError {
    if let DatabaseError::PaymentDenied(refusal) = error {
        refusal.with_upgrade_hint(pricing, plans)
    } else {
        turn_error(error)
    }
}

/// Maps a database error to the error of a request about a turn.
pub(crate) fn turn_error(error: DatabaseError) -> TurnError {
    match error {
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound => TurnError::ChatNotFound,
        DatabaseError::MessageNotFound => TurnError::MessageNotFound,
        DatabaseError::MessageExists | DatabaseError::DuplicateTurn => TurnError::MessageExists,
        DatabaseError::TurnRunning(answer) => TurnError::Running { answer },
        DatabaseError::PaymentDenied(_)
        | DatabaseError::AnswerNotOpen
        | DatabaseError::AnswerGone
        | DatabaseError::Unavailable(_) => TurnError::Unavailable(error.into()),
    }
}
