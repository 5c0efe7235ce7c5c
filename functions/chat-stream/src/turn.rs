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
use shared_core::answer::{Answer, FinishReason, ModelEvent, ModelFailure};
use shared_core::prompt::prompt;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, TURNS_PER_USER, TurnError};
use shared_http::{ApiError, UiStream};
use shared_openrouter::{Ask, Batch, ModelStream};
use shared_postgres::{BegunTurn, Outcome};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep};

use crate::Deps;
use crate::storing::{NotStored, begin, failed, store, turn_error};

/// Where the response goes, or why there is none.
pub type Respond = oneshot::Sender<Result<Response, TurnError>>;

/// Runs a turn from its beginning to its end. `respond` is given the response as soon as the model
/// has accepted the question.
pub async fn turn(deps: Deps, session: Session, turn: NewTurn, now: Timestamp, respond: Respond) {
    let began = Instant::now();
    match prepare(&deps, &session, turn, now).await {
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
    session: &Session,
    turn: NewTurn,
    now: Timestamp,
) -> Result<(BegunTurn, ModelStream), TurnError> {
    if !deps.openrouter.is_warm() {
        let openrouter = deps.openrouter.clone();
        deps.tasks.spawn(async move { openrouter.warm().await });
    }
    let user = Subject::User(session.user);
    let database = deps.database.request(session, now);
    let (allowed, begun) = tokio::join!(
        deps.cache.take(&user, "turns", &[TURNS_PER_USER], now),
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
    let ask = Ask { model: &begun.model, messages: &messages, user: session.user };
    match deps.openrouter.ask(&ask).await {
        Ok(stream) => Ok((begun, stream)),
        Err(failure) => {
            let error = ApiError::from(failure.clone());
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
    let accepted = began.elapsed();
    let mut answer = Answer::default();
    let heard = listen(&mut stream, &mut answer, &mut out, deps.config.heartbeat).await;
    if heard.failure.is_none() {
        deps.tasks.spawn(stream.hang_up());
    }
    answer.close(&mut |event| out.event(&event));
    out.flush();

    log(begun, &answer, &heard, accepted, began);
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

/// How listening to a model ended.
struct Heard {
    /// When its first word came, if it said any.
    first_word: Option<Instant>,
    /// Why it broke off, if it did.
    failure: Option<ModelFailure>,
}

/// Passes on what the model says until it is done.
async fn listen(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    heartbeat: Duration,
) -> Heard {
    let mut heard = Heard { first_word: None, failure: None };
    let quiet = sleep(heartbeat);
    tokio::pin!(quiet);
    loop {
        let mut hear = |event: ModelEvent<'_>| {
            answer.hear(&event, &mut |event| out.event(&event));
            if let ModelEvent::Failed(reason) = event {
                heard.failure.get_or_insert(reason);
            }
        };
        match stream.next(quiet.as_mut(), &mut hear).await {
            Batch::Heard => {}
            Batch::Quiet => out.comment(),
            Batch::Ended => break,
        }
        if out.flush() {
            quiet.as_mut().reset(Instant::now() + heartbeat);
        }
        if heard.first_word.is_none() && !answer.is_empty() {
            heard.first_word = Some(Instant::now());
        }
    }
    match answer.finish_reason() {
        // A stream that just stops, without the model's word that it is done, was cut.
        None | Some(FinishReason::Error) => {
            heard.failure.get_or_insert(ModelFailure::Broken);
        }
        // With its word, the answer is whole, whatever became of the connection after it.
        Some(_) => heard.failure = None,
    }
    heard
}

fn log(begun: &BegunTurn, answer: &Answer, heard: &Heard, accepted: Duration, began: Instant) {
    let usage = answer.usage().unwrap_or_default();
    tracing::info!(
        model = %begun.model,
        upstream.accepted_ms = accepted.as_secs_f64() * 1e3,
        upstream.ttft_ms = heard.first_word.map(|at| (at - began).as_secs_f64() * 1e3),
        duration_ms = began.elapsed().as_secs_f64() * 1e3,
        prompt_tokens = usage.prompt_tokens,
        completion_tokens = usage.completion_tokens,
        cost_nano_usd = usage.cost_nano_usd,
        failure = heard.failure.as_ref().map(tracing::field::display),
        "the model is done",
    );
}
