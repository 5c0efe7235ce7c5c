//! What went wrong, for a log.

use std::error::Error;

/// An error down to its cause: by themselves, clients say little more than "error sending request".
pub fn error_chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
