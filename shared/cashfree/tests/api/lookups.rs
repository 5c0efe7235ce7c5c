//! `GET` and `PATCH /orders/{id}`, and `GET /orders/{id}/payments`.

use std::time::Duration;

use shared_cashfree::{Cashfree, CashfreeError, Mode, ProviderState};
use shared_core::env::Env;
use tokio::time::Instant;

use crate::server::{Answer, answer, refusal};
use crate::setup::{ID, clock, id, order_body, start};

/// What each of the three requests fails with.
async fn failures(make: impl Fn() -> Answer) -> Vec<CashfreeError> {
    let (server, client) = start([make(), make(), make()]).await;
    let failures = vec![
        client.order(id()).await.unwrap_err(),
        client.payments(id()).await.unwrap_err(),
        client.terminate(id()).await.unwrap_err(),
    ];
    assert_eq!(server.lines().len(), 3);
    failures
}

#[tokio::test]
async fn an_order_is_asked_for() {
    let (server, client) = start([answer(200, order_body("EXPIRED"))]).await;
    assert_eq!(client.order(id()).await.unwrap().state, ProviderState::Expired);
    let [request] = &server.received()[..] else { panic!("one request") };
    assert_eq!(request.line, format!("GET /pg/orders/{ID}"));
    assert_eq!(request.headers["x-api-version"], "2025-01-01");
    assert!(!request.headers.contains_key("x-idempotency-key"));
    assert_eq!(request.body, "");
}

#[tokio::test]
async fn an_order_is_terminated() {
    let (server, client) = start([answer(200, order_body("TERMINATION_REQUESTED"))]).await;
    let state = client.terminate(id()).await.unwrap().state;
    assert_eq!(state, ProviderState::TerminationRequested);
    let [request] = &server.received()[..] else { panic!("one request") };
    assert_eq!(request.line, format!("PATCH /pg/orders/{ID}"));
    assert_eq!(request.headers["content-type"], "application/json");
    assert_eq!(request.body, r#"{"order_status":"TERMINATED"}"#);
}

#[tokio::test]
async fn the_attempts_to_pay_are_asked_for() {
    let body = format!(
        r#"[{{"cf_payment_id":7,"order_id":"{ID}","order_amount":450.00,"order_currency":"INR","payment_status":"SUCCESS"}}]"#
    );
    let (server, client) = start([answer(200, body)]).await;
    let attempts = client.payments(id()).await.unwrap();
    assert!(attempts.len() == 1 && attempts[0].is_success(), "{attempts:?}");
    assert_eq!(server.lines(), [format!("GET /pg/orders/{ID}/payments")]);
}

#[tokio::test]
async fn an_unknown_order_is_told_from_an_unknown_path() {
    for error in failures(|| refusal(404, "order_not_found", "invalid_request_error")).await {
        assert!(matches!(error, CashfreeError::NotFound), "{error:?}");
    }
    for error in failures(|| refusal(404, "request_failed", "invalid_request_error")).await {
        assert!(matches!(error, CashfreeError::Misconfigured(_)), "{error:?}");
    }
    for error in failures(|| answer(404, "<html>404")).await {
        assert!(matches!(error, CashfreeError::Misconfigured(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_error_or_a_malformed_answer_is_unavailable() {
    for (status, body) in [
        (500, r#"{"code":"request_failed","type":"api_error"}"#),
        (502, "<html>"),
        (503, ""),
        (408, ""),
        (301, ""),
        (200, ""),
        (200, "null"),
        (200, "\u{0}"),
        (204, ""),
    ] {
        for error in failures(|| answer(status, body)).await {
            assert!(matches!(error, CashfreeError::Unavailable(_)), "{status} {body}: {error:?}");
        }
    }
}

#[tokio::test]
async fn refused_credentials_are_a_misconfiguration() {
    for status in [401, 403] {
        for error in failures(|| refusal(status, "request_failed", "authentication_error")).await {
            assert!(matches!(error, CashfreeError::Misconfigured(_)), "{error:?}");
        }
    }
}

#[tokio::test]
async fn a_refused_termination_is_about_the_order() {
    for status in [400, 409, 422] {
        let refused = refusal(status, "order_inactive", "invalid_request_error");
        let (_server, client) = start([refused]).await;
        let error = client.terminate(id()).await.unwrap_err();
        assert!(matches!(&error, CashfreeError::NotTerminable(_)), "{error:?}");
        assert!(error.to_string().contains("order_inactive"), "{error}");
    }
}

#[tokio::test]
async fn a_lookup_gives_up_after_four_seconds() {
    let patience = Duration::from_secs(4);
    let (_server, client) = start([Answer::Silence { patience }]).await;
    let began = Instant::now();
    let error = client.order(id()).await.unwrap_err();
    let waited = began.elapsed();
    assert!(waited >= patience && waited < patience + Duration::from_secs(2), "{waited:?}");
    assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, _client) = start([]).await;
    let location: &'static str = Box::leak(elsewhere.base_url.clone().into_boxed_str());
    let moved = Answer::Is(307, vec![("location", location)], String::new());
    let (_server, client) = start([moved]).await;
    let error = client.order(id()).await.unwrap_err();
    assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
    assert_eq!(elsewhere.lines().len(), 0);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let (server, client) = start([]).await;
    drop(server);
    let error = client.order(id()).await.unwrap_err();
    assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
}

#[test]
fn the_client_is_made_from_the_environment_or_not_at_all() {
    let client = |id: &'static str, url: &'static str| {
        let env = Env::new(move |name| match name {
            "CASHFREE_CLIENT_ID" => Some(id.to_owned()),
            "CASHFREE_CLIENT_SECRET" => Some("cfsk_c0ffee".to_owned()),
            "CASHFREE_BASE_URL" => Some(url.to_owned()),
            _ => None,
        });
        Cashfree::from_env(&env, clock().clock())
    };
    assert!(client("", "").unwrap().is_none());
    assert_eq!(client("id", "").unwrap().unwrap().mode(), Mode::Sandbox);
    let error = client("id", "http://api.cashfree.com").unwrap_err().to_string();
    assert_eq!(error, "CASHFREE_BASE_URL has to begin with https://");
    let error = client("c0ffee\n", "").unwrap_err().to_string();
    assert_eq!(error, "CASHFREE_CLIENT_ID holds characters that a header cannot");
}
