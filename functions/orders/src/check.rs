//! What the payment provider says of an order: noted, and fulfilled if it is paid.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use shared_billing::{FulfilError, fulfil_paid_order};
use shared_cashfree::{CashfreeError, ProviderOrder, ProviderState};
use shared_core::billing::{Fulfilment, InvalidPhone, OrderError, OrderId, OrderState};
use shared_core::identity::Session;
use shared_lambda::Metric;
use shared_postgres::StoredOrder;

use crate::body::Checkout;
use crate::{Billing, Deps};

/// At most one request in this time asks the provider about an order.
const PAUSE: SignedDuration = SignedDuration::from_secs(3);
/// `retry-after` while the provider is away.
pub(crate) const PROVIDER_RETRY: Duration = Duration::from_secs(5);

/// A request of a user about orders.
pub(crate) struct OrderRequest<'a> {
    pub(crate) deps: &'a Deps,
    pub(crate) billing: &'a Billing,
    pub(crate) session: &'a Session,
    pub(crate) now: Timestamp,
}

impl OrderRequest<'_> {
    /// The user's rows.
    pub(crate) fn database(&self) -> shared_postgres::Request<'_> {
        self.deps.database.request(self.session, self.now)
    }

    /// Asks the provider about an order, unless another request has just done so, and returns it as it is then. If the
    /// provider fails, it is returned as it is stored.
    pub(crate) async fn checked(&self, stored: StoredOrder) -> Result<StoredOrder, OrderError> {
        let id = stored.order.id;
        if !self.database().claim_order_check(id, PAUSE).await? {
            return Ok(stored);
        }
        if let Err(error) = self.check(id).await {
            tracing::warn!(%error, order = %id, "an order that waits for its payment cannot be checked");
        }
        self.database().order(id).await?.ok_or(OrderError::NotFound)
    }

    /// Asks the provider about an order, and notes the answer.
    pub(crate) async fn check(&self, id: OrderId) -> Result<ProviderState, OrderError> {
        let order = self.billing.cashfree.order(id).await.map_err(|error| self.failed(error))?;
        self.note(id, &order).await?;
        Ok(order.state)
    }

    /// Notes what the provider says of an order, and fulfils it if it is paid: by its payments, as the webhook does.
    pub(crate) async fn note(&self, id: OrderId, order: &ProviderOrder) -> Result<(), OrderError> {
        let database = self.database();
        match order.state {
            ProviderState::Active => {
                if let Some(session) = &order.session {
                    let sealed = self.billing.seal_session(id, session);
                    database.activate_order(id, &sealed).await?;
                }
            }
            ProviderState::Paid => {
                database.note_reported_paid(id).await?;
                self.fulfil(id).await?;
            }
            ProviderState::Expired => database.close_order(id, OrderState::Expired).await?,
            ProviderState::Terminated | ProviderState::TerminationRequested => {
                database.close_order(id, OrderState::Terminated).await?;
            }
            ProviderState::Other => {
                tracing::warn!(order = %id, "the payment provider reports an unknown state");
            }
        }
        Ok(())
    }

    async fn fulfil(&self, id: OrderId) -> Result<(), OrderError> {
        let Deps { payments, app, .. } = self.deps;
        let results = fulfil_paid_order(&self.billing.cashfree, payments, id, self.now).await;
        let results = results.map_err(|error| match error {
            FulfilError::Provider(error) => self.failed(error),
            FulfilError::Store(error) => error.into(),
        })?;
        if results.is_empty() {
            // A replacement would be paid a second time.
            return Err(OrderError::PaymentsUnavailable {
                retry_after: PROVIDER_RETRY,
                source: "the payment provider calls an order paid and knows no payment of it"
                    .into(),
            });
        }
        if results.iter().any(|result| result.needs_operator()) {
            tracing::error!(order = %id, "a payment gives nothing: an operator has to look");
            app.measure(&[Metric::one("PaymentMismatch")], &[("order", &id.to_string())]);
        }
        if results.contains(&Fulfilment::Fulfilled) {
            tracing::info!(order = %id, "an order is fulfilled");
        }
        Ok(())
    }

    /// How to pay an order, if that is possible now.
    pub(crate) fn checkout(&self, stored: &StoredOrder) -> Option<Checkout> {
        let order = &stored.order;
        if order.state != OrderState::Active || order.expires_at <= self.now {
            return None;
        }
        let session = self.billing.open_session(order.id, stored.payment_session.as_deref()?)?;
        Some(Checkout::new(session, self.billing.cashfree.mode()))
    }

    /// What a failure of the provider means to the user. A refusal of this service raises the alarm.
    pub(crate) fn failed(&self, error: CashfreeError) -> OrderError {
        match error {
            CashfreeError::RateLimited { retry_after } => {
                OrderError::PaymentsUnavailable { retry_after, source: error.into() }
            }
            CashfreeError::PhoneRefused(_) => InvalidPhone.into(),
            CashfreeError::Misconfigured(_) => {
                self.deps.app.measure(&[Metric::one("PaymentsMisconfigured")], &[]);
                OrderError::PaymentsMisconfigured(error.into())
            }
            CashfreeError::NotFound
            | CashfreeError::NotTerminable(_)
            | CashfreeError::Unavailable(_) => OrderError::PaymentsUnavailable {
                retry_after: PROVIDER_RETRY,
                source: error.into(),
            },
        }
    }
}
