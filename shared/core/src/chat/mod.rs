//! Chats: messages, the prompt that is made of them, a turn, and the answer that a model streams.

mod answer;
mod message;
mod outcome;
mod prompt;
mod turn;
mod turn_error;

pub use answer::{Answer, FinishReason, ModelEvent, UiEvent, Usage};
pub use message::{AnswerStatus, CONTEXT_MESSAGES, Context, Message, Part, Role, title_of};
pub use outcome::{FinishedTurn, Outcome};
pub use prompt::{PromptMessage, estimated_tokens, prompt};
pub use turn::{NewTurn, ORPHANED_AFTER, Placement, Question};
pub use turn_error::{
    AnswerError, InvalidTurn, ResumeError, SendError, StopError, TurnLookupError,
};
