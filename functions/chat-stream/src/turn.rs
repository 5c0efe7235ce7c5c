//! A chat turn.
//!
//! ```text
//!            ┌─ cache: how often has this user asked?                    ┐ at once,
//!  begin ────┤─ postgres: who pays? question and open answer in, context out │ one round
//!            └─ openrouter: a connection, if none is open                ┘ trip each
//!                │  asked before? ──▶ follow that turn (repeated.rs)
//!                ▼
//!  prepare ── system prompt + summary + context + question (ready.rs)
//!            openrouter accepts ──▶ 200, `start`          (until here, an error is a status)
//!                │
//!   run ─────────┤  each chunk: heard, told to the browser, kept       (from here, an event)
//!                │      └─ copied to the live log, which learns of a stop (recorder.rs)
//!                ▼
//!            postgres: answer, what it took, who paid ──▶ `finish`, [DONE]
//!                └─ away? to the inbox instead (storing.rs)
//! ```
//!
//! The task that runs this outlives its reader: a closed tab does not end a turn.

use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use shared_cache::{CacheError, Permit};
use shared_core::answer::{Answer, FinishReason};
use shared_core::ids::TraceId;
use shared_core::outcome::Outcome;
use shared_core::session::Session;
use shared_core::turn::{NewTurn, TurnError};
use shared_http::{ApiError, RateLimit, Took, UiStream};
use shared_openrouter::{CompletionRequest, ModelStream};
use shared_postgres::BegunTurn;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::Deps;
use crate::begin::{Beginning, begin};
use crate::byok::confirmed;
use crate::generate::{
    Interruption, StreamEnd, StreamResult, StreamTimeouts, generate, interrupted,
};
use crate::persist::{NotStored, failed, store, withdraw};
use crate::prepare::{Ready, ready};
use crate::telemetry::{Times, report, report_refusal};
use crate::writer::LogWriter;

/// Where the response goes, or why there is none.
pub type Respond = oneshot::Sender<Result<Response, ApiError>>;

/// Who asks, and when.
#[derive(Clone, Copy, Debug)]
pub struct TurnContext {
    /// Whose turn it is.
    pub session: Session,
    /// What the provider's record of it is to be found by.
    pub trace: TraceId,
    /// When the question came.
    pub now: Timestamp,
}

/// Runs a turn from its beginning to its end. `respond` is given the response as soon as the model
/// has accepted the question.
pub async fn turn(deps: Deps, context: TurnContext, turn: NewTurn, respond: Respond) {
    let began = Instant::now();
    let (begun, permit) = match begin(&deps, &context, &turn).await {
        Ok(Beginning::Begun(begun, permit)) => (begun, permit),
        Ok(Beginning::Repeated(response)) => return drop(respond.send(Ok(response))),
        Err(error) => return drop(respond.send(Err(error.into()))),
    };
    let writer = LogWriter::start(&deps.cache, &deps.tasks, &deps.app, begun.user, &begun.answer);
    let (mut out, response) = UiStream::new(writer.frame_buffer());
    match prepare(&deps, &context, &begun, permit, &writer).await {
        Ok(Prepared { stream, rate_limit }) => {
            out.start(&begun.answer, begun.model.as_str());
            out.flush();
            // Whether anybody still waits for it does not matter.
            let _ = respond.send(Ok((rate_limit, response).into_response()));
            run(&deps, &begun, stream, &mut out, &writer, began).await;
            writer.finish().await;
        }
        Err(error) => {
            // For whoever follows this turn already. After the response, this process may be frozen.
            out.error(&error, None);
            out.flush();
            writer.finish().await;
            let _ = respond.send(Err(error));
        }
    }
}

/// A turn that has been sent, or was cut short before it was.
struct Prepared {
    stream: Result<ModelStream, Interruption>,
    rate_limit: RateLimit,
}

/// Everything that can still be an HTTP status, once the question is stored.
async fn prepare(
    deps: &Deps,
    TurnContext { session, trace, now }: &TurnContext,
    begun: &BegunTurn,
    permit: Result<Permit, CacheError>,
    writer: &LogWriter,
) -> Result<Prepared, ApiError> {
    let database = deps.database.request(session, *now);
    let Ready { prompt, key, rate_limit } = match ready(deps, &database, begun, permit).await {
        Ok(ready) => ready,
        Err(error) => return Err(withdraw(deps, begun, error.into(), *now).await),
    };
    let ask = CompletionRequest {
        model: &begun.model,
        messages: &prompt,
        user: session.user,
        trace: *trace,
        key: key.as_ref(),
    };
    let asked = tokio::select! {
        asked = deps.openrouter.complete(&ask) => asked,
        cut = interrupted(writer, &deps.tasks) => return Ok(Prepared { stream: Err(cut), rate_limit }),
    };
    match asked {
        Ok(stream) => Ok(Prepared { stream: Ok(stream), rate_limit }),
        Err(failure) => {
            let error = ApiError::from(confirmed(deps, failure, key.as_ref(), *now).await);
            report_refusal(deps, begun, &error);
            store(deps, begun, &Answer::default(), &failed(&error)).await.ok();
            Err(error)
        }
    }
}

/// Everything that happens once bytes flow.
async fn run(
    deps: &Deps,
    begun: &BegunTurn,
    stream: Result<ModelStream, Interruption>,
    out: &mut UiStream,
    writer: &LogWriter,
    began: Instant,
) {
    let times = Times { began, accepted: Instant::now() };
    let mut answer = Answer::default();
    let result = match stream {
        Ok(mut stream) => {
            let timeouts = StreamTimeouts {
                heartbeat: deps.config.heartbeat,
                deadline: began + deps.config.longest_turn,
            };
            let cut = interrupted(writer, &deps.tasks);
            let result = generate(&mut stream, &mut answer, out, writer, cut, timeouts).await;
            match result.end {
                StreamEnd::Done => deps.tasks.spawn(stream.hang_up()),
                // Nobody listens any more; the provider need not wait for the answer to be stored.
                StreamEnd::Failed(_) | StreamEnd::Interrupted(_) => drop(stream),
            }
            result
        }
        Err(cut) => StreamResult::nothing(StreamEnd::Interrupted(cut)),
    };
    answer.close(&mut |event| out.event(&event));
    out.flush();

    report(deps, begun, &answer, &result, &times);
    let (outcome, error) = match result.end {
        StreamEnd::Done => (Outcome::Complete, None),
        StreamEnd::Interrupted(Interruption::Stop) => (Outcome::Stopped, None),
        StreamEnd::Interrupted(Interruption::Shutdown) => {
            (Outcome::Interrupted, Some(TurnError::Interrupted.into()))
        }
        StreamEnd::Failed(failure) => {
            let error = ApiError::from(failure);
            (failed(&error), Some(error))
        }
    };
    let stored = store(deps, begun, &answer, &outcome).await;
    let took = Took {
        model: answer.model().unwrap_or(begun.model.as_str()),
        usage: answer.usage(),
        charge: begun.charge(&answer),
    };
    match (stored, error) {
        (Err(NotStored), _) => out.error(&TurnError::NotSaved.into(), None),
        (Ok(()), Some(error)) => out.error(&error, Some(&took)),
        (Ok(()), None) if outcome == Outcome::Stopped => out.abort(Some(&took)),
        (Ok(()), None) => {
            out.finish(answer.finish_reason().unwrap_or(FinishReason::Other), Some(&took));
        }
    }
    out.flush();
}
