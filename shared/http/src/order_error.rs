//! Maps errors of orders to API responses.

use shared_core::billing::OrderError;

use crate::{ApiError, ErrorCode};

impl From<OrderError> for ApiError {
    fn from(error: OrderError) -> Self {
        match &error {
            OrderError::PlanUnknown => Self::new(ErrorCode::PlanUnknown, &error),
            OrderError::PlanNotForSale => Self::new(ErrorCode::PlanNotForSale, &error),
            OrderError::PhoneNeeded => Self::new(ErrorCode::PhoneNeeded, &error),
            OrderError::InvalidPhone(_) => Self::new(ErrorCode::InvalidPhone, &error),
            OrderError::KeyReused => Self::new(ErrorCode::IdempotencyKeyReused, &error),
            OrderError::TooManyOrders(limit) => Self::limited(ErrorCode::TooManyOrders, *limit),
            OrderError::TooManyRequests(limit) => Self::limited(ErrorCode::TooManyRequests, *limit),
            OrderError::BillingOff => Self::new(ErrorCode::BillingOff, &error),
            OrderError::PaymentsUnavailable { retry_after, source } => {
                tracing::error!(%source, "the payment provider cannot be used");
                Self::new(ErrorCode::PaymentsUnavailable, &error).retry_after(*retry_after)
            }
            OrderError::PaymentsMisconfigured(source) => {
                tracing::error!(%source, "the payment provider refuses this service");
                Self::new(ErrorCode::PaymentsMisconfigured, &error)
            }
            OrderError::NotFound => Self::new(ErrorCode::OrderNotFound, &error),
            OrderError::Store(store) => Self::of_store(store, "an order", &error),
        }
    }
}

#[cfg(test)]
mod tests {
    use shared_core::billing::InvalidPhone;
    use shared_core::limits::{Limit, LimitReached};
    use shared_core::store::StoreError;

    use super::*;
    use crate::error::tests::{IN_7_S, response};

    #[test]
    fn each_order_error_has_its_code() {
        let internal = || "10.0.0.7 does not answer".into();
        let limit = LimitReached::new(Limit::per_hour(10), IN_7_S);
        let away = OrderError::PaymentsUnavailable { retry_after: IN_7_S, source: internal() };
        let store = OrderError::Store(StoreError::Unavailable(internal()));
        for (error, code, status, retry_after) in [
            (OrderError::PlanUnknown, "plan_unknown", 404, None),
            (OrderError::PlanNotForSale, "plan_not_for_sale", 422, None),
            (OrderError::PhoneNeeded, "phone_needed", 422, None),
            (OrderError::InvalidPhone(InvalidPhone), "invalid_phone", 422, None),
            (OrderError::KeyReused, "idempotency_key_reused", 422, None),
            (OrderError::TooManyOrders(limit), "too_many_orders", 429, Some("7")),
            (OrderError::TooManyRequests(limit), "too_many_requests", 429, Some("7")),
            (OrderError::BillingOff, "billing_off", 404, None),
            (away, "payments_unavailable", 503, Some("7")),
            (OrderError::PaymentsMisconfigured(internal()), "payments_misconfigured", 502, None),
            (OrderError::NotFound, "order_not_found", 404, None),
            (store, "unavailable", 503, Some("5")),
        ] {
            assert_eq!(response(error), (code, status, retry_after.map(str::to_owned)));
        }
    }
}
