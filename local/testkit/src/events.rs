//! The events of `events/`, as Lambda hands them to a function.

use std::path::Path;

use axum::body::Body;
use http::Request;

/// The request that `events/<name>.json` is, read as the Lambda runtime reads it.
pub fn event(name: &str) -> Request<Body> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events").join(format!("{name}.json"));
    let json = std::fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let request = lambda_http::request::from_str(&json).expect("an event of API Gateway");
    request.map(|body| Body::from(body.to_vec()))
}
