//! Pages for `make dev`: Cashfree's checkout, and a webhook that is sent again.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::response::{Html, IntoResponse, Redirect, Response};
use http::StatusCode;
use serde_json::json;

use crate::attempt::{Attempt, PayError};
use crate::memory::Memory;
use crate::order::OrderStatus;
use crate::sender;

/// Delay of a payment that succeeds after its order has expired.
const LATE: Duration = Duration::from_secs(3);

/// Path and label of each button.
const BUTTONS: [(&str, &str); 5] = [
    ("pay", "Pay"),
    ("fail", "Fail"),
    ("drop", "Leave without paying"),
    ("late", "Expire, then pay after 3 seconds"),
    ("twice", "Pay twice"),
];

/// `GET /local/checkout/{session}`.
pub(crate) async fn page(
    State(memory): State<Arc<Memory>>,
    Path(session): Path<String>,
) -> Response {
    let now = memory.now();
    let state = memory.state();
    let Some(order) = state.orders.iter().find(|order| order.session == session) else {
        return unknown();
    };
    let (id, amount) = (escape(&order.id), order.amount.two_decimals());
    let status = order.status(now);
    let mut text = format!("<h1>INR {amount}</h1><p>Order {id} is {}.</p>", status.as_str());
    if status == OrderStatus::Active {
        let session = escape(&order.session);
        for (button, label) in BUTTONS {
            // Writing to a string cannot fail.
            let _ = write!(
                text,
                "<form method=\"post\" action=\"/local/checkout/{session}/{button}\">\
                 <button>{label}</button></form>",
            );
        }
    }
    if let Some(url) = return_url(order.meta.return_url.as_deref(), &order.id) {
        let _ = write!(text, "<p><a href=\"{}\">Back to the shop</a></p>", escape(&url));
    }
    document(StatusCode::OK, &text)
}

/// `POST /local/checkout/{session}/{button}`: what the button says, then back to the order's return URL.
pub(crate) async fn press(
    State(memory): State<Arc<Memory>>,
    Path((session, button)): Path<(String, String)>,
) -> Response {
    let found =
        memory.state().orders.iter().find(|order| order.session == session).map(|order| {
            (order.id.clone(), return_url(order.meta.return_url.as_deref(), &order.id))
        });
    let Some((order, return_url)) = found else { return unknown() };
    let done = match button.as_str() {
        "pay" => memory.pay(&order, Attempt::success()).map(drop),
        "fail" => memory.pay(&order, Attempt::failure()).map(drop),
        "drop" => memory.pay(&order, Attempt::user_dropped()).map(drop),
        "late" => pay_late(&memory, &order),
        "twice" => memory
            .pay(&order, Attempt::success())
            .and_then(|_| memory.pay(&order, Attempt::success().began_earlier()))
            .map(drop),
        _ => return unknown(),
    };
    match (done, return_url) {
        (Err(error), _) => document(StatusCode::CONFLICT, &format!("<p>{error}</p>")),
        (Ok(()), Some(url)) => Redirect::to(&url).into_response(),
        (Ok(()), None) => document(StatusCode::OK, "<p>Done.</p>"),
    }
}

fn pay_late(memory: &Arc<Memory>, order: &str) -> Result<(), PayError> {
    let payment = memory.pay(order, Attempt::pending())?;
    let now = memory.now();
    if let Some(order) = memory.state().order_mut(order) {
        order.expire(now);
    }
    let later = Arc::clone(memory);
    memory.spawn(async move {
        tokio::time::sleep(LATE).await;
        // Fails only if a test was faster.
        let _ = later.settle(payment);
    });
    Ok(())
}

/// `POST /local/orders/{id}/resend-webhook`: sends the order's last webhook again, as it was.
pub(crate) async fn resend(State(memory): State<Arc<Memory>>, Path(id): Path<String>) -> Response {
    let last = memory.state().deliveries.iter().rposition(|delivery| delivery.order_id == id);
    let Some(index) = last else {
        return (StatusCode::NOT_FOUND, Json(json!({ "error": "no webhook of this order" })))
            .into_response();
    };
    Json(json!({ "status": sender::post(&memory, index).await })).into_response()
}

fn return_url(template: Option<&str>, order_id: &str) -> Option<String> {
    Some(template?.replace("{order_id}", order_id))
}

fn unknown() -> Response {
    document(StatusCode::NOT_FOUND, "<h1>Unknown</h1><p>There is no such payment session.</p>")
}

fn document(status: StatusCode, text: &str) -> Response {
    let head = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Checkout</title>\
                <style>body{font:1rem system-ui;max-width:24rem;margin:3rem auto}\
                button{width:100%;padding:.6rem;margin:.2rem}</style>";
    (status, Html(format!("{head}{text}</html>"))).into_response()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}
