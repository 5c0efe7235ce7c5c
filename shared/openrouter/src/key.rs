//! What `OpenRouter` says of a key: `GET /key`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use serde::Deserialize;
use shared_core::causes;
use shared_core::keys::{KeyError, KeyFacts};
use shared_core::money::nano_usd;

use crate::client::read_body;
use crate::failure::{DEFAULT_RETRY, retry_after};

/// A person waits for it.
pub(crate) const CHECK_WITHIN: Duration = Duration::from_secs(4);
/// The document has some hundred bytes.
const LONGEST_DOCUMENT: usize = 64 * 1024;
/// In characters; longer names are cut.
const LONGEST_LABEL: usize = 100;

/// Why a check gave no answer, for the log. Never what was in the response: it may quote the key.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckFailure {
    #[error("{}", causes(.0))]
    Http(#[from] reqwest::Error),
    #[error("status {0}")]
    Status(u16),
    #[error("a document of more than {LONGEST_DOCUMENT} bytes")]
    Overlong,
    #[error("no document that is documented, at line {line}, column {column}")]
    Malformed { line: usize, column: usize },
}

impl From<CheckFailure> for KeyError {
    fn from(failure: CheckFailure) -> Self {
        Self::CheckUnavailable(failure.into())
    }
}

#[derive(Deserialize)]
struct Document {
    data: Data,
}

/// Of its many fields, those that say something to the key's owner. `usage` has to be there: a document
/// without it is another one.
#[derive(Deserialize)]
struct Data {
    usage: f64,
    label: Option<String>,
    limit: Option<f64>,
    limit_remaining: Option<f64>,
    expires_at: Option<String>,
    is_management_key: Option<bool>,
}

/// Reads the response to `GET /key`.
pub(crate) async fn read_check(mut response: Response) -> Result<KeyFacts, KeyError> {
    match response.status().as_u16() {
        200 => {}
        401 => return Err(KeyError::Unknown),
        429 => {
            let retry_after = retry_after(response.headers()).unwrap_or(DEFAULT_RETRY);
            return Err(KeyError::CheckBusy { retry_after });
        }
        status => return Err(CheckFailure::Status(status).into()),
    }
    let mut body = Vec::new();
    read_body(&mut response, LONGEST_DOCUMENT, &mut body).await.map_err(CheckFailure::from)?;
    Ok(read_facts(&body)?)
}

fn read_facts(body: &[u8]) -> Result<KeyFacts, CheckFailure> {
    if body.len() > LONGEST_DOCUMENT {
        return Err(CheckFailure::Overlong);
    }
    let Document { data } = serde_json::from_slice(body)
        .map_err(|error| CheckFailure::Malformed { line: error.line(), column: error.column() })?;
    Ok(KeyFacts {
        label: data.label.map(|label| printable(&label)),
        limit_nano_usd: data.limit.map(nano_usd),
        remaining_nano_usd: data.limit_remaining.map(nano_usd),
        usage_nano_usd: nano_usd(data.usage),
        // One that cannot be read is not shown; that a key has expired, its next turn says.
        expires_at: data.expires_at.and_then(|at| at.parse::<Timestamp>().ok()),
        is_management_key: data.is_management_key.unwrap_or(false),
    })
}

/// For a page and for a database, which stores no NUL.
fn printable(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_is_read_as_it_is_documented() {
        let body = br#"{"data":{"label":"sk-or-v1-0e6...1c96","limit":100,"limit_remaining":74.5,"limit_reset":"monthly",
            "usage":25.5,"usage_daily":1,"is_free_tier":false,"is_management_key":false,"expires_at":"2027-12-31T23:59:59Z"}}"#;
        let expected = KeyFacts {
            label: Some("sk-or-v1-0e6...1c96".into()),
            limit_nano_usd: Some(100_000_000_000),
            remaining_nano_usd: Some(74_500_000_000),
            usage_nano_usd: 25_500_000_000,
            expires_at: Some("2027-12-31T23:59:59Z".parse().unwrap()),
            is_management_key: false,
        };
        assert_eq!(read_facts(body).unwrap(), expected);
    }

    #[test]
    fn what_may_be_null_or_absent_may() {
        let null = br#"{"data":{"usage":0,"label":null,"limit":null,"limit_remaining":null,"expires_at":null,"is_management_key":null}}"#;
        assert_eq!(read_facts(null).unwrap(), KeyFacts::default());
        assert_eq!(read_facts(br#"{"data":{"usage":0}}"#).unwrap(), KeyFacts::default());
    }

    #[test]
    fn a_label_is_fit_to_be_shown() {
        let body = format!(r#"{{"data":{{"usage":0,"label":"a\u0000\nb{}"}}}}"#, "c".repeat(200));
        let label = read_facts(body.as_bytes()).unwrap().label.unwrap();
        assert_eq!(label, format!("ab{}", "c".repeat(LONGEST_LABEL - 2)));
    }

    #[test]
    fn another_document_is_none_and_is_not_repeated() {
        for body in [
            "",
            "<html>",
            "{}",
            r#"{"data":{}}"#,
            r#"{"data":{"usage":"sk-or-v1-secret"}}"#,
            &format!(r#"{{"data":{{"usage":0,"label":"{}"}}}}"#, "x".repeat(LONGEST_DOCUMENT)),
        ] {
            let failure = read_facts(body.as_bytes()).unwrap_err();
            assert!(!format!("{failure} {failure:?}").contains("secret"), "{failure:?}");
        }
    }
}
