//! No credential, session or personal data is in an error, in debug output or in a log.

use std::error::Error;

use shared_cashfree::{Cashfree, CashfreeError};
use testkit::LogCapture;

use crate::server::{Answer, answer, error_body, refusal};
use crate::setup::{EMAIL, PHONE, SECRET, clock, config, id, new_order, order_body, phone, start};

fn assert_clean(text: &str) {
    for planted in [SECRET, PHONE, EMAIL] {
        assert!(!text.contains(planted), "{planted} in {text}");
    }
}

fn shown(error: &CashfreeError) -> String {
    format!("{error} {error:?} {:?}", error.source().map(ToString::to_string))
}

#[tokio::test]
async fn errors_and_logs_name_the_status_and_the_code_and_nothing_else() {
    let log = LogCapture::start();
    let leaking = format!(r#"{{"order_id":"{SECRET} {PHONE}","order_amount":"{EMAIL}"}}"#);
    for failure in [
        refusal(400, "order_note_invalid", "invalid_request_error"),
        refusal(401, &format!("{SECRET} {PHONE}").to_uppercase(), "authentication_error"),
        refusal(409, "order_already_exists", "invalid_request_error"),
        refusal(500, "request_failed", "api_error"),
        answer(502, format!("<html>{SECRET} {PHONE}")),
        answer(200, leaking.clone()),
        Answer::Is(
            429,
            vec![("x-ratelimit-retry", "5")],
            error_body("too_many", "rate_limit_error"),
        ),
    ] {
        let (_server, client) = start([failure, answer(200, leaking.clone())]).await;
        let error = client.create_order(&new_order(&phone())).await.unwrap_err();
        assert_clean(&shown(&error));
    }
    let log = log.text();
    assert_clean(&log);
    for said in ["upstream.status=400", "order_note_invalid", "order_already_exists", "api_error"] {
        assert!(log.contains(said), "no {said} in {log}");
    }
}

#[tokio::test]
async fn a_successful_order_is_not_in_the_log() {
    let log = LogCapture::start();
    let (_server, client) = start([answer(200, order_body("ACTIVE"))]).await;
    let order = client.create_order(&new_order(&phone())).await.unwrap();
    assert_clean(&format!("{order:?}"));
    assert_clean(&log.text());
}

#[tokio::test]
async fn an_unreachable_server_is_named_without_the_request() {
    let log = LogCapture::start();
    let (server, client) = start([]).await;
    drop(server);
    let error = client.order(id()).await.unwrap_err();
    assert_clean(&shown(&error));
    let log = log.text();
    assert_clean(&log);
    assert!(log.contains("Cashfree gave no usable answer"), "{log}");
}

#[test]
fn debug_output_redacts_credentials_and_the_buyer() {
    let config = config("http://localhost:1");
    let client = Cashfree::new(&config, clock().clock()).unwrap();
    let phone = phone();
    let order = format!("{:?}", new_order(&phone));
    // The id alone is no secret.
    let config = format!("{config:?}").replace("TEST_c0ffee_id", "");
    for text in [format!("{client:?}"), order, config] {
        assert_clean(&text);
    }
}
