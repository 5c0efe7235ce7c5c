//! `GET /key`: the check of a user's own key (BYOK).

use std::time::Duration;

use jiff::Timestamp;
use reqwest::Response;
use serde::Deserialize;
use shared_core::billing::nano_usd;
use shared_core::keys::{KeyError, KeyInfo};

use crate::api_response::{ApiResponseError, read_api_response};
use crate::error::{DEFAULT_RETRY, retry_after};

/// Timeout of a key check; a user waits for the result.
pub(crate) const CHECK_WITHIN: Duration = Duration::from_secs(4);
/// In characters; longer labels are truncated.
const LONGEST_LABEL: usize = 100;

impl From<ApiResponseError> for KeyError {
    fn from(failure: ApiResponseError) -> Self {
        Self::CheckUnavailable(failure.into())
    }
}

/// The fields that matter to the key's owner. `usage` is required: it tells this document from any other
/// JSON.
#[derive(Deserialize)]
struct Data {
    usage: f64,
    label: Option<String>,
    limit: Option<f64>,
    limit_remaining: Option<f64>,
    expires_at: Option<String>,
    is_management_key: Option<bool>,
}

/// Parses the response to `GET /key`.
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
        // A malformed date is dropped: if the key has expired, its next turn reports it.
        expires_at: data.expires_at.and_then(|at| at.parse::<Timestamp>().ok()),
        is_management_key: data.is_management_key.unwrap_or(false),
    }
}

/// Strips control characters and truncates, for display and for a database that stores no NUL.
fn printable(label: &str) -> String {
    label.chars().filter(|c| !c.is_control()).take(LONGEST_LABEL).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_response::parse;

    fn read_info(body: &[u8]) -> Option<KeyInfo> {
        parse(body).ok().map(info)
    }

    #[test]
    fn the_documented_response_is_parsed() {
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
        assert_eq!(read_info(body).unwrap(), expected);
    }

    #[test]
    fn optional_fields_may_be_null_or_absent() {
        let null = br#"{"data":{"usage":0,"label":null,"limit":null,"limit_remaining":null,"expires_at":null,"is_management_key":null}}"#;
        assert_eq!(read_info(null).unwrap(), KeyInfo::default());
        assert_eq!(read_info(br#"{"data":{"usage":0}}"#).unwrap(), KeyInfo::default());
    }

    #[test]
    fn a_label_loses_control_characters_and_is_truncated() {
        let body = format!(r#"{{"data":{{"usage":0,"label":"a\u0000\nb{}"}}}}"#, "c".repeat(200));
        let label = read_info(body.as_bytes()).unwrap().label.unwrap();
        assert_eq!(label, format!("ab{}", "c".repeat(LONGEST_LABEL - 2)));
    }

    #[test]
    fn a_document_without_a_numeric_usage_is_rejected() {
        for body in ["{}", r#"{"data":{}}"#, r#"{"data":{"usage":"sk-or-v1-secret"}}"#] {
            assert_eq!(read_info(body.as_bytes()), None);
        }
    }
}
