//! The pages for `make dev`.

use fake_cashfree::PaymentStatus::{Failed, Pending, Success, UserDropped};
use fake_cashfree::{FakeCashfree, OrderStatus};
use http::Request;

use crate::client::{Answer, create, created, held, order, send};
use crate::receiver::Receiver;

async fn local(fake: &FakeCashfree, method: &str, path: &str) -> Answer {
    let uri = format!("http://{}/local/{path}", fake.address());
    send(fake, Request::builder().method(method).uri(uri), "").await.unwrap()
}

#[tokio::test]
async fn the_page_shows_the_amount_and_a_form_for_each_outcome() {
    let (fake, _) = held().await;
    let session = created(&fake, "order_1").await;
    let page = local(&fake, "GET", &format!("checkout/{session}")).await;
    assert!(page.header("content-type").starts_with("text/html"));
    assert!(page.text.contains("<h1>INR 450.00</h1>"));
    for button in ["pay", "fail", "drop", "late", "twice"] {
        let form = format!("<form method=\"post\" action=\"/local/checkout/{session}/{button}\">");
        assert!(page.text.contains(&form), "{button}");
    }
    fake.expire("order_1");
    let page = local(&fake, "GET", &format!("checkout/{session}")).await;
    assert!(page.text.contains("EXPIRED") && !page.text.contains("<form"));
    assert_eq!(local(&fake, "POST", &format!("checkout/{session}/pay")).await.status, 409);
}

#[tokio::test]
async fn each_button_makes_its_attempt_and_leads_back() {
    let (fake, _) = held().await;
    for (button, status, payments) in [
        ("pay", OrderStatus::Paid, vec![Success]),
        ("fail", OrderStatus::Active, vec![Failed]),
        ("drop", OrderStatus::Active, vec![UserDropped]),
        ("late", OrderStatus::Expired, vec![Pending]),
        ("twice", OrderStatus::Paid, vec![Success, Success]),
    ] {
        let id = format!("order_{button}");
        let session = created(&fake, &id).await;
        let answer = local(&fake, "POST", &format!("checkout/{session}/{button}")).await;
        assert_eq!(answer.status, 303, "{button}");
        assert_eq!(answer.header("location"), format!("https://app.example/return?order={id}"));
        let order = fake.order(&id).unwrap();
        let made: Vec<_> = order.payments.iter().map(|payment| payment.status).collect();
        assert_eq!((order.status, made), (status, payments), "{button}");
    }
    let before = fake.deliveries().len();
    while fake.deliveries().len() == before {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    assert_eq!(fake.order("order_late").unwrap().status, OrderStatus::Paid);
}

#[tokio::test]
async fn what_an_order_says_is_escaped() {
    let (fake, _) = held().await;
    let mut body = order("order_1");
    body["order_meta"]["return_url"] = "https://app.example/?a='><script>&b=%22".into();
    let answer = create(&fake, &body).await;
    assert_eq!(answer.status, 400, "no URL");
    body["order_meta"]["return_url"] = "https://app.example/?a='&b={order_id}".into();
    let session = create(&fake, &body).await.json()["payment_session_id"].take();
    let page = local(&fake, "GET", &format!("checkout/{}", session.as_str().unwrap())).await;
    assert!(
        page.text.contains("href=\"https://app.example/?a=&#39;&amp;b=order_1\""),
        "{}",
        page.text
    );
}

#[tokio::test]
async fn an_unknown_session_or_button_is_404() {
    let (fake, _) = held().await;
    let session = created(&fake, "order_1").await;
    assert_eq!(local(&fake, "GET", "checkout/%3Cscript%3E").await.status, 404);
    assert_eq!(local(&fake, "POST", "checkout/session_x/pay").await.status, 404);
    assert_eq!(local(&fake, "POST", &format!("checkout/{session}/refund")).await.status, 404);
}

#[tokio::test]
async fn the_last_webhook_of_an_order_can_be_sent_again() {
    let receiver = Receiver::answering([]).await;
    let (fake, _) = held().await;
    fake.sending(|sending| sending.target = Some(receiver.url.clone()));
    let session = created(&fake, "order_1").await;
    assert_eq!(local(&fake, "POST", "orders/order_1/resend-webhook").await.status, 404);
    local(&fake, "POST", &format!("checkout/{session}/fail")).await;
    local(&fake, "POST", &format!("checkout/{session}/pay")).await;
    let answer = local(&fake, "POST", "orders/order_1/resend-webhook").await;
    assert_eq!(answer.json()["status"], 200);
    let [received] = receiver.take().try_into().map_err(drop).unwrap();
    let last = fake.deliveries().pop().unwrap();
    assert_eq!(received.body, last.body);
    assert_eq!(received.header("x-webhook-signature"), last.header("x-webhook-signature"));
}
