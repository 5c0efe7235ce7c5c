//! How a turn begins: its question is stored, or it turns out that it was asked before.

use std::borrow::Cow;

use axum::response::Response;
use shared_cache::{CacheError, Permit, Subject};
use shared_core::catalogue::ModelPricing;
use shared_core::plans::{Plan, Plans};
use shared_core::session::SessionError;
use shared_core::turn::{NewTurn, TurnError};
use shared_postgres::{BegunTurn, DatabaseError};

use crate::Deps;
use crate::deduplicate::{Repeated, repeated};
use crate::turn::TurnContext;

/// What became of a question.
pub(crate) enum Beginning {
    /// It is stored, and its answer is open; and what the cache says of how often its user asks.
    Begun(Box<BegunTurn>, Result<Permit, CacheError>),
    /// It was asked before: the stream of that turn.
    Repeated(Response),
}

/// One round trip to each system, at once.
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
        (Ok(Stored::Repeated(response)), permit) => {
            // To ask for the same again is not to ask more.
            if let Ok(permit) = permit {
                deps.cache.release(permit).await.ok();
            }
            Ok(Beginning::Repeated(response))
        }
        // Who is refused again and again is told that it is too often.
        (Err(error), Ok(permit)) => Err(permit.allowed_by_any().err().map_or(error, Into::into)),
        (Err(error), Err(_)) => Err(error),
    }
}

/// What the database has done with a question.
enum Stored {
    Begun(Box<BegunTurn>),
    Repeated(Response),
}

/// Another try follows what the one before has found out, and none finds the same twice.
const TRIES: usize = 3;

/// Stores the question. One that should be in the chat and is not becomes a new one: it was refused
/// when it was first sent, and now it is sent again.
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
                match repeated(deps, context, &turn, &error).await? {
                    Repeated::Follow(response) => return Ok(Stored::Repeated(response)),
                    Repeated::Again(turn) => Some(turn),
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

/// What the database's error means to somebody who asks about a turn.
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
