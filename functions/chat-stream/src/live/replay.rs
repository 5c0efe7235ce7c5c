//! Replays an ended answer as a stream, from the database.

use axum::body::Body;
use axum::response::Response;
use shared_core::chat::{AnswerError, AnswerStatus, FinishReason, Part, UiEvent};
use shared_core::ids::MessageId;
use shared_http::{ApiError, ErrorCode};
use shared_ui_stream::{TurnSummary, UiStream, event_stream};

use super::new_stream;
use shared_postgres::StoredAnswer;

/// Returns the stream of an answer, all at once.
pub(crate) fn replay(id: &MessageId, answer: StoredAnswer) -> Response {
    let (mut out, body) = new_stream();
    let model = answer.model.as_deref().unwrap_or_default();
    out.start(id, model);
    for (index, part) in answer.parts.iter().enumerate() {
        replay_part(&mut out, index, part);
    }
    let summary = answer.charge.map(|charge| TurnSummary { model, usage: answer.usage, charge });
    let summary = summary.as_ref();
    match answer.status {
        AnswerStatus::Complete => {
            out.finish(answer.finish_reason.unwrap_or(FinishReason::Other), summary);
        }
        AnswerStatus::Stopped => out.abort(summary),
        AnswerStatus::Streaming | AnswerStatus::Interrupted => {
            out.error(&ApiError::from(AnswerError::Interrupted).to_json(), summary);
        }
        AnswerStatus::Failed => {
            out.error(&failure(answer.error_code.as_deref()).to_json(), summary);
        }
    }
    out.flush();
    event_stream(Body::new(body))
}

fn replay_part(out: &mut UiStream, part: usize, content: &Part) {
    match content {
        Part::Text { text } => {
            out.event(&UiEvent::TextStart { part });
            out.event(&UiEvent::TextDelta { part, delta: text });
            out.event(&UiEvent::TextEnd { part });
        }
        Part::Reasoning { text } => {
            out.event(&UiEvent::ReasoningStart { part });
            out.event(&UiEvent::ReasoningDelta { part, delta: text });
            out.event(&UiEvent::ReasoningEnd { part });
        }
        // Answers have none.
        Part::File(_) => {}
        Part::SourceUrl { source_id, url, title } => {
            out.event(&UiEvent::SourceUrl { source_id, url, title: title.as_deref() });
        }
    }
}

/// Restores an error from its code: only that is stored, so the message is the code's general one.
fn failure(code: Option<&str>) -> ApiError {
    let code = ErrorCode::ALL.iter().find(|known| Some(known.as_str()) == code);
    let code = code.copied().unwrap_or(ErrorCode::ModelFailed);
    ApiError::new(code, code.meaning())
}
