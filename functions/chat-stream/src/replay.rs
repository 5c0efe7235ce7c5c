//! An answer that has ended, told again as a stream, from what is stored.

use axum::response::Response;
use shared_core::answer::{FinishReason, UiEvent};
use shared_core::chat::{AnswerStatus, Part};
use shared_core::ids::MessageId;
use shared_core::turn::TurnError;
use shared_http::{ApiError, ErrorCode, FrameBuffer, Took, UiStream};
use shared_postgres::StoredAnswer;

/// The stream of an answer, all at once.
pub(crate) fn replay(id: &MessageId, answer: StoredAnswer) -> Response {
    let (mut out, response) = UiStream::new(FrameBuffer::default());
    let model = answer.model.as_deref().unwrap_or_default();
    out.start(id, model);
    for (part, said) in answer.parts.iter().enumerate() {
        tell(&mut out, part, said);
    }
    let took = answer.charge.map(|charge| Took { model, usage: answer.usage, charge });
    let took = took.as_ref();
    match answer.status {
        AnswerStatus::Complete => {
            out.finish(answer.finish_reason.unwrap_or(FinishReason::Other), took);
        }
        AnswerStatus::Stopped => out.abort(took),
        AnswerStatus::Streaming | AnswerStatus::Interrupted => {
            out.error(&TurnError::Interrupted.into(), took);
        }
        AnswerStatus::Failed => out.error(&failure(answer.error_code.as_deref()), took),
    }
    out.flush();
    response
}

fn tell(out: &mut UiStream, part: usize, said: &Part) {
    match said {
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
        Part::SourceUrl { source_id, url, title } => {
            out.event(&UiEvent::SourceUrl { source_id, url, title: title.as_deref() });
        }
    }
}

/// Of the error that its reader was told, the code is kept; what it means is said in general.
fn failure(code: Option<&str>) -> ApiError {
    let code = ErrorCode::ALL.iter().find(|known| Some(known.as_str()) == code);
    let code = code.copied().unwrap_or(ErrorCode::ModelFailed);
    ApiError::new(code, code.meaning())
}
