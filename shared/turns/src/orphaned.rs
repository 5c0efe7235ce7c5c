//! Closes orphaned turns, whose process is gone, with the text in their live logs.

use shared_cache::{Batch, CacheError, LiveLog};
use shared_core::chat::{Answer, AnswerError};
use shared_core::store::StoreError;
use shared_ui_stream::{DONE, answer_of_frames, final_error_frame};

/// Why an orphaned turn could not be closed.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Its live log cannot be read.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The database cannot be reached, or rejects the end.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// An orphaned turn that was closed.
#[derive(Clone, Debug, PartialEq)]
pub struct ClosedTurn {
    /// The text that it had produced.
    pub answer: Answer,
    /// Whether its log is complete: the turn had ended, but its end could not be stored.
    pub had_ended: bool,
}

/// Closes an orphaned turn with the text in its log. `interrupt` stores the end if the turn is still open, and returns
/// whether it was; if so, the log gets the same end, for its readers. `None` if another process has closed it.
pub async fn close_orphaned(
    log: &LiveLog,
    interrupt: impl AsyncFnOnce(&Answer) -> Result<bool, StoreError>,
) -> Result<Option<ClosedTurn>, CloseError> {
    let logged = log.read_all().await?;
    let answer = answer_of_frames(&logged.frames, logged.generation.as_deref());
    if !interrupt(&answer).await? {
        return Ok(None);
    }
    let had_ended = logged.frames.ends_with(DONE.as_bytes());
    if !had_ended {
        let number = logged.last + 1;
        let frames = final_error_frame(number, &interrupted_text());
        let end = Batch { first: number, last: number, frames: &*frames };
        if let Err(error) = log.end(Some(end)).await {
            tracing::warn!(%error, "the live log of an orphaned turn could not be ended");
        }
    }
    Ok(Some(ClosedTurn { answer, had_ended }))
}

/// The error text of an orphaned turn's last frame: the body of the error response with the code `answer_interrupted`.
pub fn interrupted_text() -> String {
    let message = AnswerError::Interrupted.to_string();
    serde_json::json!({ "error": { "code": "answer_interrupted", "message": message } }).to_string()
}
