//! Chats: messages, the prompt that is made of them, a turn, and the answer that a model streams.

mod answer;
mod file_part;
mod message;
mod outcome;
mod prompt;
mod turn;
mod turn_error;

pub use answer::{Answer, FinishReason, ModelEvent, UiEvent, Usage};
pub use file_part::{FILES_PER_MESSAGE, FILES_PER_TURN_BYTES, FileFacts, FileMetadata, FilePart};
pub use message::{AnswerStatus, CONTEXT_MESSAGES, Context, Message, Part, Role, title_of};
pub use outcome::{FinishedTurn, Outcome};
pub use prompt::{
    FileContents, FileData, ImageUrl, PromptContent, PromptMessage, PromptPart, estimated_tokens,
    files_to_send, least_tokens, prompt,
};
pub use turn::{NewTurn, ORPHANED_AFTER, Placement, Question};
pub use turn_error::{
    AnswerError, InvalidTurn, ResumeError, SendError, StopError, TurnLookupError,
};
