//! The sample events of `events/`, in the form in which Lambda passes them to a function.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::repository::repository_file;

/// The placeholder for the session's cookie in the events.
pub const SESSION: &str = "__Host-session=SESSION";
/// The chat id in the events of `chat-stream`.
pub const CHAT: &str = "q2dXzYk3vN8aLm0P";
/// The question's id in them.
pub const QUESTION: &str = "Hf3kT9wLq2ZbV7xN";

/// The JSON of `events/<name>.json`.
pub fn event_json(name: &str) -> String {
    repository_file(format!("events/{name}.json"))
}

/// The event `events/chat-stream.json` with this session cookie, and with a chat and a question of its own
/// for each `number`.
pub fn question_json(cookie: &str, number: usize) -> String {
    event_json("chat-stream")
        .replace(SESSION, cookie)
        .replace(CHAT, &format!("chat-{number:08}"))
        .replace(QUESTION, &format!("question-{number:08}"))
}

/// The request in `events/<name>.json`, parsed as the Lambda runtime parses it.
pub fn event(name: &str) -> Request<Body> {
    let mut event: Value = serde_json::from_str(&event_json(name)).expect("JSON");
    // In production a variable keeps the stage out of the path; it is not set in this process.
    event["requestContext"]["stage"] = json!("$default");
    let request = lambda_http::request::from_str(&event.to_string());
    request.expect("an event of API Gateway").map(|body| Body::from(body.to_vec()))
}
