//! Reads `OpenRouter`'s responses up to a limit. Small ones (`GET /key`, `GET /generation`) wrap their JSON in `data`.

use reqwest::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use shared_core::error_chain;

/// In bytes; real ones have a few hundred.
const LONGEST_DOCUMENT: usize = 64 * 1024;

/// Why a response cannot be used, for the log. Never includes the body: it may quote the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ApiResponseError {
    #[error("{}", error_chain(.0))]
    Http(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("a document of more than {LONGEST_DOCUMENT} bytes")]
    Overlong,
    #[error("malformed document, at line {line}, column {column}")]
    Malformed { line: usize, column: usize },
}

#[derive(Deserialize)]
struct ApiResponse<T> {
    data: T,
}

/// Reads the `data` of a successful response.
pub(crate) async fn read_api_response<T: DeserializeOwned>(
    mut response: Response,
) -> Result<T, ApiResponseError> {
    let mut body = Vec::new();
    read_body(&mut response, LONGEST_DOCUMENT, &mut body).await?;
    parse(&body)
}

/// Appends the response's bytes to `body`, until it ends or `body` exceeds `most` bytes.
pub(crate) async fn read_body(
    response: &mut Response,
    most: usize,
    body: &mut Vec<u8>,
) -> reqwest::Result<()> {
    while let Some(chunk) = response.chunk().await? {
        body.extend_from_slice(&chunk);
        if body.len() > most {
            break;
        }
    }
    Ok(())
}

pub(crate) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, ApiResponseError> {
    if body.len() > LONGEST_DOCUMENT {
        return Err(ApiResponseError::Overlong);
    }
    let api_response: ApiResponse<T> = serde_json::from_slice(body).map_err(|error| {
        ApiResponseError::Malformed { line: error.line(), column: error.column() }
    })?;
    Ok(api_response.data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_never_quotes_the_document() {
        let overlong = format!(r#"{{"data":"{}"}}"#, "x".repeat(LONGEST_DOCUMENT));
        for body in ["", "<html>secret", "{}", r#"{"data":{"secret":1}}"#, &overlong] {
            let failure = parse::<String>(body.as_bytes()).unwrap_err();
            assert!(!format!("{failure} {failure:?}").contains("secret"), "{failure:?}");
        }
        assert_eq!(parse::<String>(br#"{"data":"a","more":1}"#).unwrap(), "a");
    }
}
