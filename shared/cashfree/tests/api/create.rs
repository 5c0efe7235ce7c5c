//! `POST /orders`, and what follows where its answer is missing.

use std::time::Duration;

use insta::{assert_json_snapshot, assert_snapshot};
use secrecy::ExposeSecret;
use serde_json::Value;
use shared_cashfree::{Cashfree, CashfreeError, ProviderOrder, ProviderState};
use shared_core::billing::Paise;
use tokio::time::Instant;

use crate::server::{Answer, Server, answer, error_body, refusal};
use crate::setup::{ID, new_order, order_body, phone, start};

const POST: &str = "POST /pg/orders";

fn get() -> String {
    format!("GET /pg/orders/{ID}")
}

fn not_found() -> Answer {
    refusal(404, "order_not_found", "invalid_request_error")
}

fn replayed(status: u16) -> Answer {
    let body = error_body("request_failed", "api_error");
    Answer::Is(status, vec![("x-idempotency-replayed", "true")], body)
}

async fn create(client: &Cashfree) -> Result<ProviderOrder, CashfreeError> {
    client.create_order(&new_order(&phone())).await
}

fn idempotency_keys(server: &Server) -> Vec<String> {
    let received = server.received();
    let keys = received.iter().filter_map(|request| request.headers.get("x-idempotency-key"));
    keys.map(|key| key.to_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_order_is_created_with_these_headers_and_this_body() {
    let (server, client) = start([answer(200, order_body("ACTIVE"))]).await;
    let order = create(&client).await.unwrap();
    assert_eq!(order.state, ProviderState::Active);
    assert_eq!(order.session.unwrap().expose_secret(), "session_c0ffee");

    let [request] = &server.received()[..] else { panic!("one request") };
    assert_eq!(request.line, POST);
    let sent = |name| request.headers.get(name).unwrap().to_str().unwrap().to_owned();
    assert_json_snapshot!(
        ["x-client-id", "x-client-secret", "x-api-version", "x-idempotency-key", "content-type", "accept"].map(sent),
        @r#"
    [
      "TEST_c0ffee_id",
      "cfsk_c0ffee_secret",
      "2025-01-01",
      "a0accba9-18d0-59ec-ab26-c408cdfe3a8b",
      "application/json",
      "application/json"
    ]
    "#
    );
    assert_snapshot!(request.body, @r#"{"order_id":"0198c5a0-7b1e-7cc3-98c4-dc0c0c07398f","order_amount":450.00,"order_currency":"INR","customer_details":{"customer_id":"6f9619ff8b864d01b42d00cf4fc964ff","customer_phone":"9908734801"},"order_meta":{"return_url":"https://chat.example.com/billing/return?order={order_id}","notify_url":"https://chat.example.com/api/webhooks/cashfree"},"order_expiry_time":"2026-11-22T19:30:00Z","order_note":"premium, 30 days"}"#);
}

#[tokio::test]
async fn a_local_notify_url_is_left_out() {
    let (server, client) = start([answer(200, order_body("ACTIVE"))]).await;
    let phone = phone();
    let order = shared_cashfree::NewOrder {
        price: Paise::new(100_000_005),
        notify_url: Some("http://localhost:3000/api/webhooks/cashfree"),
        ..new_order(&phone)
    };
    client.create_order(&order).await.unwrap();
    let [request] = &server.received()[..] else { panic!("one request") };
    assert!(request.body.contains(r#""order_amount":1000000.05,"#), "{}", request.body);
    let body: Value = serde_json::from_str(&request.body).unwrap();
    assert!(body["order_meta"].get("notify_url").is_none(), "{body}");
}

#[tokio::test]
async fn a_repeated_request_is_the_same_to_the_last_byte() {
    let (server, client) =
        start([answer(200, order_body("ACTIVE")), answer(200, order_body("ACTIVE"))]).await;
    create(&client).await.unwrap();
    create(&client.clone()).await.unwrap();
    let [first, second] = &server.received()[..] else { panic!("two requests") };
    assert_eq!((&first.body, &first.headers), (&second.body, &second.headers));
}

#[tokio::test]
async fn where_the_answer_is_missing_the_order_is_looked_up() {
    for uncertain in [
        refusal(500, "request_failed", "api_error"),
        answer(502, "<html>c0ffee"),
        answer(503, ""),
        answer(504, "upstream request timeout"),
        answer(302, ""),
        replayed(500),
        refusal(409, "order_already_exists", "invalid_request_error"),
        refusal(400, "order_already_exists", "invalid_request_error"),
        refusal(409, "", ""),
        refusal(400, "idempotency_key_mismatch", "idempotency_error"),
        answer(200, ""),
        answer(200, "<html>"),
        answer(200, "{}"),
        answer(200, order_body("ACTIVE").replace(ID, "order_1")),
        answer(200, order_body("ACTIVE") + &" ".repeat(256 * 1024)),
    ] {
        let (server, client) = start([uncertain, answer(200, order_body("PAID"))]).await;
        assert_eq!(create(&client).await.unwrap().state, ProviderState::Paid);
        assert_eq!(server.lines(), [POST, &get()]);
    }
}

#[tokio::test]
async fn cashfree_is_waited_for_six_seconds_and_then_the_order_is_looked_up() {
    let patience = Duration::from_secs(6);
    for found in [true, false] {
        let (server, client) = start([Answer::Silence { patience }]).await;
        server.will(if found { answer(200, order_body("ACTIVE")) } else { not_found() });
        let began = Instant::now();
        let created = create(&client).await;
        let waited = began.elapsed();
        assert!(waited >= patience && waited < patience + Duration::from_secs(2), "{waited:?}");
        assert_eq!(server.lines(), [POST, &get()]);
        if found {
            assert_eq!(created.unwrap().state, ProviderState::Active);
        } else {
            assert!(matches!(created, Err(CashfreeError::Unavailable(_))), "{created:?}");
        }
    }
}

#[tokio::test]
async fn an_order_that_is_not_there_after_a_failure_is_unavailable() {
    for uncertain in
        [refusal(409, "order_already_exists", "invalid_request_error"), answer(200, "<html>")]
    {
        let (server, client) = start([uncertain, not_found()]).await;
        let error = create(&client).await.unwrap_err();
        assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
        assert_eq!(server.lines(), [POST, &get()]);
    }
}

#[tokio::test]
async fn a_failed_lookup_after_a_failure_tells_why() {
    let failed = || refusal(500, "request_failed", "api_error");
    let (_server, client) = start([failed(), answer(503, "")]).await;
    let error = create(&client).await.unwrap_err();
    assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
    let (_server, client) = start([failed(), answer(429, "")]).await;
    let error = create(&client).await.unwrap_err();
    assert!(matches!(error, CashfreeError::RateLimited { .. }), "{error:?}");
    let (_server, client) = start([failed(), answer(401, "")]).await;
    let error = create(&client).await.unwrap_err();
    assert!(matches!(error, CashfreeError::Misconfigured(_)), "{error:?}");
}

#[tokio::test]
async fn a_spent_idempotency_key_is_replaced_once() {
    let mismatch = || refusal(400, "idempotency_key_mismatch", "idempotency_error");
    let failed = || refusal(500, "request_failed", "api_error");
    for spent in [failed(), replayed(500), replayed(503), mismatch()] {
        let answers = [spent, not_found(), answer(200, order_body("ACTIVE"))];
        let (server, client) = start(answers).await;
        assert_eq!(create(&client).await.unwrap().state, ProviderState::Active);
        assert_eq!(server.lines(), [POST, &get(), POST]);
        let keys = idempotency_keys(&server);
        assert_eq!(keys[0], "a0accba9-18d0-59ec-ab26-c408cdfe3a8b");
        assert_ne!(keys[0], keys[1]);
        let [first, _, second] = &server.received()[..] else { panic!("three requests") };
        assert_eq!(first.body, second.body);
    }

    // The second key is looked up in the same way, and there is no third.
    let (server, client) =
        start([replayed(500), not_found(), replayed(500), answer(200, order_body("ACTIVE"))]).await;
    assert_eq!(create(&client).await.unwrap().state, ProviderState::Active);
    assert_eq!(server.lines(), [POST, &get(), POST, &get()]);
    let (server, client) = start([replayed(500), not_found(), replayed(500), not_found()]).await;
    let error = create(&client).await.unwrap_err();
    assert!(matches!(error, CashfreeError::Unavailable(_)), "{error:?}");
    assert_eq!(server.lines(), [POST, &get(), POST, &get()]);
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_looked_up() {
    for refused in [
        refusal(401, "request_failed", "authentication_error"),
        refusal(403, "", ""),
        answer(403, "<html>"),
        refusal(400, "order_amount_invalid", "invalid_request_error"),
        refusal(400, "order_expiry_time_invalid", "invalid_request_error"),
        refusal(404, "request_failed", "invalid_request_error"),
        refusal(404, "order_not_found", "invalid_request_error"),
        refusal(422, "version_invalid", "invalid_request_error"),
    ] {
        let (server, client) = start([refused]).await;
        let error = create(&client).await.unwrap_err();
        assert!(matches!(error, CashfreeError::Misconfigured(_)), "{error:?}");
        assert_eq!(server.lines(), [POST]);
    }
}

#[tokio::test]
async fn a_refused_phone_number_is_the_buyers_to_correct() {
    let code = "customer_details.customer_phone_invalid";
    let (server, client) = start([refusal(400, code, "invalid_request_error")]).await;
    let error = create(&client).await.unwrap_err();
    assert!(
        matches!(&error, CashfreeError::PhoneRefused(refusal) if refusal.code == code),
        "{error:?}"
    );
    assert_eq!(server.lines(), [POST]);
}
