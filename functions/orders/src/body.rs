//! JSON bodies of plans and orders. Money is decimal text with a currency, never a float.

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Serialize, Serializer};
use shared_cashfree::Mode;
use shared_core::billing::{CURRENCY, Order, OrderState, Paise};
use utoipa::ToSchema;
use uuid::Uuid;

/// An amount of money.
#[derive(Serialize, ToSchema)]
pub(crate) struct Price {
    /// As decimal text with two digits after the point.
    #[schema(example = "450.00")]
    amount: String,
    /// ISO 4217.
    #[schema(example = "INR")]
    currency: &'static str,
}

impl From<Paise> for Price {
    fn from(price: Paise) -> Self {
        Self { amount: price.to_string(), currency: CURRENCY }
    }
}

/// An order of a plan.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Order)]
pub(crate) struct OrderBody {
    id: Uuid,
    /// The plan's id.
    #[schema(example = "premium")]
    plan: String,
    /// The price, as of when it was made; so are the days and the credits.
    price: Price,
    /// The length of the period that it buys.
    #[schema(example = 30)]
    days: u32,
    /// The credits of that period.
    #[schema(example = 250)]
    credits: u32,
    /// `created` and `active`: it waits for its payment. `paid`: the period is given. `expired` and `terminated`: it is
    /// over; a payment that began earlier may still make it `paid`.
    #[schema(value_type = String, example = "active")]
    state: OrderState,
    /// When the period begins; of an order that waits, if it were paid now. Null if it is over.
    starts_at: Option<Timestamp>,
    /// Until when it can be paid.
    expires_at: Timestamp,
    created_at: Timestamp,
    paid_at: Option<Timestamp>,
}

impl From<Order> for OrderBody {
    fn from(order: Order) -> Self {
        Self {
            id: order.id.0,
            plan: order.offer.plan.as_str().to_owned(),
            price: order.offer.price.into(),
            days: order.offer.days,
            credits: order.offer.credits,
            state: order.state,
            starts_at: order.starts_at,
            expires_at: order.expires_at,
            created_at: order.created_at,
            paid_at: order.paid_at,
        }
    }
}

/// What the browser needs to open the provider's payment page.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Checkout {
    /// Cashfree's `payment_session_id`.
    #[serde(serialize_with = "exposed")]
    #[schema(value_type = String)]
    payment_session_id: SecretString,
    /// Cashfree's environment, `sandbox` or `production`.
    #[schema(value_type = String, example = "sandbox")]
    mode: Mode,
}

impl Checkout {
    pub(crate) fn new(payment_session_id: SecretString, mode: Mode) -> Self {
        Self { payment_session_id, mode }
    }
}

/// The buyer's own browser needs it.
fn exposed<S: Serializer>(session: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(session.expose_secret())
}

/// An order, and how to pay it.
#[derive(Serialize, ToSchema)]
pub(crate) struct OrderAndCheckout {
    order: OrderBody,
    /// How to pay it, or null: it is paid, over, or not known to the provider yet.
    checkout: Option<Checkout>,
}

impl OrderAndCheckout {
    pub(crate) fn new(order: Order, checkout: Option<Checkout>) -> Self {
        Self { order: order.into(), checkout }
    }
}
