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
use shared_core::limits::LimitReached;
use shared_core::prompt::prompt;
use shared_core::session::{Session, SessionError};
use shared_core::turn::{NewTurn, TURNS_PER_USER, TurnError};
use shared_http::{ApiError, UiStream};
use shared_openrouter::{Ask, Batch, ModelStream};
use shared_postgres::{BegunTurn, Ending, Error as DatabaseError, Outcome};
use tokio::sync::oneshot;
use tokio::time::{Duration, Instant, sleep};

use crate::Deps;

/// Where the response goes, or why there is none.
pub type Respond = oneshot::Sender<Result<Response, TurnError>>;

/// Runs a turn from its beginning to its end. `respond` is given the response as soon as the model
/// has accepted the question.
pub async fn turn(deps: Deps, session: Session, turn: NewTurn, now: Timestamp, respond: Respond) {
    let began = Instant::now();
    let model = turn.model.clone();
    match prepare(&deps, &session, turn, now).await {
        Ok((begun, stream)) => {
            tracing::info!(upstream.accepted_ms = millis(began), %model, "the model accepted");
            let (mut out, response) = UiStream::new();
            out.start(&begun.answer, model.as_str());
            out.flush();
            // Whether anybody still waits for it does not matter.
            let _ = respond.send(Ok(response));
            run(&deps, &begun, model.as_str(), stream, out, began).await;
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
    let openrouter = deps.openrouter.clone();
    deps.tasks.spawn(async move { openrouter.warm().await });
    let (model, user) = (turn.model.clone(), Subject::User(session.user));
    let database = deps.database.request(session, now);
    let (allowed, begun) = tokio::join!(
        deps.cache.take(&user, "turns", &[TURNS_PER_USER], now),
        database.begin_turn(turn),
    );
    let begun = begun.map_err(turn_error)?;
    let allowed = match allowed {
        Ok(allowed) => allowed,
        Err(error) => {
            tracing::warn!(%error, "without the cache, postgres counts turns");
            database
                .turn_limit(TURNS_PER_USER)
                .await
                .map_err(turn_error)?
        }
    };
    if let Err(limit) = allowed {
        return Err(withdraw(deps, &begun, limit).await);
    }

    let messages = prompt(&deps.config.system_prompt, &begun.context, &begun.question);
    let ask = Ask {
        model: &model,
        messages: &messages,
        user: session.user,
    };
    match deps.openrouter.ask(&ask).await {
        Ok(stream) => Ok((begun, stream)),
        Err(failure) => {
            let error = ApiError::from(failure.clone());
            store(deps, &begun, &Answer::default(), failed(&error))
                .await
                .ok();
            Err(failure.into())
        }
    }
}

/// Everything that happens once bytes flow.
async fn run(
    deps: &Deps,
    begun: &BegunTurn,
    model: &str,
    mut stream: ModelStream,
    mut out: UiStream,
    began: Instant,
) {
    let mut answer = Answer::default();
    let failure = listen(
        &mut stream,
        &mut answer,
        &mut out,
        deps.config.heartbeat,
        began,
    )
    .await;
    // Hang up before the disk is waited for.
    drop(stream);
    answer.close(&mut |event| out.event(&event));
    out.flush();

    let failure = failure.map(ApiError::from);
    let outcome = failure.as_ref().map_or(Outcome::Complete, failed);
    let stored = store(deps, begun, &answer, outcome).await;
    match (stored, failure) {
        (Ok(()), None) => {
            let reason = answer.finish_reason().unwrap_or(FinishReason::Other);
            out.finish(reason, answer.model().unwrap_or(model), answer.usage());
        }
        (Ok(()), Some(error)) => out.error(&error),
        (Err(NotStored), _) => out.error(&TurnError::NotSaved.into()),
    }
    out.flush();
}

/// Passes on what the model says until it is done; answers why it broke off, if it did.
async fn listen(
    stream: &mut ModelStream,
    answer: &mut Answer,
    out: &mut UiStream,
    heartbeat: Duration,
    began: Instant,
) -> Option<ModelFailure> {
    let mut failure = None;
    let mut done = false;
    let quiet = sleep(heartbeat);
    tokio::pin!(quiet);
    loop {
        let before_first_word = answer.is_empty();
        let mut hear = |event: ModelEvent<'_>| {
            match &event {
                ModelEvent::Failed(reason) => {
                    failure = failure.take().or_else(|| Some(reason.clone()))
                }
                ModelEvent::Done | ModelEvent::Finished(_) => done = true,
                ModelEvent::Text(_)
                | ModelEvent::Reasoning(_)
                | ModelEvent::Citation { .. }
                | ModelEvent::Identified { .. }
                | ModelEvent::Used(_) => {}
            }
            answer.hear(&event, &mut |event| out.event(&event));
        };
        let batch = stream.next(quiet.as_mut(), &mut hear).await;
        match batch {
            Batch::Heard => {}
            Batch::Quiet => out.comment(),
            Batch::Ended => break,
        }
        if before_first_word && !answer.is_empty() {
            tracing::info!(upstream.ttft_ms = millis(began), "the first word");
        }
        if out.flush() {
            quiet.as_mut().reset(Instant::now() + heartbeat);
        }
    }
    out.flush();
    // A stream that just stops, without a word of the model's, was cut.
    failure.or_else(|| (!done).then_some(ModelFailure::Broken))
}

/// The answer is in nobody's keeping but the reader's.
struct NotStored;

/// How long to wait before each try: the server may be restarting, or failing over.
const TRIES: [Duration; 4] = [
    Duration::ZERO,
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(2),
];

/// Stores how the turn ended.
async fn store(
    deps: &Deps,
    begun: &BegunTurn,
    answer: &Answer,
    outcome: Outcome,
) -> Result<(), NotStored> {
    let ending = Ending {
        answer,
        outcome,
        at: deps.edge.clock().now(),
    };
    for wait in TRIES {
        sleep(wait).await;
        match deps.database.finish_turn(begun, ending).await {
            Ok(()) => return Ok(()),
            // Somebody else closed it; trying again would not change that.
            Err(DatabaseError::AnswerNotOpen) => break,
            Err(error) => tracing::warn!(%error, "an answer could not be stored"),
        }
    }
    tracing::error!(answer = %begun.answer, "an answer is not stored");
    Err(NotStored)
}

/// Takes the question back: a turn beyond the limit was never sent.
async fn withdraw(deps: &Deps, begun: &BegunTurn, limit: LimitReached) -> TurnError {
    match deps.database.withdraw_turn(begun).await {
        Ok(()) => limit.into(),
        Err(error) => turn_error(error),
    }
}

fn failed(error: &ApiError) -> Outcome {
    Outcome::Failed {
        code: error.code().as_str(),
    }
}

fn turn_error(error: DatabaseError) -> TurnError {
    match error {
        DatabaseError::SessionEnded => SessionError::Ended.into(),
        DatabaseError::ChatNotFound => TurnError::ChatNotFound,
        DatabaseError::MessageNotFound => TurnError::MessageNotFound,
        DatabaseError::MessageExists => TurnError::MessageExists,
        DatabaseError::AnswerNotOpen | DatabaseError::Unavailable(_) => {
            TurnError::Unavailable(error.into())
        }
    }
}

fn millis(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}
