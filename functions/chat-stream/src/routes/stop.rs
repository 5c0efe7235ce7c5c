//! `POST /api/chat/{id}/stop`: stops a running answer.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;
use shared_cache::{LiveLog, LogState};
use shared_core::chat::{AnswerStatus, StopError};
use shared_core::ids::MessageId;
use shared_http::{ApiError, CurrentUser, ErrorBody};
use shared_turns::CloseError;
use tokio::time::{Duration, Instant, sleep};
use utoipa::ToSchema;

use crate::Deps;
use crate::live::orphaned::close_if_orphaned;
use crate::live::reader::POLL_INTERVAL;
use crate::routes::turn_selector::TurnSelector;

/// How long to wait for the end: a user who stops an answer wants to ask something else.
const END_WITHIN: Duration = Duration::from_secs(2);

/// The stopped answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Stopped {
    /// The answer's id.
    #[schema(value_type = String)]
    message_id: MessageId,
    /// Whether the answer has ended and the chat accepts the next question. If not, it will in a moment.
    ended: bool,
}

/// Stop a running answer
///
/// Cancels the request to the model, keeps the text received so far with the status `stopped`, and sends
/// `abort` to every client that follows the answer. Closing a connection does not stop an answer; this does.
/// Idempotent: stopping an answer that has ended, or is being stopped, changes nothing.
#[utoipa::path(
    post, path = "/api/chat/{id}/stop", tag = "chat",
    params(("id" = String, Path, description = "The chat's id"),
        ("message" = Option<String>, Query, description = "The answer's id; the chat's newest answer if left out")),
    responses(
        (status = 200, body = Stopped, description = "The answer that is stopped"),
        (status = 204, description = "No answer is running"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "`chat_not_found` or `message_not_found`"),
        (status = 422, body = ErrorBody, description = "`invalid_id` or `invalid_request`"),
        (status = 503, body = ErrorBody, description = "`unavailable` or `stop_unavailable`, with `retry-after`: the answer goes on"),
    )
)]
pub(crate) async fn stop(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    which: TurnSelector,
) -> Result<Response, ApiError> {
    let turn = which.find(&deps, &session).await?;
    let Some(turn) = turn.filter(|turn| turn.status == AnswerStatus::Streaming) else {
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let unavailable = |error: CloseError| StopError::Unavailable(error.into());
    let log = deps.cache.live_log(session.user, &turn.answer);
    log.request_stop().await.map_err(|error| unavailable(error.into()))?;
    let ended = has_ended(&log).await
        || close_if_orphaned(&deps, session.user, &turn).await.map_err(unavailable)?;
    Ok(Json(Stopped { message_id: turn.answer, ended }).into_response())
}

/// Waits up to [`END_WITHIN`] for the end of a log.
async fn has_ended(log: &LiveLog) -> bool {
    let began = Instant::now();
    while began.elapsed() < END_WITHIN {
        match log.state().await {
            Ok(LogState::Ended) => return true,
            // No process is left that could end it.
            Ok(LogState::Orphaned) => return false,
            Ok(LogState::Running | LogState::Absent) | Err(_) => sleep(POLL_INTERVAL).await,
        }
    }
    false
}
