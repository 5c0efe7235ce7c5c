//! A chat turn.
//!
//! ```text
//!            ┌─ cache: how often has this user asked?                    ┐ at once,
//!  prepare ──┤─ postgres: who pays? question and open answer in, context out │ one round
//!            └─ openrouter: a connection, if none is open                ┘ trip each
//!                │
//!                ▼  system prompt + summary + context + question (ready.rs)
//!            openrouter accepts ──▶ 200, `start`          (until here, an error is a status)
//!                │
//!   run ─────────┤  each chunk: heard, told to the browser, kept       (from here, an event)
//!                ▼
//!            postgres: answer, what it took, who paid ──▶ `finish`, [DONE]
//! ```
//!
//! The task that runs this outlives its reader: a closed tab does not end a turn.

use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use shared_cache::Subject;
use shared_core::answer::{Answer, FinishReason};
use shared_core::ids::TraceId;
use shared_core::plans::Plan;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, TurnError};
use shared_http::{ApiError, RateLimit, Took, UiStream};
use shared_openrouter::{Ask, ModelStream};
use shared_postgres::{BegunTurn, Outcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Deps;
use crate::listen::listen;
use crate::own_key::confirmed;
use crate::ready::{Ready, ready};
use crate::report::{Times, report, report_refusal};
use crate::storing::{NotStored, begin, failed, store, turn_error, withdraw};

/// Where the response goes, or why there is none.
pub type Respond = oneshot::Sender<Result<Response, ApiError>>;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// Whose turn it is.
    pub session: Session,
    /// What the provider's record of it is to be found by.
    pub trace: TraceId,
    /// When the question came.
    pub now: Timestamp,
}

/// Runs a turn from its beginning to its end. `respond` is given the response as soon as the model
/// has accepted the question.
pub async fn turn(deps: Deps, asker: Asker, turn: NewTurn, respond: Respond) {
    let began = Instant::now();
    match prepare(&deps, &asker, turn).await {
        Ok(Accepted { begun, stream, rate_limit }) => {
            let (mut out, response) = UiStream::new();
            out.start(&begun.answer, begun.model.as_str());
            out.flush();
            // Whether anybody still waits for it does not matter.
            let _ = respond.send(Ok((rate_limit, response).into_response()));
            run(&deps, &begun, stream, out, began).await;
        }
        Err(error) => drop(respond.send(Err(error))),
    }
}

/// A turn whose question the model has accepted.
struct Accepted {
    begun: BegunTurn,
    stream: ModelStream,
    rate_limit: RateLimit,
}

/// Everything that can still be an HTTP status.
async fn prepare(
    deps: &Deps,
    Asker { session, trace, now }: &Asker,
    turn: NewTurn,
) -> Result<Accepted, ApiError> {
    if !deps.openrouter.is_warm() {
        deps.tasks.spawn(deps.openrouter.clone().warm());
    }
    let user = Subject::User(session.user);
    let database = deps.database.request(session, *now);
    let limits: Vec<_> = deps.plans.all().map(Plan::turn_limit).collect();
    let (taken, begun) = tokio::join!(
        deps.cache.take_any(&user, "turns", &limits, *now),
        begin(&database, &turn, &deps.plans),
    );
    let begun = match begun {
        Ok(begun) => begun,
        // Who is refused again and again is told that it is too often.
        Err(error) => {
            if let Ok(taken) = taken {
                taken.allowed_by_any().map_err(TurnError::from)?;
            }
            return Err(turn_error(error, turn.terms, &deps.plans).into());
        }
    };
    let Ready { prompt, key, rate_limit } = match ready(deps, &database, &begun, taken).await {
        Ok(ready) => ready,
        Err(error) => return Err(withdraw(deps, &begun, error.into(), *now).await),
    };

    let ask = Ask {
        model: &begun.model,
        messages: &prompt,
        user: session.user,
        trace: *trace,
        key: key.as_ref(),
    };
    match deps.openrouter.ask(&ask).await {
        Ok(stream) => Ok(Accepted { begun, stream, rate_limit }),
        Err(failure) => {
            let error = ApiError::from(confirmed(deps, failure, key.as_ref(), *now).await);
            report_refusal(deps, &begun, &error);
            store(deps, &begun, &Answer::default(), failed(&error)).await.ok();
            Err(error)
        }
    }
}

/// Everything that happens once bytes flow.
async fn run(
    deps: &Deps,
    begun: &BegunTurn,
    mut stream: ModelStream,
    mut out: UiStream,
    began: Instant,
) {
    let times = Times { began, accepted: Instant::now() };
    let mut answer = Answer::default();
    let deadline = began + deps.config.longest_turn;
    let heard = listen(&mut stream, &mut answer, &mut out, deps.config.heartbeat, deadline).await;
    match heard.failure {
        None => deps.tasks.spawn(stream.hang_up()),
        // Nobody listens any more; the provider need not wait for the answer to be stored.
        Some(_) => drop(stream),
    }
    answer.close(&mut |event| out.event(&event));
    out.flush();

    report(deps, begun, &answer, &heard, &times);
    let failure = heard.failure.map(ApiError::from);
    let outcome = failure.as_ref().map_or(Outcome::Complete, failed);
    let stored = store(deps, begun, &answer, outcome).await;
    let took = Took {
        model: answer.model().unwrap_or(begun.model.as_str()),
        usage: answer.usage(),
        charge: begun.charge(&answer),
    };
    match (stored, failure) {
        (Ok(()), None) => out.finish(answer.finish_reason().unwrap_or(FinishReason::Other), &took),
        (Ok(()), Some(error)) => out.error(&error, Some(&took)),
        (Err(NotStored), _) => out.error(&TurnError::NotSaved.into(), None),
    }
    out.flush();
}
