//! Reads Cashfree's responses, up to a limit.

use reqwest::Response;
use shared_core::error_chain;

use crate::error::ResponseError;

/// In bytes. The longest real ones, the payments of an order, have a few kilobytes for each.
const LONGEST: usize = 256 * 1024;

/// Reads the whole body.
pub(crate) async fn read_body(mut response: Response) -> Result<Vec<u8>, ResponseError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(connection)? {
        body.extend_from_slice(&chunk);
        if body.len() > LONGEST {
            return Err(ResponseError::Overlong);
        }
    }
    Ok(body)
}

pub(crate) fn text(body: &[u8]) -> Result<&str, ResponseError> {
    str::from_utf8(body).map_err(|_| ResponseError::Malformed("text"))
}

/// Without the URL, which the log has no use for.
pub(crate) fn connection(error: reqwest::Error) -> ResponseError {
    ResponseError::Connection(error_chain(&error.without_url()))
}
