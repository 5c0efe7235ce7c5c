//! The events of `events/`, as Lambda hands them to a function.

use std::fs;
use std::path::Path;

use axum::body::Body;
use http::Request;
use serde_json::{Value, json};

/// The JSON of `events/<name>.json`.
pub fn event_json(name: &str) -> String {
    let events = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events");
    let path = events.join(format!("{name}.json"));
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The request that `events/<name>.json` is, read as the Lambda runtime reads it.
pub fn event(name: &str) -> Request<Body> {
    let mut event: Value = serde_json::from_str(&event_json(name)).expect("JSON");
    // In production a variable keeps the stage out of the path; in this process nobody sets it.
    event["requestContext"]["stage"] = json!("$default");
    let request = lambda_http::request::from_str(&event.to_string());
    request.expect("an event of API Gateway").map(|body| Body::from(body.to_vec()))
}
