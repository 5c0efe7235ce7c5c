//! A chat turn.
//!
//! ```text
//!            ┌─ cache: may this user ask again?                          ┐ at once,
//!  prepare ──┤─ postgres: question and open answer in, context out       │ one round
//!            └─ openrouter: a connection, if none is open                ┘ trip each
//!                │
//!                ▼  system prompt + summary + context + question
//!            openrouter accepts ──▶ 200, `start`          (until here, an error is a status)
//!                │
//!   run ─────────┤  each chunk: heard, told to the browser, kept       (from here, an event)
//!                ▼
//!            postgres: answer and what it took ──▶ `finish`, [DONE]
//! ```
//!
//! The task that runs this outlives its reader: a closed tab does not end a turn.

use axum::response::Response;
use jiff::Timestamp;
use shared_cache::Subject;
use shared_core::answer::{Answer, FinishReason};
use shared_core::ids::TraceId;
use shared_core::prompt::prompt;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, TURNS_PER_USER, TurnError};
use shared_http::{ApiError, UiStream};
use shared_openrouter::{Ask, ModelStream};
use shared_postgres::{BegunTurn, Outcome};
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Deps;
use crate::listen::listen;
use crate::report::{Times, report, report_refusal};
use crate::storing::{NotStored, begin, failed, store, turn_error};

/// Where the response goes, or why there is none.
pub type Respond = oneshot::Sender<Result<Response, TurnError>>;

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
        Ok((begun, stream)) => {
            let (mut out, response) = UiStream::new();
            out.start(&begun.answer, begun.model.as_str());
            out.flush();
            // Whether anybody still waits for it does not matter.
            let _ = respond.send(Ok(response));
            run(&deps, &begun, stream, out, began).await;
        }
        Err(error) => drop(respond.send(Err(error))),
    }
}

/// Everything that can still be an HTTP status.
async fn prepare(
    deps: &Deps,
    Asker { session, trace, now }: &Asker,
    turn: NewTurn,
) -> Result<(BegunTurn, ModelStream), TurnError> {
    if !deps.openrouter.is_warm() {
        deps.tasks.spawn(deps.openrouter.clone().warm());
    }
    let user = Subject::User(session.user);
    let database = deps.database.request(session, *now);
    let (allowed, begun) = tokio::join!(
        deps.cache.take(&user, "turns", &[TURNS_PER_USER], *now),
        begin(&database, &turn),
    );
    let begun = begun.map_err(turn_error)?;
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::warn!(%error, "without the cache, postgres counts turns");
            database.turn_limit(TURNS_PER_USER).await.map_err(turn_error)?
        }
    };
    if let Err(limit) = allowed {
        // A turn beyond the limit was never sent.
        deps.database.withdraw_turn(&begun).await.map_err(turn_error)?;
        return Err(limit.into());
    }

    let messages = prompt(&deps.config.system_prompt, &begun.context, &begun.question);
    let ask = Ask { model: &begun.model, messages: &messages, user: session.user, trace: *trace };
    match deps.openrouter.ask(&ask).await {
        Ok(stream) => Ok((begun, stream)),
        Err(failure) => {
            let error = ApiError::from(failure.clone());
            report_refusal(deps, &begun, &error);
            store(deps, &begun, &Answer::default(), failed(&error)).await.ok();
            Err(failure.into())
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
    let heard = listen(&mut stream, &mut answer, &mut out, deps.config.heartbeat).await;
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
    match (stored, failure) {
        (Ok(()), None) => {
            let reason = answer.finish_reason().unwrap_or(FinishReason::Other);
            let model = answer.model().unwrap_or(begun.model.as_str());
            out.finish(reason, model, answer.usage());
        }
        (Ok(()), Some(error)) => out.error(&error),
        (Err(NotStored), _) => out.error(&TurnError::NotSaved.into()),
    }
    out.flush();
}
