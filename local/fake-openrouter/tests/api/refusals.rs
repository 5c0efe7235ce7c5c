//! Requests that are refused with an error status, before a stream starts.

use bytes::Bytes;
use fake_openrouter::FakeOpenRouter;
use http::Request;
use http_body_util::Full;
use serde_json::json;

use crate::client::{Answer, KEY, ask, post, question, send};

async fn refused(fake: &FakeOpenRouter, request: Request<Full<Bytes>>) -> Answer {
    send(fake, request).await.rest().await
}

#[tokio::test]
async fn a_request_without_a_key_is_unauthenticated() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let body = question("fake/echo", "hello").to_string();
    let mut request = post(&fake, KEY, &body);
    request.headers_mut().remove("authorization");
    let answer = refused(&fake, request).await;
    assert_eq!(answer.status, 401);
    let missing = json!({ "error": { "code": 401, "message": "Missing Authentication header" } });
    assert_eq!(answer.json(), missing);
}

#[tokio::test]
async fn a_key_that_may_not_ask_is_refused_with_its_reason() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let body = question("fake/echo", "hello").to_string();
    for (key, status, error_type) in [
        ("sk-proj-123", 401, "authentication"),
        ("sk-or-v1-123dead", 401, "authentication"),
        ("sk-or-v1-123poor", 402, "payment_required"),
        ("sk-or-v1-123busy", 429, "rate_limit_exceeded"),
    ] {
        let answer = refused(&fake, post(&fake, key, &body)).await;
        assert_eq!(answer.status, status, "{key}");
        assert_eq!(answer.header("x-ratelimit-limit").is_empty(), status != 429, "{key}");
        let error = answer.json()["error"].take();
        assert_eq!(error["metadata"]["error_type"], error_type, "{key}");
        if status == 402 {
            let message = "Insufficient credits. Add more using https://openrouter.ai/credits";
            assert_eq!(error["message"], message);
        }
    }
}

#[tokio::test]
async fn an_unknown_model_is_named_in_the_refusal() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let answer = ask(&fake, "x/y", "hello").await;
    assert_eq!(answer.status, 400);
    let error = json!({ "message": "x/y is not a valid model ID", "code": 400 });
    assert_eq!(answer.json(), json!({ "error": error }));
}

#[tokio::test]
async fn every_status_has_openrouters_shape() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (status, error_type) in [
        (400, "invalid_request"),
        (401, "authentication"),
        (402, "payment_required"),
        (403, "content_policy_violation"),
        (404, "not_found"),
        (408, "timeout"),
        (413, "payload_too_large"),
        (422, "unprocessable"),
        (429, "rate_limit_exceeded"),
        (500, "server"),
        (502, "provider_unavailable"),
        (503, "provider_unavailable"),
        (524, "timeout"),
        (529, "provider_overloaded"),
    ] {
        let answer = ask(&fake, &format!("fake/status-{status}"), "hello").await;
        assert_eq!(answer.status, status);
        assert_eq!(answer.header("content-type"), "application/json");
        let error = answer.json()["error"].take();
        assert_eq!(error["code"], status);
        assert!(error["message"].is_string());
        assert_eq!(error["metadata"]["error_type"], error_type);
    }
}

#[tokio::test]
async fn only_429_and_503_have_retry_after() {
    let fake = FakeOpenRouter::start().await.unwrap();
    for (status, retry, limit) in [(429, "2", "20"), (503, "2", ""), (502, "", "")] {
        let answer = ask(&fake, &format!("fake/status-{status}"), "hello").await;
        assert_eq!(answer.header("retry-after"), retry, "{status}");
        assert_eq!(answer.header("x-ratelimit-limit"), limit, "{status}");
    }
    let limited = ask(&fake, "fake/status-429", "hello").await;
    assert_eq!(limited.header("x-ratelimit-remaining"), "0");
    assert!(limited.header("x-ratelimit-reset").parse::<u64>().unwrap() > 1_700_000_000_000);
}

#[tokio::test]
async fn a_moderation_error_lists_its_reasons() {
    let fake = FakeOpenRouter::start().await.unwrap();
    let metadata = ask(&fake, "fake/status-403", "hello").await.json()["error"]["metadata"].take();
    assert_eq!(metadata["reasons"], json!(["violence"]));
    assert!(metadata["flagged_input"].is_string());
    assert_eq!(metadata["provider_name"], "OpenAI");
    assert_eq!(metadata["model_slug"], "fake/status-403");
}
