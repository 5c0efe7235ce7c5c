//! Parses an answer as a gateway does.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use serde::Deserialize;
use serde_json::{Map, Value};

/// The delimiter between the prelude and the body of a streamed answer.
const DELIMITER: [u8; 8] = [0; 8];

/// An HTTP answer, streamed or buffered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LambdaResponse {
    /// Status, headers and cookies.
    pub prelude: Prelude,
    /// The body.
    pub body: Bytes,
}

/// Status, headers and cookies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prelude {
    /// The status.
    pub status: StatusCode,
    /// The headers, without `set-cookie`.
    pub headers: HeaderMap,
    /// The values of `set-cookie`.
    pub cookies: Vec<String>,
}

/// An answer that a gateway would reject: the client would get a 502.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not an answer that a gateway takes ({problem}): {answer}")]
pub struct Malformed {
    problem: String,
    answer: String,
}

/// `{"statusCode", "headers", "multiValueHeaders", "cookies", "body", "isBase64Encoded"}`, of which a
/// prelude has the first, second and fourth.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Json {
    status_code: u16,
    #[serde(default)]
    headers: Map<String, Value>,
    #[serde(default)]
    multi_value_headers: Map<String, Value>,
    #[serde(default)]
    cookies: Vec<String>,
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
}

impl LambdaResponse {
    /// Parses an answer that may be streamed or buffered: the RIE does not report which.
    pub fn parse(answer: &[u8]) -> Result<Self, Malformed> {
        // JSON has no NULs, not even in its strings.
        if answer.contains(&0) { Self::from_streamed(answer) } else { Self::from_buffered(answer) }
    }

    /// Parses prelude, delimiter and body.
    pub fn from_streamed(answer: &[u8]) -> Result<Self, Malformed> {
        let malformed = |problem: &dyn ToString| Malformed::new(answer, problem);
        let end = answer
            .windows(DELIMITER.len())
            .position(|window| window == DELIMITER)
            .ok_or_else(|| malformed(&"no delimiter after the prelude"))?;
        let json: Json =
            serde_json::from_slice(&answer[..end]).map_err(|error| malformed(&error))?;
        Ok(Self {
            prelude: json.prelude().map_err(|problem| malformed(&problem))?,
            body: Bytes::copy_from_slice(&answer[end + DELIMITER.len()..]),
        })
    }

    /// Parses the JSON of a buffered answer.
    pub fn from_buffered(answer: &[u8]) -> Result<Self, Malformed> {
        let malformed = |problem: &dyn ToString| Malformed::new(answer, problem);
        let json: Json = serde_json::from_slice(answer).map_err(|error| malformed(&error))?;
        let body = json.body.as_deref().unwrap_or("");
        let body = if json.is_base64_encoded {
            BASE64_STANDARD.decode(body).map_err(|error| malformed(&error))?
        } else {
            body.into()
        };
        Ok(Self {
            prelude: json.prelude().map_err(|problem| malformed(&problem))?,
            body: body.into(),
        })
    }
}

impl Json {
    fn prelude(&self) -> Result<Prelude, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in self.headers.iter().chain(&self.multi_value_headers) {
            let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
            let values =
                value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let value = value.as_str().ok_or("a header that is not text")?;
                let value = HeaderValue::try_from(value).map_err(|error| error.to_string())?;
                headers.append(&name, value);
            }
        }
        let mut cookies = self.cookies.clone();
        if let header::Entry::Occupied(set_cookie) = headers.entry(header::SET_COOKIE) {
            let values = set_cookie.remove_entry_mult().1;
            cookies
                .extend(values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()));
        }
        Ok(Prelude {
            status: StatusCode::from_u16(self.status_code).map_err(|error| error.to_string())?,
            headers,
            cookies,
        })
    }
}

impl Malformed {
    fn new(answer: &[u8], problem: &dyn ToString) -> Self {
        let beginning = &answer[..answer.len().min(500)];
        Self {
            problem: problem.to_string(),
            answer: String::from_utf8_lossy(beginning).into_owned(),
        }
    }
}
