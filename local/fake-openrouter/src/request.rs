//! A request to `chat/completions`: as recorded for tests, and as read by a model.

use http::HeaderMap;
use serde_json::Value;

use crate::account;

/// A request as it arrived, accepted or not.
#[derive(Debug, Clone)]
pub struct RecordedRequest {
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `HTTP-Referer` header, which attributes the request to an app.
    pub referer: Option<String>,
    /// All headers.
    pub headers: HeaderMap,
    /// The parsed body; `Value::Null` if it was not JSON.
    pub body: Value,
}

impl RecordedRequest {
    pub(crate) fn new(headers: &HeaderMap, body: Value) -> Self {
        let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
        Self {
            authorization: header("authorization"),
            referer: header("http-referer"),
            headers: headers.clone(),
            body,
        }
    }

    /// The key that pays, known or not; empty without one.
    pub fn key(&self) -> &str {
        account::bearer(&self.headers).unwrap_or_default()
    }

    /// The messages as `"role: text"`, so that a test compares them with a list of strings.
    pub fn messages(&self) -> Vec<String> {
        let messages = self.body["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        messages
            .iter()
            .map(|message| {
                let role = message["role"].as_str().unwrap_or_default();
                format!("{role}: {}", text(&message["content"]))
            })
            .collect()
    }
}

/// The request as a model reads it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Prompt {
    /// The text of the last user message, and what it has of files.
    pub(crate) question: String,
    /// Whether any message has an image.
    pub(crate) has_images: bool,
    /// Number of tokens, one a word: simple enough for a test to count.
    pub(crate) tokens: u32,
}

impl Prompt {
    /// Parses the body; `None` without a message.
    pub(crate) fn read(body: &Value) -> Option<Self> {
        let messages = body["messages"].as_array().filter(|messages| !messages.is_empty())?;
        let asked = messages.iter().rfind(|message| message["role"] == "user");
        Some(Self {
            question: asked.map(|message| seen(&message["content"])).unwrap_or_default(),
            has_images: messages.iter().any(|message| {
                let parts = message["content"].as_array().map(Vec::as_slice).unwrap_or_default();
                parts.iter().any(|part| part["type"] == "image_url")
            }),
            tokens: messages.iter().map(|message| words(&text(&message["content"]))).sum(),
        })
    }
}

fn text(content: &Value) -> String {
    if let Some(text) = content.as_str() {
        return text.to_owned();
    }
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    parts.iter().filter_map(|part| part["text"].as_str()).collect()
}

/// A message's text, and a word for each of its files: its type and size.
fn seen(content: &Value) -> String {
    let parts = content.as_array().map(Vec::as_slice).unwrap_or_default();
    let file = |part: &Value| {
        let url =
            part["image_url"]["url"].as_str().or_else(|| part["file"]["file_data"].as_str())?;
        let (media_type, base64) = url.strip_prefix("data:")?.split_once(";base64,")?;
        let padding = base64.bytes().rev().take_while(|byte| *byte == b'=').count();
        Some(format!("[{media_type}, {} bytes]", base64.len() / 4 * 3 - padding))
    };
    let words = [text(content)].into_iter().filter(|text| !text.is_empty());
    words.chain(parts.iter().filter_map(file)).collect::<Vec<_>>().join(" ")
}

/// Counts the words of a text, saturating at `u32::MAX`.
pub(crate) fn words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX)
}
