//! Fulfils an order that the provider calls paid.

use jiff::Timestamp;
use shared_cashfree::{Cashfree, CashfreeError};
use shared_core::billing::{Fulfilment, OrderId, PaymentAttempt};
use shared_core::store::StoreError;
use shared_postgres::Payments;

/// Why an order was not fulfilled.
#[derive(Debug, thiserror::Error)]
pub enum FulfilError {
    /// The provider does not say by which payment.
    #[error(transparent)]
    Provider(#[from] CashfreeError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Asks the provider which payments have paid an order, and records each, as its webhook does. Returns what became of
/// them: nothing if the provider knows of none yet, although it calls the order paid.
pub async fn fulfil_paid_order(
    cashfree: &Cashfree,
    payments: &Payments,
    order: OrderId,
    now: Timestamp,
) -> Result<Vec<Fulfilment>, FulfilError> {
    let mut paid = cashfree.payments(order).await?;
    paid.retain(PaymentAttempt::is_success);
    // Of several the first one has paid the order: the provider refunds the later ones.
    paid.sort_by_key(|attempt| attempt.at);
    let mut results = Vec::new();
    for attempt in &paid {
        results.push(payments.fulfil(attempt, now).await?);
    }
    Ok(results)
}
