//! The AI SDK's UI Message Stream v1: writing an answer as frames, and rebuilding it from them.
//!
//! A frame is `id: <n>` and `data: <json>` (the error of a resumed stream that breaks off has no id). The JSON holds only
//! keys of the SDK's schema, because some versions reject others. Every stream ends with `finish`, `abort` or `error`: to the SDK's client,
//! a stream that just stops looks like success. Source: `uiMessageChunkSchema` of `ai` 5–7.

mod frame_buffer;
mod message_metadata;
mod rebuild;
mod writer;

pub use frame_buffer::{FrameReader, FrameWriter, Frames, frame_buffer};
pub use message_metadata::{MessageMetadata, TurnSummary};
pub use rebuild::answer_of_frames;
pub use writer::{COMMENT, DONE, UiStream, error_frame, event_stream, final_error_frame};
