//! How a turn begins: its question is stored, or it turns out that it was asked before.

use std::borrow::Cow;

use axum::response::Response;
use shared_cache::{Error as CacheError, Subject, Taken};
use shared_core::catalogue::Terms;
use shared_core::plans::{Plan, Plans};
use shared_core::session::SessionError;
use shared_core::turn::{NewTurn, TurnError};
use shared_postgres::{BegunTurn, Error as DatabaseError};

use crate::Deps;
use crate::repeated::{Repeated, repeated};
use crate::turn::Asker;

/// What became of a question.
pub(crate) enum Beginning {
    /// It is stored, and its answer is open; and what the cache says of how often its user asks.
    Begun(Box<BegunTurn>, Result<Taken, CacheError>),
    /// It was asked before: the stream of that turn.
    Repeated(Response),
}

/// One round trip to each system, at once.
pub(crate) async fn begin(
    deps: &Deps,
    asker: &Asker,
    turn: &NewTurn,
) -> Result<Beginning, TurnError> {
    if !deps.openrouter.is_warm() {
        deps.tasks.spawn(deps.openrouter.clone().warm());
    }
    let user = Subject::User(asker.session.user);
    let limits: Vec<_> = deps.plans.all().map(Plan::turn_limit).collect();
    let (taken, stored) = tokio::join!(
        deps.cache.take_any(&user, "turns", &limits, asker.now),
        store_question(deps, asker, turn),
    );
    match (stored, taken) {
        (Ok(Stored::Begun(begun)), taken) => Ok(Beginning::Begun(begun, taken)),
        (Ok(Stored::Repeated(response)), taken) => {
            // To ask for the same again is not to ask more.
            if let Ok(taken) = taken {
                deps.cache.give_back(taken).await.ok();
            }
            Ok(Beginning::Repeated(response))
        }
        // Who is refused again and again is told that it is too often.
        (Err(error), Ok(taken)) => Err(taken.allowed_by_any().err().map_or(error, Into::into)),
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
async fn store_question(deps: &Deps, asker: &Asker, turn: &NewTurn) -> Result<Stored, TurnError> {
    let database = deps.database.request(&asker.session, asker.now);
    let mut turn = Cow::Borrowed(turn);
    let mut tries = 1;
    loop {
        let error = match database.begin_turn(&turn, &deps.plans).await {
            Ok(begun) => return Ok(Stored::Begun(begun.into())),
            Err(error) => error,
        };
        let next = match (&error, turn.as_new_question()) {
            (DatabaseError::MessageNotFound, question) => question,
            (DatabaseError::TurnRunning(_) | DatabaseError::TurnRepeated, _) => {
                match repeated(deps, asker, &turn, &error).await? {
                    Repeated::Follow(response) => return Ok(Stored::Repeated(response)),
                    Repeated::Again(turn) => Some(turn),
                }
            }
            (_, _) => None,
        };
        match next {
            Some(next) if tries < TRIES => turn = Cow::Owned(next),
            Some(_) | None => return Err(refused(error, turn.terms, &deps.plans)),
        }
        tries += 1;
    }
}

fn refused(error: DatabaseError, terms: Terms, plans: &Plans) -> TurnError {
    if let DatabaseError::TurnRefused(refusal) = error {
        refusal.explained(terms, plans)
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
        DatabaseError::MessageExists | DatabaseError::TurnRepeated => TurnError::MessageExists,
        DatabaseError::TurnRunning(answer) => TurnError::Running { answer },
        DatabaseError::TurnRefused(_)
        | DatabaseError::AnswerNotOpen
        | DatabaseError::AnswerGone
        | DatabaseError::Unavailable(_) => TurnError::Unavailable(error.into()),
    }
}
