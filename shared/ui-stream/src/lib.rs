//! The AI SDK's UI Message Stream v1: writing an answer as frames, and rebuilding it from them.
//!
//! Every frame is `id: <n>` and `data: <json>`; some versions of the SDK refuse keys that are not in
//! the schema, so there are none. Every stream ends with `finish`, `abort` or `error`: to the SDK's client,
//! a stream that just stops looks like success. Source: `uiMessageChunkSchema` of `ai` 5–7.

mod frame_buffer;
mod message_metadata;
mod reader;
mod writer;

pub use frame_buffer::{FrameReader, FrameWriter, Frames, frame_buffer};
pub use message_metadata::{MessageMetadata, TurnSummary};
pub use reader::answer_of_frames;
pub use writer::{COMMENT, DONE, UiStream, error_frame, event_stream, last_error};
