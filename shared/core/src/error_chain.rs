//! Error chains, for the log.

use std::error::Error;

/// Joins an error with its sources: a client's own message says little more than "error sending request".
pub fn error_chain(error: &dyn Error) -> String {
    let (mut text, mut cause) = (error.to_string(), error.source());
    while let Some(deeper) = cause {
        text = format!("{text}: {deeper}");
        cause = deeper.source();
    }
    text
}
