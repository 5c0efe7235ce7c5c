//! A chat turn.
//!
//! ```text
//!            ┌─ cache: the user's rate limit                                 ┐ at once,
//!  begin ────┤─ postgres: who pays? question and open answer in, context out │ one round
//!            ├─ s3: the question's files, if it has any (files.rs)           │ trip each (begin.rs)
//!            └─ openrouter: a connection, if none is open                    ┘
//!                │  duplicate request? ──▶ follow its turn (deduplicate.rs, live/reader.rs)
//!                │  predicted? ──▶ the model is asked meanwhile (speculate.rs)
//!                ▼
//!  prepare ── system prompt + summary + context + question; files; the user's own key (prepare.rs, files.rs, byok.rs)
//!            openrouter accepts ──▶ 200, `start` (upstream.rs)    (until here, an error is a status)
//!                │
//!  generate ─────┤  each chunk: parsed, sent to the browser, kept (generate.rs)   (from here, an event)
//!                │      └─ copied to the live log, which receives stop requests (live/writer.rs)
//!                ▼
//!  persist ── postgres: answer, usage, charge ──▶ `finish`, [DONE]
//!                └─ unavailable? to the inbox instead (persist.rs)
//! ```
//!
//! The task outlives its client: a closed tab does not end a turn.

mod begin;
mod byok;
mod context;
mod deduplicate;
mod files;
mod generate;
mod persist;
mod prepare;
mod speculate;
mod telemetry;
mod upstream;

use axum::body::Body;
use axum::response::IntoResponse;
use futures_util::FutureExt as _;
use shared_cache::{CacheError, Permit};
use shared_core::chat::{Answer, AnswerError, FinishReason, NewTurn, Outcome};
use shared_core::models::ModelError;
use shared_http::{ApiError, RateLimitHeaders};
use shared_openrouter::ModelStream;
use shared_postgres::BegunTurn;
use shared_ui_stream::{TurnSummary, UiStream, event_stream};
use tokio::time::Instant;

use self::begin::{Beginning, NewBeginning, begin};
use self::byok::verify_refusal;
use self::files::{TurnFiles, cannot_read_images};
use self::generate::{
    Interruption, StreamEnd, StreamResult, StreamTimeouts, generate, interrupted,
};
use self::persist::{NotStored, failed, store, withdraw};
use self::prepare::prepare_input;
use self::telemetry::{Times, report, report_refusal};
use self::upstream::{UpstreamRequest, UpstreamResponse};
use crate::Deps;
use crate::live::new_stream;
use crate::live::writer::LogWriter;

pub use self::context::{Respond, TurnContext};

/// Runs a turn from its beginning to its end. Sends the response to `respond` as soon as the model
/// has accepted the question.
///
/// Its phases are boxed: while an answer is generated, which is nearly all of a turn's time, it takes no memory for the
/// others.
pub async fn turn(deps: Deps, context: TurnContext, turn: NewTurn, respond: Respond) {
    let began = Instant::now();
    let files = TurnFiles::begin(&deps, &context, &turn.files);
    let NewBeginning { turn: begun, permit, request } =
        match begin(&deps, &context, &turn, &files).boxed().await {
            Ok(Beginning::New(beginning)) => beginning,
            Ok(Beginning::Duplicate(response)) => return drop(respond.send(Ok(response))),
            Err(error) => return drop(respond.send(Err(error.into()))),
        };
    let (writer, frames) =
        LogWriter::start(&deps.cache, &deps.tasks, &deps.app, begun.user, &begun.answer);
    let (out, body) = new_stream();
    let mut out = out.with_copy(frames);
    let request = BegunRequest { permit, request, files };
    let prepared = prepare(&deps, &context, &begun, request, &writer).boxed().await;
    match prepared {
        Ok(Prepared { stream, rate_limit }) => {
            out.start(&begun.answer, begun.model.as_str());
            out.flush();
            // Ignore a closed channel: the client may have disconnected.
            let response = event_stream(Body::new(body));
            let _ = respond.send(Ok((rate_limit, response).into_response()));
            run(&deps, &begun, stream, &mut out, &writer, began).boxed().await;
            writer.finish().await;
        }
        Err(error) => {
            // For clients that already follow this turn. Before the response, because Lambda may freeze the process
            // after it.
            out.error(&error.to_json(), None);
            out.flush();
            writer.finish().await;
            let _ = respond.send(Err(error));
        }
    }
}

/// A turn that the provider has accepted, or that was interrupted while waiting for it.
struct Prepared {
    stream: Result<ModelStream, Interruption>,
    rate_limit: RateLimitHeaders,
}

/// What was found out while the turn began.
struct BegunRequest {
    permit: Result<Permit, CacheError>,
    request: Option<UpstreamRequest>,
    files: TurnFiles,
}

/// Sends the stored question to the provider, unless a prediction has done so. An error here is still an HTTP status.
async fn prepare(
    deps: &Deps,
    context: &TurnContext,
    begun: &BegunTurn,
    BegunRequest { permit, request, files }: BegunRequest,
    writer: &LogWriter,
) -> Result<Prepared, ApiError> {
    let now = context.now;
    let UpstreamRequest { rate_limit, response } = match request {
        Some(request) => request,
        None => match prepare_input(deps, context, begun, &files, permit).await {
            Ok(input) => UpstreamRequest::new(deps, context, begun, input),
            Err(error) => return Err(withdraw(deps, begun, error.into(), now).await),
        },
    };
    let UpstreamResponse { accepted, key } = tokio::select! {
        response = response => response,
        cut = interrupted(writer, &deps.tasks) => {
            return Ok(Prepared { stream: Err(cut), rate_limit });
        }
    };
    match accepted {
        Ok(stream) => Ok(Prepared { stream: Ok(stream), rate_limit }),
        Err(failure) => {
            let failure = verify_refusal(deps, failure, key.as_ref(), now).await;
            let error = if failure == ModelError::CannotReadImages {
                cannot_read_images(deps, begun, now).await.into()
            } else {
                ApiError::from(failure)
            };
            report_refusal(deps, begun, &error);
            store(deps, begun, &Answer::default(), &failed(&error)).await.ok();
            Err(error)
        }
    }
}

/// Streams the answer and stores its end. An error here is an event of the stream.
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
                keep_alive: deps.config.keep_alive,
                deadline: began + deps.config.longest_turn,
            };
            let cut = interrupted(writer, &deps.tasks);
            let result = generate(&mut stream, &mut answer, out, writer, cut, timeouts).await;
            match result.end {
                StreamEnd::Done => deps.tasks.spawn(stream.hang_up()),
                // The rest is not read; cancel it at the provider before the answer is stored.
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
            (Outcome::Interrupted, Some(AnswerError::Interrupted.into()))
        }
        StreamEnd::Failed(failure) => {
            let error = ApiError::from(failure);
            (failed(&error), Some(error))
        }
    };
    let stored = store(deps, begun, &answer, &outcome).boxed().await;
    let summary = TurnSummary {
        model: answer.model().unwrap_or(begun.model.as_str()),
        usage: answer.usage(),
        charge: begun.charge(&answer),
    };
    match (stored, error) {
        (Err(NotStored), _) => out.error(&ApiError::from(AnswerError::NotSaved).to_json(), None),
        (Ok(()), Some(error)) => out.error(&error.to_json(), Some(&summary)),
        (Ok(()), None) if outcome == Outcome::Stopped => out.abort(Some(&summary)),
        (Ok(()), None) => {
            out.finish(answer.finish_reason().unwrap_or(FinishReason::Other), Some(&summary));
        }
    }
    out.flush();
}
