//! The operations of the API, and what they do to its orders.

use http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::Value;

use crate::create::NewOrder;
use crate::errors::ApiError;
use crate::memory::State;
use crate::order::Order;

/// An API call by kind, of which each has its own rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// `POST /orders`.
    CreateOrder,
    /// `GET /orders/{id}`.
    GetOrder,
    /// `PATCH /orders/{id}`.
    TerminateOrder,
    /// `GET /orders/{id}/payments`.
    GetPayments,
    /// `GET /orders/{id}/payments/{cf_payment_id}`.
    GetPayment,
}

/// An API call and the ids in its path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Operation<'a> {
    pub(crate) call: Call,
    order_id: &'a str,
    payment_id: &'a str,
}

impl<'a> Operation<'a> {
    pub(crate) fn of(method: &Method, path: &'a str) -> Option<Self> {
        let segments: Vec<&str> = path.strip_prefix("/pg/")?.split('/').collect();
        let (call, order_id, payment_id) = match (method.as_str(), segments.as_slice()) {
            ("POST", ["orders"]) => (Call::CreateOrder, "", ""),
            ("GET", ["orders", id]) => (Call::GetOrder, *id, ""),
            ("PATCH", ["orders", id]) => (Call::TerminateOrder, *id, ""),
            ("GET", ["orders", id, "payments"]) => (Call::GetPayments, *id, ""),
            ("GET", ["orders", id, "payments", payment]) => (Call::GetPayment, *id, *payment),
            _ => return None,
        };
        Some(Self { call, order_id, payment_id })
    }

    /// The order that the request names, in its path or its body.
    pub(crate) fn order_id(self, body: &[u8]) -> Option<String> {
        if self.call != Call::CreateOrder {
            return Some(self.order_id.to_owned());
        }
        let body: Value = serde_json::from_slice(body).ok()?;
        Some(body["order_id"].as_str()?.to_owned())
    }

    /// Runs the operation, and returns the body of its answer.
    pub(crate) fn run(
        self,
        state: &mut State,
        body: &[u8],
        now: Timestamp,
    ) -> Result<String, ApiError> {
        if self.call == Call::CreateOrder {
            return create(state, body, now);
        }
        let order = state.order_mut(self.order_id).ok_or_else(|| {
            let message = "Order Reference Id does not exist";
            ApiError::new(StatusCode::NOT_FOUND, "order_not_found", message)
        })?;
        match self.call {
            Call::CreateOrder | Call::GetOrder => {}
            Call::TerminateOrder => terminate(order, body, now)?,
            Call::GetPayments => {
                // Newest first (*).
                let payments = order.payments.iter().rev();
                let payments = payments.map(|one| order.payment_entity(one).to_string());
                return Ok(format!("[{}]", payments.collect::<Vec<_>>().join(",")));
            }
            Call::GetPayment => {
                let id = self.payment_id.parse().ok();
                let payment = id.and_then(|id| order.payment(id)).ok_or_else(|| {
                    let message = "transaction not found";
                    ApiError::new(StatusCode::NOT_FOUND, "transaction_not_found", message)
                })?;
                return Ok(order.payment_entity(payment).to_string());
            }
        }
        Ok(order.entity(now).to_string())
    }
}

fn create(state: &mut State, body: &[u8], now: Timestamp) -> Result<String, ApiError> {
    let new = NewOrder::parse(body, now)?;
    if new.id.as_deref().is_some_and(|id| state.order_mut(id).is_some()) {
        let message = "order with same id is already present";
        return Err(ApiError::new(StatusCode::CONFLICT, "order_already_exists", message));
    }
    let order = Order::new(new, state.next_id(), now);
    let answer = order.entity(now).to_string();
    state.orders.push(order);
    Ok(answer)
}

fn terminate(order: &mut Order, body: &[u8], now: Timestamp) -> Result<(), ApiError> {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    if body["order_status"] != "TERMINATED" {
        return Err(ApiError::invalid("order_status", &body["order_status"].to_string()));
    }
    order.terminate(now)
}
