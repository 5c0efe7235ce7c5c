//! The payment provider, within its rate limits.

use shared_billing::{FulfilError, fulfil_paid_order};
use shared_cache::Subject;
use shared_cashfree::{Cashfree, CashfreeError, Mode, ProviderOrder, ResponseError};
use shared_core::billing::{Fulfilment, OrderId};
use shared_core::limits::Limit;
use shared_core::store::StoreError;
use shared_postgres::Payments;

use crate::report::Counter;
use crate::{Run, WorkError};

/// Requests that the provider refused because of this service's credentials or their form.
const MISCONFIGURED: Counter =
    Counter::of_state("paymentsMisconfigured").with_metric("PaymentsMisconfigured");
/// Payments for which nothing can be given, and paid orders of which the provider says something else.
pub(crate) const MISMATCHES: Counter =
    Counter::of_state("paymentMismatches").with_metric("PaymentMismatch");
/// Orders that a run found to be paid, and fulfilled.
pub(crate) const FULFILLED: Counter = Counter::of_work("ordersFulfilled");
/// What work with the provider reports.
pub(crate) const COUNTERS: [Counter; 3] = [FULFILLED, MISMATCHES, MISCONFIGURED];

/// Orders for which the provider may fail before the fault is the provider's.
const TOLERATED: usize = 2;

/// What the provider says.
pub(crate) enum Asked<T> {
    /// Its answer.
    Answer(T),
    /// It does not know the order.
    Unknown,
    /// It has failed for this order. It may not do so for others, which must not wait behind this one.
    Failed,
    /// Not now: its rate limit or ours is reached, or it has failed before. The next run asks again.
    NotNow,
}

/// The provider in a run. Users' requests need most of what it allows, so a run keeps to a share of that.
pub(crate) struct Provider<'a> {
    cashfree: &'a Cashfree,
    payments: Payments,
    limit: Limit,
    /// Requests that this work may still make in this run.
    left: u32,
    failures: Vec<WorkError>,
    is_exhausted: bool,
}

impl<'a> Provider<'a> {
    /// The provider; `None` where nothing is sold.
    pub(crate) fn new(run: &mut Run<'a>) -> Option<Self> {
        let cashfree = run.deps.cashfree.as_ref()?;
        for counter in [MISMATCHES, MISCONFIGURED] {
            run.report.add(counter, 0);
        }
        let limit = Limit::per_minute(match cashfree.mode() {
            Mode::Production => 100,
            Mode::Sandbox => 20,
        });
        let payments = run.payments();
        let (left, failures, is_exhausted) = (limit.count, Vec::new(), false);
        Some(Self { cashfree, payments, limit, left, failures, is_exhausted })
    }

    /// Leaves half of a minute's requests to work that comes later.
    pub(crate) fn by_half(self) -> Self {
        Self { left: self.limit.count / 2, ..self }
    }

    /// The environment whose orders it knows.
    pub(crate) fn mode(&self) -> &'static str {
        self.cashfree.mode().as_str()
    }

    /// Why it could not be asked, at the end of a work.
    pub(crate) fn finish(self) -> Result<(), WorkError> {
        self.failures.into_iter().next().map_or(Ok(()), Err)
    }

    /// Asks about an order.
    pub(crate) async fn order(&mut self, run: &mut Run<'_>, id: OrderId) -> Asked<ProviderOrder> {
        if !self.may_ask(run).await {
            return Asked::NotNow;
        }
        match self.cashfree.order(id).await {
            Ok(order) => Asked::Answer(order),
            Err(error) => self.failed(run, id, error),
        }
    }

    /// Terminates an order.
    pub(crate) async fn terminate(&mut self, run: &mut Run<'_>, id: OrderId) -> Asked<()> {
        if !self.may_ask(run).await {
            return Asked::NotNow;
        }
        match self.cashfree.terminate(id).await {
            // It is paid or over: the next check says so.
            Ok(_) | Err(CashfreeError::NotTerminable(_)) => Asked::Answer(()),
            Err(error) => self.failed(run, id, error),
        }
    }

    /// Fulfils an order that the provider calls paid. Returns what became of its payments, none if the provider knows of
    /// none yet.
    pub(crate) async fn fulfil(
        &mut self,
        run: &mut Run<'_>,
        id: OrderId,
    ) -> Result<Asked<Vec<Fulfilment>>, StoreError> {
        if !self.may_ask(run).await {
            return Ok(Asked::NotNow);
        }
        let now = run.deps.clock.now();
        match fulfil_paid_order(self.cashfree, &self.payments, id, now).await {
            Ok(results) => {
                for result in &results {
                    count(run, id, *result);
                }
                Ok(Asked::Answer(results))
            }
            Err(FulfilError::Provider(error)) => Ok(self.failed(run, id, error)),
            Err(FulfilError::Store(error)) => Err(error),
        }
    }

    /// Without the cache, which counts the requests of all runs, it is not asked.
    async fn may_ask(&mut self, run: &Run<'_>) -> bool {
        if self.is_exhausted || self.left == 0 {
            return false;
        }
        let (cache, now) = (&run.deps.cache, run.deps.clock.now());
        match cache.acquire(&Subject::Global, "cashfree", &[self.limit], now).await {
            Ok(permit) => self.is_exhausted = permit.is_err(),
            Err(error) => {
                self.is_exhausted = true;
                self.failures.push(error.into());
            }
        }
        self.left -= 1;
        !self.is_exhausted
    }

    fn failed<T>(&mut self, run: &mut Run<'_>, order: OrderId, error: CashfreeError) -> Asked<T> {
        match error {
            CashfreeError::NotFound => return Asked::Unknown,
            CashfreeError::RateLimited { .. } => {
                self.is_exhausted = true;
                return Asked::NotNow;
            }
            CashfreeError::Misconfigured(_) => {
                run.report.add(MISCONFIGURED, 1);
                self.is_exhausted = true;
            }
            // It is slow to fail.
            CashfreeError::Unavailable(ResponseError::Connection(_)) => self.is_exhausted = true,
            CashfreeError::PhoneRefused(_)
            | CashfreeError::NotTerminable(_)
            | CashfreeError::Unavailable(_) => {
                self.is_exhausted = self.failures.len() >= TOLERATED;
            }
        }
        tracing::error!(%order, %error, "the payment provider has failed for an order");
        self.failures.push(error.into());
        Asked::Failed
    }
}

/// Counts what became of a payment.
pub(crate) fn count(run: &mut Run<'_>, order: OrderId, result: Fulfilment) {
    if result == Fulfilment::Fulfilled {
        tracing::info!(%order, "an order is fulfilled");
        run.report.add(FULFILLED, 1);
    } else if result.needs_operator() {
        let result = result.as_str();
        tracing::error!(%order, result, "a payment gives nothing: an operator has to look");
        run.report.add(MISMATCHES, 1);
    }
}
