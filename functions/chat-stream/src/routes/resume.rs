//! `GET /api/chat/{id}/stream`: resumes the stream of a turn.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use shared_core::chat::{AnswerStatus, TurnLookupError};
use shared_http::{ApiError, CurrentUser, ErrorBody};

use crate::Deps;
use crate::live::reader::follow;
use crate::routes::turn_selector::{TurnQuery, TurnSelector};

/// Resume a running answer
///
/// Replays the stream of the chat's running answer from its `start` event, with the same message id, and
/// follows it to its end: after a page reload, in a second tab, or after a lost connection. Any number of
/// clients may follow at once. Returns 204 if no answer is running, or the chat has no question yet; read an
/// ended answer from the chat.
///
/// A client that already has part of the answer sends the number of its last frame in `after` or
/// `last-event-id`, and gets the frames after it, also of an answer that ended within the last hour.
/// `after=0` replays the whole answer.
#[utoipa::path(
    get, path = "/api/chat/{id}/stream", tag = "chat",
    params(("id" = String, Path, description = "The chat's id"), TurnQuery,
        ("last-event-id" = Option<u64>, Header, description = "The same as `after`")),
    responses(
        (status = 200, content_type = "text/event-stream", body = String, description = "The answer, from its beginning or from where the client is. Ends as the answer does; or with an `error` event: `answer_interrupted` if the process that wrote it is gone, or `resume_unavailable`"),
        (status = 204, description = "No answer is running"),
        (status = 401, body = ErrorBody, description = "`unauthenticated` or `session_ended`"),
        (status = 404, body = ErrorBody, description = "With `message`: `chat_not_found` or `message_not_found`"),
        (status = 422, body = ErrorBody, description = "`invalid_id` or `invalid_request`"),
        (status = 429, body = ErrorBody, description = "`too_many_follows`, with `retry-after`"),
        (status = 503, body = ErrorBody, description = "`unavailable` or `resume_unavailable`, with `retry-after`"),
    )
)]
pub(crate) async fn resume(
    State(deps): State<Deps>,
    CurrentUser(session): CurrentUser,
    which: TurnSelector,
) -> Result<Response, ApiError> {
    let after = which.after;
    let turn = match which.find(&deps, &session).await {
        // A page tries to resume when it opens, also before its chat's first question.
        Err(TurnLookupError::ChatNotFound) if which.message.is_none() => None,
        found => found?,
    };
    // A client that has no part of an ended answer reads it from the chat.
    let turn = turn.filter(|turn| turn.status == AnswerStatus::Streaming || after.is_some());
    let followed = match turn {
        Some(turn) => follow(deps, session.user, turn, after.unwrap_or(0)).await?,
        None => None,
    };
    Ok(followed.unwrap_or_else(|| StatusCode::NO_CONTENT.into_response()))
}
