//! `POST /orders`: parses and validates the body.

use http::Uri;
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use crate::amount::Paise;
use crate::errors::ApiError;
use crate::order::{Customer, Meta};

const SMALLEST_AMOUNT: Paise = Paise(100);
/// The default of an account: one million rupees.
const LARGEST_AMOUNT: Paise = Paise(100_000_000);
const SHORTEST_EXPIRY: SignedDuration = SignedDuration::from_mins(15);
const LONGEST_EXPIRY: SignedDuration = SignedDuration::from_hours(30 * 24);
const MOST_TAGS: usize = 10;
const LONGEST_URL: usize = 250;

#[derive(Deserialize)]
struct Body {
    order_id: Option<String>,
    /// As text: a float would not keep it.
    order_amount: Option<Box<RawValue>>,
    order_currency: Option<String>,
    customer_details: Option<CustomerBody>,
    order_meta: Option<Meta>,
    order_expiry_time: Option<String>,
    order_note: Option<String>,
    order_tags: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct CustomerBody {
    #[serde(rename = "customer_id")]
    id: Option<String>,
    #[serde(rename = "customer_name")]
    name: Option<String>,
    #[serde(rename = "customer_email")]
    email: Option<String>,
    #[serde(rename = "customer_phone")]
    phone: Option<String>,
}

/// A valid order that does not exist yet.
pub(crate) struct NewOrder {
    /// `None` lets Cashfree choose.
    pub(crate) id: Option<String>,
    pub(crate) amount: Paise,
    pub(crate) customer: Customer,
    pub(crate) meta: Meta,
    pub(crate) note: Option<String>,
    pub(crate) tags: Option<Map<String, Value>>,
    pub(crate) expires_at: Timestamp,
}

impl NewOrder {
    pub(crate) fn parse(body: &[u8], now: Timestamp) -> Result<Self, ApiError> {
        let body: Body = serde_json::from_slice(body)
            .map_err(|_| ApiError::bad_request("request_invalid", "bad request, invalid JSON"))?;
        if let Some(id) = &body.order_id {
            check(is_identifier(id, 3..=45), "order_id", id)?;
        }
        let currency = required(body.order_currency, "order_currency")?;
        check(currency == "INR", "order_currency", &currency)?;
        let meta = body.order_meta.unwrap_or_default();
        check_urls(&meta)?;
        optional_length(body.order_note.as_ref(), "order_note", 3..=200)?;
        check_tags(body.order_tags.as_ref())?;
        Ok(Self {
            id: body.order_id,
            amount: amount(&required(body.order_amount, "order_amount")?)?,
            customer: customer(required(body.customer_details, "customer_details")?)?,
            meta,
            note: body.order_note,
            tags: body.order_tags,
            expires_at: expiry(body.order_expiry_time.as_deref(), now)?,
        })
    }
}

fn required<T>(value: Option<T>, field: &str) -> Result<T, ApiError> {
    value.ok_or_else(|| ApiError::missing(field))
}

fn check(valid: bool, field: &str, value: &str) -> Result<(), ApiError> {
    if valid { Ok(()) } else { Err(ApiError::invalid(field, value)) }
}

fn optional_length(
    value: Option<&String>,
    field: &str,
    length: std::ops::RangeInclusive<usize>,
) -> Result<(), ApiError> {
    value.map_or(Ok(()), |text| check(length.contains(&text.chars().count()), field, text))
}

fn is_identifier(text: &str, length: std::ops::RangeInclusive<usize>) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    length.contains(&text.len()) && text.bytes().all(is_allowed)
}

fn amount(raw: &RawValue) -> Result<Paise, ApiError> {
    let amount =
        Paise::parse(raw.get()).filter(|paise| (SMALLEST_AMOUNT..=LARGEST_AMOUNT).contains(paise));
    amount.ok_or_else(|| ApiError::invalid("order_amount", raw.get()))
}

fn customer(body: CustomerBody) -> Result<Customer, ApiError> {
    let id = required(body.id, "customer_details.customer_id")?;
    check(is_identifier(&id, 3..=50), "customer_details.customer_id", &id)?;
    let phone = body.phone.filter(|phone| !phone.is_empty());
    let phone = required(phone, "customer_details.customer_phone")?;
    check(is_phone(&phone), "customer_details.customer_phone", &phone)?;
    optional_length(body.name.as_ref(), "customer_details.customer_name", 3..=100)?;
    optional_length(body.email.as_ref(), "customer_details.customer_email", 3..=100)?;
    Ok(Customer { id, name: body.name, email: body.email, phone })
}

/// The answer to a phone number that is well-formed, and not accepted (*).
pub(crate) fn phone_refused(body: &[u8]) -> ApiError {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let customer = &body["customer_details"];
    ApiError::invalid("customer_details.customer_phone", &customer["customer_phone"].to_string())
}

/// 10 digits, or `+` and 8 to 15 (*).
fn is_phone(phone: &str) -> bool {
    let (digits, length) = match phone.strip_prefix('+') {
        Some(digits) => (digits, 8..=15),
        None => (phone, 10..=10),
    };
    length.contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit())
}

fn check_urls(meta: &Meta) -> Result<(), ApiError> {
    if let Some(url) = &meta.return_url {
        let is_web = ["https", "http"].map(Some).contains(&scheme(url).as_deref());
        check(is_web && url.len() <= LONGEST_URL, "order_meta.return_url", url)?;
    }
    if let Some(url) = &meta.notify_url {
        let is_safe = scheme(url).as_deref() == Some("https") || is_loopback(url);
        check(is_safe && url.len() <= LONGEST_URL, "order_meta.notify_url", url)?;
    }
    Ok(())
}

fn scheme(url: &str) -> Option<String> {
    Some(url.parse::<Uri>().ok()?.scheme_str()?.to_owned())
}

/// Whether the URL is `http` to this machine, which the fake accepts and Cashfree does not.
fn is_loopback(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else { return false };
    let is_here =
        uri.host().is_some_and(|host| matches!(host, "localhost" | "127.0.0.1" | "[::1]"));
    uri.scheme_str() == Some("http") && is_here
}

fn check_tags(tags: Option<&Map<String, Value>>) -> Result<(), ApiError> {
    let is_value = |value: &Value| {
        value.as_str().is_some_and(|text| (1..=255).contains(&text.chars().count()))
    };
    let valid = tags.is_none_or(|tags| tags.len() <= MOST_TAGS && tags.values().all(is_value));
    check(valid, "order_tags", "")
}

/// The time of expiry; by default the latest that is accepted (*).
fn expiry(text: Option<&str>, now: Timestamp) -> Result<Timestamp, ApiError> {
    let Some(text) = text else { return Ok(now + LONGEST_EXPIRY) };
    let expires_at = text.parse::<Timestamp>().ok().filter(|at| {
        let ahead = at.duration_since(now);
        SHORTEST_EXPIRY < ahead && ahead < LONGEST_EXPIRY
    });
    expires_at.ok_or_else(|| {
        let message =
            "order_expiry_time : Expiry time should be more than 15 min and less than 30 days";
        ApiError::bad_request("order_expiry_time_invalid", message)
    })
}
