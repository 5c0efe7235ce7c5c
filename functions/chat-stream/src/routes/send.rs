//! `POST /api/chat`: parses the request and spawns its [`turn`](crate::turn).

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;
use shared_core::ids::TraceId;
use shared_http::{ApiError, CurrentUser, ErrorBody, ErrorCode, Json, idempotency_key};
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::Deps;
use crate::routes::request::{ChatRequest, RequestError, Rules};
use crate::turn::{TurnContext, turn};

/// Ask a model
///
/// Streams the answer as server-sent events, in the AI SDK's UI Message Stream v1. An error before the model
/// answers is an HTTP status; a later one is the stream's `error` event, whose `errorText` is the JSON of an
/// error body. The text received until then is kept.
///
/// A chat has one turn at a time: while an answer is being written, another question is refused with 409.
/// Requests are idempotent: a duplicate request, recognised by the question's id or the header
/// `idempotency-key`, does not ask the model again, but gets the stream of the turn that the first one began,
/// from the beginning, also when that has ended. The question's id, text and files identify it; the model does not.
/// Only if that turn broke off without any output, the model is asked once more.
///
/// A part of type `file` names an upload by its `url`, `/api/uploads/<id>`. The model receives the file's bytes, also in
/// the next turns, while the message is among the newest five.
///
/// The turn's summary is in `messageMetadata`, a `MessageMetadata` of this document: of the `finish` event,
/// or of a `message-metadata` event before an `error` or an `abort` that ends a stored turn. It contains the
/// model that answered, the tokens and their cost in US dollars, who paid, and the credits left.
#[utoipa::path(
    post, path = "/api/chat", tag = "chat", request_body = ChatRequest,
    params(("idempotency-key" = Option<String>, Header, description = "The client's idempotency key of this request, the same in each retry: 1 to 255 printable ASCII characters")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "The answer, as it comes", headers(
            ("ratelimit-limit" = u32, description = "turns that the plan allows per minute"),
            ("ratelimit-remaining" = u32, description = "turns left"),
            ("ratelimit-reset" = u64, description = "seconds until one more turn is allowed"),
        )),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 402, body = ErrorBody, description = "`credits_exhausted`, `key_exhausted` or `key_cap_reached`; or `model_out_of_credit`, of the platform's account"),
        (status = 403, body = ErrorBody, description = "`model_needs_premium`, `chat_full`, `model_refused`, `key_refused`, `key_unreadable`, or `cross_site`"),
        (status = 404, body = ErrorBody, description = "`model_unknown`, `chat_not_found`, `message_not_found` or `upload_not_found`"),
        (status = 408, body = ErrorBody, description = "`model_request_timed_out`"),
        (status = 409, body = ErrorBody, description = "`turn_running`, `upload_missing`, or `message_exists` for another message with the same id; with `x-should-retry: false`"),
        (status = 413, body = ErrorBody, description = "`message_too_long`, `files_too_large`, `body_too_large`, `context_too_large` or `conversation_too_long`"),
        (status = 422, body = ErrorBody, description = "`invalid_request`, `invalid_id`, `invalid_message`, `model_cannot_read`, `invalid_idempotency_key` or `idempotency_key_reused`"),
        (status = 429, body = ErrorBody, description = "`too_many_turns`, `model_busy` or `key_busy`; or `too_many_follows` for a duplicate request; with `retry-after`"),
        (status = 502, body = ErrorBody, description = "`model_failed`"),
        (status = 503, body = ErrorBody, description = "`unavailable`, `uploads_unavailable`, `model_unavailable`, or `resume_unavailable` for a duplicate request; with `retry-after`"),
        (status = 504, body = ErrorBody, description = "`model_timed_out`"),
    )
)]
pub(crate) async fn send(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    Extension(trace): Extension<TraceId>,
    headers: HeaderMap,
    Json(request): Json<ChatRequest>,
) -> Result<Response, ApiError> {
    let now = deps.app.clock().now();
    let rules = Rules {
        table: &deps.table,
        message_limit: deps.plans.longest_message(),
        entropy: deps.app.entropy(),
        idempotency_key: idempotency_key(&headers)?,
        now,
    };
    let new = request.into_turn(rules).map_err(|error| match error {
        RequestError::Json(error) => ApiError::new(ErrorCode::InvalidRequest, error),
        RequestError::Invalid(error) => error.into(),
        RequestError::NotFound(error) => error.into(),
    })?;

    // In a task of its own: the server drops a handler whose client disconnects, and a turn that has
    // begun must reach its end.
    let (respond, response) = oneshot::channel();
    let tasks = deps.tasks.clone();
    tasks.spawn(turn(deps, TurnContext { session, trace, now }, new, respond).in_current_span());
    let broke = |_| ApiError::new(ErrorCode::Internal, "something broke on our side; try again");
    response.await.map_err(broke)?
}
