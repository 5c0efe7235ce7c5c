//! Why a request to Cashfree failed. No error quotes a request or a response: only their status, and the words
//! (`code`, `type`) of Cashfree's enumerations.

use std::fmt;
use std::time::Duration;

use crate::object::{Object, Unreadable};

/// Longest word of an error response that is kept, in characters.
const LONGEST_WORD: usize = 64;

/// Why a request to Cashfree failed.
#[derive(Debug, thiserror::Error)]
pub enum CashfreeError {
    /// Cashfree does not know the order.
    #[error("Cashfree does not know the order")]
    NotFound,
    /// Cashfree accepts no more requests of this kind for a while; it was not asked, or refused.
    #[error("Cashfree's rate limit is reached for {} s", .retry_after.as_secs())]
    RateLimited {
        /// When to try again, at least a second.
        retry_after: Duration,
    },
    /// Cashfree refuses the account's credentials, or the form of the request: an operator has to look.
    #[error("Cashfree refuses the account or the request: {0}")]
    Misconfigured(Refusal),
    /// Cashfree refuses the buyer's phone number, which only the buyer can correct.
    #[error("Cashfree refuses the phone number: {0}")]
    PhoneRefused(Refusal),
    /// The order cannot be terminated in its state: it may be paid, or over. Ask for it to know.
    #[error("Cashfree does not terminate the order: {0}")]
    NotTerminable(Refusal),
    /// No usable answer: none in time, a server error, or a malformed one. What was asked for may have happened.
    #[error("Cashfree gave no usable answer")]
    Unavailable(#[source] ResponseError),
}

/// Why there is no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum ResponseError {
    /// No connection, or no whole response in time.
    #[error("{0}")]
    Connection(String),
    /// An error status.
    #[error("{0}")]
    Refused(Refusal),
    /// The response is longer than what is read of one.
    #[error("the response is too long")]
    Overlong,
    /// The response lacks this field, or it is malformed.
    #[error("the response has no well-formed {0}")]
    Malformed(&'static str),
}

impl From<Unreadable> for ResponseError {
    fn from(Unreadable(field): Unreadable) -> Self {
        Self::Malformed(field)
    }
}

/// An error response, as far as it may be logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The error's `code`, such as `order_already_exists`; empty where the response has none.
    pub code: String,
    /// The error's `type`, such as `invalid_request_error`; empty where the response has none.
    pub kind: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}, code {:?}, type {:?}", self.status, self.code, self.kind)
    }
}

impl Refusal {
    pub(crate) fn read(status: u16, body: &[u8]) -> Self {
        let error = str::from_utf8(body).ok().and_then(Object::parse);
        let word = |name| error.as_ref().and_then(|error| error.text(name)).unwrap_or_default();
        Self { status, code: enumerated(word("code")), kind: enumerated(word("type")) }
    }

    fn may_have_been_carried_out(&self) -> bool {
        !(400..500).contains(&self.status) || matches!(self.status, 408 | 425)
    }

    /// The order is unknown. Cashfree's 404 for a path that it does not have has another code, and a proxy's has none.
    fn says_unknown_order(&self) -> bool {
        self.status == 404 && !self.code.is_empty() && self.code != "request_failed"
    }

    /// The idempotency key was used with another body, or is in use at this moment.
    fn is_about_the_idempotency_key(&self) -> bool {
        self.kind == "idempotency_error" || self.code.starts_with("idempotency_")
    }

    fn says_the_order_exists(&self) -> bool {
        self.status == 409 || self.code == "order_already_exists"
    }
}

/// A word of an enumeration; nothing of what is none, because whatever else a response may hold must not be logged.
fn enumerated(word: String) -> String {
    let is_usual = |c: char| matches!(c, 'a'..='z' | '0'..='9' | '_' | '.');
    let is_word = word.len() <= LONGEST_WORD
        && word.starts_with(|first: char| first.is_ascii_lowercase())
        && word.chars().all(is_usual);
    if is_word { word } else { String::new() }
}

/// Why one request got no answer that can be used.
#[derive(Debug)]
pub(crate) enum CallError {
    RateLimited {
        retry_after: Duration,
    },
    Refused {
        refusal: Refusal,
        /// Cashfree repeated its first answer to this idempotency key.
        is_replay: bool,
    },
    Unusable(ResponseError),
}

/// What follows a request to create an order that got no usable answer.
pub(crate) enum AfterCreate {
    Fail(CashfreeError),
    /// The order may exist: look it up.
    LookUp {
        cause: ResponseError,
        /// The idempotency key is spent: if the order does not exist, only another key can create it.
        is_key_spent: bool,
    },
}

impl CallError {
    pub(crate) fn log(&self) {
        match self {
            // Logged where the limit is noted.
            Self::RateLimited { .. } => {}
            // Expected: whether Cashfree has the order is the question.
            Self::Refused { refusal, .. } if refusal.says_unknown_order() => {}
            Self::Refused { refusal, is_replay } => tracing::warn!(
                upstream.status = refusal.status,
                upstream.code = refusal.code,
                upstream.error_type = refusal.kind,
                upstream.is_replay = is_replay,
                "Cashfree refused a request"
            ),
            Self::Unusable(error) => tracing::warn!(
                error = %error,
                "Cashfree gave no usable answer"
            ),
        }
    }

    pub(crate) fn of_termination(self) -> CashfreeError {
        if let Self::Refused { refusal, .. } = &self
            && matches!(refusal.status, 400 | 409 | 422)
        {
            return CashfreeError::NotTerminable(refusal.clone());
        }
        self.into()
    }

    pub(crate) fn after_create(self) -> AfterCreate {
        let look_up = |refusal, is_key_spent| AfterCreate::LookUp {
            cause: ResponseError::Refused(refusal),
            is_key_spent,
        };
        match self {
            Self::Unusable(cause) => AfterCreate::LookUp { cause, is_key_spent: false },
            Self::RateLimited { .. } => AfterCreate::Fail(self.into()),
            Self::Refused { refusal, .. } if refusal.is_about_the_idempotency_key() => {
                look_up(refusal, true)
            }
            // Cashfree may repeat its first answer to this key, whether it says so or not.
            Self::Refused { refusal, .. } if refusal.may_have_been_carried_out() => {
                look_up(refusal, true)
            }
            Self::Refused { refusal, .. } if refusal.says_the_order_exists() => {
                look_up(refusal, false)
            }
            Self::Refused { refusal, .. } if refusal.code.contains("phone") => {
                AfterCreate::Fail(CashfreeError::PhoneRefused(refusal))
            }
            Self::Refused { refusal, .. } => {
                AfterCreate::Fail(CashfreeError::Misconfigured(refusal))
            }
        }
    }
}

impl From<ResponseError> for CallError {
    fn from(error: ResponseError) -> Self {
        Self::Unusable(error)
    }
}

impl From<CallError> for CashfreeError {
    fn from(error: CallError) -> Self {
        match error {
            CallError::RateLimited { retry_after } => Self::RateLimited { retry_after },
            CallError::Unusable(error) => Self::Unavailable(error),
            CallError::Refused { refusal, .. } if refusal.says_unknown_order() => Self::NotFound,
            CallError::Refused { refusal, .. } if refusal.may_have_been_carried_out() => {
                Self::Unavailable(ResponseError::Refused(refusal))
            }
            CallError::Refused { refusal, .. } => Self::Misconfigured(refusal),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_an_error_response_only_words_of_enumerations_are_kept() {
        let body = br#"{"message":"phone 9908734801","help":"9908734801","code":"customer_details.phone_invalid",
            "type":"invalid_request_error"}"#;
        let refusal = Refusal::read(400, body);
        assert_eq!(
            refusal.to_string(),
            r#"status 400, code "customer_details.phone_invalid", type "invalid_request_error""#
        );
        let overlong = "x".repeat(65);
        for code in ["9908734801", "a b", "a\\n", "ORDER", "phone:9908734801", "é", "", &overlong]
        {
            let body = format!(r#"{{"code":"{code}","type":7}}"#);
            let refusal = Refusal::read(502, body.as_bytes());
            assert_eq!(refusal.to_string(), r#"status 502, code "", type """#, "{code}");
        }
        for body in [&b"<html>9908734801"[..], b"", b"[]", b"\xff", b"{\"code\":null}"] {
            assert_eq!(Refusal::read(502, body).to_string(), r#"status 502, code "", type """#);
        }
    }
}
