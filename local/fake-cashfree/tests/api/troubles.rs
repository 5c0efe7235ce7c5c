//! Scripted failures of the API, and rate limits.

use std::time::Duration;

use fake_cashfree::{Call, Trouble, When};
use jiff::SignedDuration;
use tokio::time::timeout;

use crate::client::{api, create, created, get, held, order, send};

#[tokio::test]
async fn a_connection_is_closed_before_or_after_the_order_is_made() {
    let (fake, _) = held().await;
    for (id, when, exists) in [("order_1", When::Before, false), ("order_2", When::After, true)] {
        fake.fail_next(Call::CreateOrder, 1, Trouble::Closed(when));
        let body = order(id).to_string();
        assert!(send(&fake, api(&fake, "POST", "/orders"), &body).await.is_none());
        assert_eq!(fake.order(id).is_some(), exists);
        assert_eq!(
            get(&fake, &format!("/orders/{id}")).await.status,
            if exists { 200 } else { 404 }
        );
    }
    assert_eq!(fake.order("order_2").unwrap().create_calls, 1);
}

#[tokio::test]
async fn a_call_hangs_before_or_after_the_order_is_made() {
    let (fake, _) = held().await;
    for (id, when, exists) in [("order_1", When::Before, false), ("order_2", When::After, true)] {
        fake.fail_next(Call::CreateOrder, 1, Trouble::Hang(when));
        let body = order(id);
        assert!(timeout(Duration::from_millis(200), create(&fake, &body)).await.is_err());
        assert_eq!(fake.order(id).is_some(), exists);
    }
}

#[tokio::test]
async fn errors_come_as_json_as_html_and_as_broken_json() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    fake.fail_next(Call::GetOrder, 1, Trouble::InternalError(When::Before));
    fake.fail_next(Call::GetOrder, 1, Trouble::BadGateway(When::After));
    fake.fail_next(Call::GetOrder, 1, Trouble::MalformedJson);
    fake.fail_next(Call::GetOrder, 1, Trouble::RateLimited);
    let internal = get(&fake, "/orders/order_1").await;
    assert_eq!((internal.status.as_u16(), &internal.json()["type"]), (500, &"api_error".into()));
    let proxy = get(&fake, "/orders/order_1").await;
    assert_eq!(proxy.status, 502);
    assert!(proxy.header("content-type").starts_with("text/html"));
    let broken = get(&fake, "/orders/order_1").await;
    assert_eq!(broken.status, 200);
    assert!(serde_json::from_str::<serde_json::Value>(&broken.text).is_err());
    let limited = get(&fake, "/orders/order_1").await;
    assert_eq!(
        (limited.status.as_u16(), &limited.json()["type"]),
        (429, &"rate_limit_error".into())
    );
    assert_eq!(limited.header("x-ratelimit-retry"), "7");
    assert_eq!(get(&fake, "/orders/order_1").await.status, 200);
}

#[tokio::test]
async fn a_trouble_is_of_one_kind_of_call_and_ends() {
    let (fake, _) = held().await;
    created(&fake, "order_1").await;
    fake.fail_next(Call::GetPayments, usize::MAX, Trouble::InternalError(When::Before));
    assert_eq!(get(&fake, "/orders/order_1").await.status, 200);
    for _ in 0..3 {
        assert_eq!(get(&fake, "/orders/order_1/payments").await.status, 500);
    }
    fake.recover();
    assert_eq!(get(&fake, "/orders/order_1/payments").await.status, 200);
    assert_eq!(fake.calls(Call::GetPayments), 4);
}

#[tokio::test]
async fn a_limit_is_per_kind_of_call_and_sliding_minute() {
    let (fake, clock) = held().await;
    created(&fake, "order_1").await;
    fake.limit(Call::GetOrder, 2);
    let mut seen = Vec::new();
    for wait in [0, 20, 0, 39, 1] {
        clock.advance(SignedDuration::from_secs(wait));
        let answer = get(&fake, "/orders/order_1").await;
        assert_eq!(answer.header("x-ratelimit-limit"), "2");
        assert_eq!(answer.header("x-ratelimit-type"), "app_id");
        let header = |name| answer.header(name).parse::<u32>().unwrap();
        seen.push((
            answer.status.as_u16(),
            header("x-ratelimit-remaining"),
            header("x-ratelimit-retry"),
        ));
    }
    assert_eq!(seen, [(200, 1, 0), (200, 0, 0), (429, 0, 40), (429, 0, 1), (200, 0, 0)]);
    let other = get(&fake, "/orders/order_1/payments").await;
    assert_eq!((other.status.as_u16(), other.header("x-ratelimit-limit")), (200, ""));
}
