//! Creating, reading and terminating orders.

use fake_cashfree::{Attempt, Call, FakeCashfree, Options, OrderStatus};
use http::HeaderValue;
use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::client::{api, create, created, get, held, options, order, send, terminate};

#[tokio::test]
async fn an_order_has_the_documented_fields_when_created_and_read() {
    let (fake, _) = held().await;
    let answer = create(&fake, &order("order_1")).await;
    assert_eq!(answer.header("content-type"), "application/json");
    assert_eq!(get(&fake, "/orders/order_1").await.text, answer.text);
    let entity = answer.json();
    assert_eq!(entity["cf_order_id"], "5114910001");
    assert_eq!(entity["payment_session_id"], "session_fake_5114910001");
    assert_eq!(entity["created_at"], "2026-11-23T00:30:00+05:30");
    assert_eq!(entity["order_expiry_time"], "2026-11-23T01:00:00+05:30");
    assert_eq!((&entity["entity"], &entity["order_status"]), (&json!("order"), &json!("ACTIVE")));
    assert_eq!(entity["order_tags"], json!({ "plan": "premium" }));
    assert_eq!(entity["customer_details"]["customer_phone"], "9908734801");
    assert_eq!(entity["order_meta"]["return_url"], "https://app.example/return?order={order_id}");
    for field in ["order_note", "order_splits", "terminal_data", "cart_details"] {
        assert!(entity.get(field).is_some(), "{field}");
    }
}

#[tokio::test]
async fn orders_and_payments_survive_a_restart_where_a_file_keeps_them() {
    let file = std::env::temp_dir().join(format!("fake-cashfree-{}.json", std::process::id()));
    let start = async || {
        let orders_file = Some(file.clone());
        FakeCashfree::start_with(Options { orders_file, ..options().0 }).await.unwrap()
    };
    let fake = start().await;
    created(&fake, "order_paid").await;
    let payment = fake.pay("order_paid", Attempt::pending()).unwrap();
    fake.settle(&payment).unwrap();
    created(&fake, "order_terminated").await;
    terminate(&fake, "order_terminated").await;
    let session = created(&fake, "order_open").await;
    fake.shutdown().await;

    let fake = start().await;
    let paid = fake.order("order_paid").unwrap();
    assert_eq!((paid.status, &paid.payments[0].id), (OrderStatus::Paid, &payment));
    assert_eq!(fake.order("order_terminated").unwrap().status, OrderStatus::Terminated);
    assert_eq!(fake.order("order_open").unwrap().session, session);
    fake.pay("order_open", Attempt::success()).unwrap();
    assert_eq!(fake.order("order_open").unwrap().status, OrderStatus::Paid);
    std::fs::remove_file(file).unwrap();
}

#[tokio::test]
async fn amounts_are_kept_exactly() {
    let (fake, _) = held().await;
    for (n, (sent, given, paise)) in [
        ("450", "450", 45_000),
        ("450.00", "450", 45_000),
        ("449.5", "449.5", 44_950),
        ("1.10", "1.1", 110),
        ("999999.99", "999999.99", 99_999_999),
    ]
    .into_iter()
    .enumerate()
    {
        let id = format!("order_{n}");
        let body = order(&id).to_string();
        let body = body.replace("\"order_amount\":450", &format!("\"order_amount\":{sent}"));
        let answer = send(&fake, api(&fake, "POST", "/orders"), &body).await.unwrap();
        assert!(answer.text.contains(&format!("\"order_amount\":{given},")), "{}", answer.text);
        assert_eq!(fake.order(&id).unwrap().amount_paise, paise);
    }
}

#[tokio::test]
async fn what_cashfree_refuses_is_refused_with_its_field() {
    let (fake, _) = held().await;
    let long = "x".repeat(251);
    let tags: Value =
        (0..11).map(|n| (n.to_string(), "x".into())).collect::<serde_json::Map<_, _>>().into();
    for (path, value, code) in [
        ("/order_id", json!("ab"), "order_id_invalid"),
        ("/order_id", json!("order 1"), "order_id_invalid"),
        ("/order_id", json!("x".repeat(46)), "order_id_invalid"),
        ("/order_amount", json!(0.99), "order_amount_invalid"),
        ("/order_amount", json!(450.001), "order_amount_invalid"),
        ("/order_amount", json!(-450), "order_amount_invalid"),
        ("/order_amount", json!("450"), "order_amount_invalid"),
        ("/order_amount", json!(1_000_000.01), "order_amount_invalid"),
        ("/order_amount", Value::Null, "order_amount_missing"),
        ("/order_currency", json!("USD"), "order_currency_invalid"),
        ("/order_currency", Value::Null, "order_currency_missing"),
        ("/customer_details", Value::Null, "customer_details_missing"),
        ("/customer_details/customer_id", json!("a.b"), "customer_details.customer_id_invalid"),
        ("/customer_details/customer_phone", json!(""), "customer_details.customer_phone_missing"),
        (
            "/customer_details/customer_phone",
            json!("12345"),
            "customer_details.customer_phone_invalid",
        ),
        (
            "/customer_details/customer_phone",
            json!("+1234x678"),
            "customer_details.customer_phone_invalid",
        ),
        (
            "/order_meta/return_url",
            json!(format!("https://a.b/{long}")),
            "order_meta.return_url_invalid",
        ),
        ("/order_meta/return_url", json!("javascript:alert(1)"), "order_meta.return_url_invalid"),
        (
            "/order_meta",
            json!({ "notify_url": "http://a.example/hook" }),
            "order_meta.notify_url_invalid",
        ),
        ("/order_tags", json!({ "number": 1 }), "order_tags_invalid"),
        ("/order_tags", json!({ "empty": "" }), "order_tags_invalid"),
        ("/order_tags", tags, "order_tags_invalid"),
        ("/order_amount", json!({}), "order_amount_invalid"),
        ("/order_tags", json!("text"), "request_invalid"),
    ] {
        let mut body = order("order_1");
        *body.pointer_mut(path).unwrap() = value.clone();
        let answer = create(&fake, &body).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (400, code), "{path} {value}");
        let error = answer.json();
        assert_eq!(error["type"], "invalid_request_error");
        assert!(error["message"].is_string() && error["help"].is_string());
    }
    assert!(fake.orders().is_empty());
}

#[tokio::test]
async fn what_cashfree_accepts_is_accepted() {
    let (fake, _) = held().await;
    for (path, value) in [
        ("/customer_details/customer_phone", json!("+919908734801")),
        ("/order_meta", json!({ "notify_url": "https://api.example/hook" })),
        ("/order_meta", json!({ "notify_url": "http://127.0.0.1:3000/hook" })),
        ("/order_meta", Value::Null),
        ("/order_expiry_time", Value::Null),
        ("/order_id", Value::Null),
    ] {
        let mut body = order(&format!("order_{}", fake.orders().len()));
        *body.pointer_mut(path).unwrap() = value.clone();
        assert_eq!(create(&fake, &body).await.status, 200, "{path} {value}");
    }
    assert_eq!(fake.order("order_0").unwrap().customer_phone, "+919908734801");
}

#[tokio::test]
async fn an_expiry_is_more_than_15_minutes_and_less_than_30_days_ahead() {
    let (fake, _) = held().await;
    for (time, status) in [
        ("2026-11-22T19:15:00Z", 400),
        ("2026-11-22T19:15:01Z", 200),
        ("2026-12-23T00:29:59+05:30", 200),
        ("2026-12-22T19:00:00Z", 400),
        ("tomorrow", 400),
    ] {
        let mut body = order(&format!("order_{}", fake.orders().len()));
        body["order_expiry_time"] = time.into();
        let answer = create(&fake, &body).await;
        assert_eq!(answer.status, status, "{time}");
        if status == 400 {
            let message =
                "order_expiry_time : Expiry time should be more than 15 min and less than 30 days";
            assert_eq!(answer.json()["message"], message);
            assert_eq!(answer.code(), "order_expiry_time_invalid");
        }
    }
}

#[tokio::test]
async fn an_order_id_is_used_once() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    let again = create(&fake, &order("order_1")).await;
    assert_eq!((again.status.as_u16(), again.code().as_str()), (409, "order_already_exists"));
    assert_eq!(fake.orders().len(), 1);
    assert_eq!(fake.order("order_1").unwrap().create_calls, 2);
    assert_eq!((fake.calls(Call::CreateOrder), fake.calls(Call::GetOrder)), (2, 0));
}

#[tokio::test]
async fn wrong_credentials_are_401_and_a_missing_version_is_400() {
    let fake = FakeCashfree::start().await.unwrap();
    for (header, value, status) in [
        ("x-client-id", None, 401),
        ("x-client-secret", None, 401),
        ("x-client-secret", Some("wrong"), 401),
        ("x-api-version", None, 400),
        ("x-api-version", Some("2020-02-02"), 400),
    ] {
        let mut request = api(&fake, "GET", "/orders/order_1");
        let headers = request.headers_mut().unwrap();
        headers.remove(header);
        if let Some(value) = value {
            headers.insert(header, HeaderValue::from_static(value));
        }
        let answer = send(&fake, request, "").await.unwrap();
        assert_eq!(answer.status, status, "{header} {value:?}");
        if status == 401 {
            let error = json!({ "message": "authentication Failed", "code": "request_failed", "type": "authentication_error" });
            assert_eq!(answer.json(), error);
        }
    }
    fake.set_client_secret("rotated");
    assert_eq!(get(&fake, "/orders/order_1").await.status, 404);
}

#[tokio::test]
async fn unknown_orders_payments_and_paths_are_refused() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    for (path, status, code) in [
        ("/orders/order_2", 404, "order_not_found"),
        ("/orders/order_2/payments", 404, "order_not_found"),
        ("/orders/order_1/payments/5", 404, "transaction_not_found"),
        ("/plans", 400, "request_failed"),
    ] {
        let answer = get(&fake, path).await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (status, code), "{path}");
    }
}

#[tokio::test]
async fn an_order_expires_by_the_clock_or_at_once() {
    let (fake, clock) = held().await;
    created(&fake, "order_1").await;
    clock.advance(SignedDuration::from_mins(30));
    assert_eq!(get(&fake, "/orders/order_1").await.json()["order_status"], "EXPIRED");
    clock.advance(-SignedDuration::from_mins(30));
    created(&fake, "order_2").await;
    fake.expire("order_2");
    assert_eq!(fake.order("order_2").unwrap().status, OrderStatus::Expired);
}

#[tokio::test]
async fn an_active_order_can_be_terminated() {
    let (fake, _) = held().await;
    for id in ["order_1", "order_2", "order_3", "order_4"] {
        created(&fake, id).await;
    }
    assert_eq!(terminate(&fake, "order_1").await.json()["order_status"], "TERMINATED");
    assert_eq!(terminate(&fake, "order_1").await.status, 200);
    fake.pay("order_2", Attempt::success()).unwrap();
    fake.expire("order_3");
    for id in ["order_2", "order_3"] {
        assert_eq!(terminate(&fake, id).await.status, 400);
    }
    let pending = fake.pay("order_4", Attempt::pending()).unwrap();
    assert_eq!(terminate(&fake, "order_4").await.json()["order_status"], "TERMINATION_REQUESTED");
    fake.settle(&pending).unwrap();
    assert_eq!(fake.order("order_4").unwrap().status, OrderStatus::Paid);
    let other =
        send(&fake, api(&fake, "PATCH", "/orders/order_1"), r#"{"order_status":"PAID"}"#).await;
    assert_eq!(other.unwrap().status, 400);
}

#[tokio::test]
async fn requests_are_recorded_with_what_identifies_them() {
    let (fake, _) = held().await;
    let request = api(&fake, "POST", "/orders")
        .header("x-idempotency-key", "key")
        .header("x-request-id", "request");
    send(&fake, request, "not json").await;
    get(&fake, "/orders/order_1/payments").await;
    let [request, other] = fake.requests().try_into().unwrap();
    assert_eq!(
        (request.call, &*request.method, &*request.path),
        (Call::CreateOrder, "POST", "/pg/orders")
    );
    assert_eq!(request.api_version.as_deref(), Some("2025-01-01"));
    assert_eq!(request.idempotency_key.as_deref(), Some("key"));
    assert_eq!(request.request_id.as_deref(), Some("request"));
    assert_eq!((&*request.body, request.order_id), (&b"not json"[..], None));
    assert_eq!(other.order_id.as_deref(), Some("order_1"));
}

#[tokio::test]
async fn a_server_that_was_shut_down_starts_again_on_its_address() {
    let fake = FakeCashfree::start().await.unwrap();
    let address = fake.address();
    fake.shutdown().await;
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
    let fake = FakeCashfree::start_on(address).await.unwrap();
    assert_eq!(fake.base_url(), format!("http://{address}/pg"));
    let (mut options, _) = options();
    options.first_id = 7;
    let other = FakeCashfree::start_with(options).await.unwrap();
    assert_eq!(created(&other, "order_1").await, "session_fake_8");
}
