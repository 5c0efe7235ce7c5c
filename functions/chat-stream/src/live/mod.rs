//! The live log of a turn: `writer` beside the turn that runs, `reader` in any process, `orphaned` turns whose process
//! is gone, and `replay` of ended answers from the database.

use std::sync::LazyLock;

use shared_http::{ApiError, ErrorCode};
use shared_ui_stream::{FrameReader, UiStream};

pub(crate) mod orphaned;
pub(crate) mod reader;
pub(crate) mod replay;
pub(crate) mod writer;

/// The error text of a stream whose turn has panicked.
static PANICKED: LazyLock<String> =
    LazyLock::new(|| ApiError::new(ErrorCode::Internal, "something broke on our side").to_json());

/// Creates the stream of an answer, and the body of its response.
pub(crate) fn new_stream() -> (UiStream, FrameReader) {
    UiStream::new(&PANICKED)
}
