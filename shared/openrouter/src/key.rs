//! What `OpenRouter` says of a key: `GET /key`.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use serde::Deserialize;
use shared_core::keys::{KeyError, KeyInfo};
use shared_core::money::nano_usd;

use crate::api_response::{ApiResponseError, read_api_response};
use crate::error::{DEFAULT_RETRY, retry_after};

/// A person waits for it.
pub(crate) const CHECK_WITHIN: Duration = Duration::from_secs(4);
/// In characters; longer names are cut.
const LONGEST_LABEL: usize = 100;

impl From<ApiResponseError> for KeyError {
    fn from(failure: ApiResponseError) -> Self {
        Self::CheckUnavailable(failure.into())
    }
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
pub(crate) async fn read_check(response: Response) -> Result<KeyInfo, KeyError> {
    match response.status().as_u16() {
        200 => {}
        401 => return Err(KeyError::Unknown),
        429 => {
            let retry_after = retry_after(response.headers()).unwrap_or(DEFAULT_RETRY);
            return Err(KeyError::CheckBusy { retry_after });
        }
        status => return Err(ApiResponseError::Status(status).into()),
    }
    Ok(info(read_api_response(response).await?))
}

fn info(data: Data) -> KeyInfo {
    KeyInfo {
        label: data.label.map(|label| printable(&label)),
        limit_nano_usd: data.limit.map(nano_usd),
        remaining_nano_usd: data.limit_remaining.map(nano_usd),
        usage_nano_usd: nano_usd(data.usage),
        // One that cannot be read is not shown; that a key has expired, its next turn says.
        expires_at: data.expires_at.and_then(|at| at.parse::<Timestamp>().ok()),
        is_management_key: data.is_management_key.unwrap_or(false),
    }
}

/// For a page and for a database, which stores no NUL.
fn printable(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_response::parse;

    fn read_facts(body: &[u8]) -> Option<KeyInfo> {
        parse(body).ok().map(info)
    }

    #[test]
    fn a_document_is_read_as_it_is_documented() {
        let body = br#"{"data":{"label":"sk-or-v1-0e6...1c96","limit":100,"limit_remaining":74.5,"limit_reset":"monthly",
            "usage":25.5,"usage_daily":1,"is_free_tier":false,"is_management_key":false,"expires_at":"2027-12-31T23:59:59Z"}}"#;
        let expected = KeyInfo {
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
        assert_eq!(read_facts(null).unwrap(), KeyInfo::default());
        assert_eq!(read_facts(br#"{"data":{"usage":0}}"#).unwrap(), KeyInfo::default());
    }

    #[test]
    fn a_label_is_fit_to_be_shown() {
        let body = format!(r#"{{"data":{{"usage":0,"label":"a\u0000\nb{}"}}}}"#, "c".repeat(200));
        let label = read_facts(body.as_bytes()).unwrap().label.unwrap();
        assert_eq!(label, format!("ab{}", "c".repeat(LONGEST_LABEL - 2)));
    }

    #[test]
    fn another_document_is_none() {
        for body in ["{}", r#"{"data":{}}"#, r#"{"data":{"usage":"sk-or-v1-secret"}}"#] {
            assert_eq!(read_facts(body.as_bytes()), None);
        }
    }
}
