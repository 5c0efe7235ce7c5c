//! The events of `events/`, as Lambda hands them to a function.

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

use crate::repository::repository_file;

/// What an event has where a session's cookie belongs.
pub const SESSION: &str = "__Host-session=SESSION";
/// The id of the chat that the events of `chat-stream` ask in.
pub const CHAT: &str = "q2dXzYk3vN8aLm0P";
/// The id of their question.
pub const QUESTION: &str = "Hf3kT9wLq2ZbV7xN";

/// The JSON of `events/<name>.json`.
pub fn event_json(name: &str) -> String {
    repository_file(format!("events/{name}.json"))
}

/// The question of `events/chat-stream.json`, asked by whose cookie this is, in a chat of its own for
/// each `number`.
pub fn question_json(cookie: &str, number: usize) -> String {
    event_json("chat-stream")
        .replace(SESSION, cookie)
        .replace(CHAT, &format!("chat-{number:08}"))
        .replace(QUESTION, &format!("question-{number:08}"))
}

/// The request that `events/<name>.json` is, read as the Lambda runtime reads it.
pub fn event(name: &str) -> Request<Body> {
    let mut event: Value = serde_json::from_str(&event_json(name)).expect("JSON");
    // In production a variable keeps the stage out of the path; in this process nobody sets it.
    event["requestContext"]["stage"] = json!("$default");
    let request = lambda_http::request::from_str(&event.to_string());
    request.expect("an event of API Gateway").map(|body| Body::from(body.to_vec()))
}
